package app

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"

	"fluxora.dev/agent/internal/store"
)

func storeDir(c Config) string { return filepath.Join(c.DataDir, "store") }

// CheckStore prints what is in the agent's store, as JSON if wanted. An error says that something is damaged; nothing is
// changed, and the agent may be running.
func CheckStore(c Config, out io.Writer, asJSON bool) error {
	r, err := store.Check(storeDir(c))
	if err != nil {
		return err
	}
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		err = e.Encode(r)
	} else {
		err = printReport(r, out)
	}
	if err != nil {
		return err
	}
	switch n := r.Damaged(); {
	case n > 0 && r.Running:
		return fmt.Errorf("%d of %d files seem damaged, but an agent is writing to them: stop it and check again", n, len(r.Files))
	case n > 0:
		return fmt.Errorf("%d of %d files are damaged; the agent salvages them when it starts or reads them, and keeps them aside", n, len(r.Files))
	}
	return nil
}

func printReport(r store.Report, out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "format %d, epoch %d, next sequence %d\n\n", r.Schema, r.Epoch, r.Next)
	fmt.Fprintln(w, "FILE\tBYTES\tFORMAT\tREADINGS\tSEQUENCES\tFROM\tTO\tSTATE")
	for _, f := range r.Files {
		format, readings, sequences, from, to := "-", "-", "-", "-", "-"
		if f.Schema > 0 {
			format = fmt.Sprint(f.Schema)
		}
		if f.First > 0 {
			readings, sequences = fmt.Sprint(f.Readings), fmt.Sprintf("%d to %d", f.First, f.End-1)
		}
		if f.Readings > 0 {
			from, to = f.From.Time().UTC().Format("2006-01-02 15:04:05"), f.To.Time().UTC().Format("2006-01-02 15:04:05")
		}
		state := cmp.Or(f.Damage, f.Note, "sound")
		if f.Salvage != "" {
			state += "; can be read: " + f.Salvage
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", f.Name, f.Bytes, format, readings, sequences, from, to, state)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if r.Running {
		fmt.Fprintln(out, "\nan agent is running: it goes on writing to the newest files")
	}
	return nil
}

// DowngradeStore makes the agent's store, which must not be in use, readable by an older agent that knows the format version
// only; 0 means the one before this agent's.
func DowngradeStore(c Config, version uint64, out io.Writer) error {
	version = cmp.Or(version, store.Schema-1)
	if err := store.Downgrade(storeDir(c), version); err != nil {
		return err
	}
	fmt.Fprintf(out, "the store has format %d now; start the agent that knows it\n", version)
	return nil
}
