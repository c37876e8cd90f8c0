package store

import (
	"cmp"
	"log/slog"
	"time"
)

// Options are the settings of a store. Zero values mean the defaults.
type Options struct {
	MaxBytes        int64             // cap over all files; default 256 MiB, least 1 MiB
	Retention       time.Duration     // how long acked readings are kept, by arrival; default 35 days
	MaxSeries       int               // series that may be numbered; default 1000
	QuarantineCount int               // quarantined messages kept; default 10,000
	QuarantineBytes int64             // bytes of quarantine kept; default MaxBytes/32
	MinFree         int64             // bytes of the file system to leave free; default the larger of 200 MiB and a tenth; below 0 none
	CommitWindow    time.Duration     // how long readings wait for others at most; see Window
	FlashBudget     int64             // bytes to write a day, which Window makes the best of; 0: Window is CommitWindow
	Thin            Thin              // says which readings can be spared when there is no more room; nil spares none
	Keep            func([]byte) bool // says which keys of derived state are of use when others of it were lost; nil none
	LockTimeout     time.Duration     // how long Open waits for another agent to let go; default 2 s
	Now             func() time.Time  // default time.Now
	Log             *slog.Logger      // default discards

	disk disk // default the operating system
}

func (o Options) withDefaults() Options {
	o.MaxBytes = cmp.Or(o.MaxBytes, 256<<20)
	o.MaxBytes = max(o.MaxBytes, 1<<20)
	o.Retention = cmp.Or(o.Retention, 35*24*time.Hour)
	o.MaxSeries = cmp.Or(o.MaxSeries, 1000)
	o.QuarantineCount = cmp.Or(o.QuarantineCount, 10_000)
	o.QuarantineBytes = cmp.Or(o.QuarantineBytes, o.MaxBytes/32)
	o.LockTimeout = cmp.Or(o.LockTimeout, 2*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.disk.rename == nil {
		o.disk = realDisk()
	}
	return o
}
