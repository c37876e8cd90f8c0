package derive_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"fluxora.dev/hub/internal/derive"
	"fluxora.dev/hub/internal/postgres"
	"fluxora.dev/hub/internal/postgres/pgtest"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"
)

// These benchmarks answer the questions of docs/adr/0001-raw-readings.md. Run them with
//
//	go test ./hub/internal/derive -run xxx -bench . -benchtime 1x
//
// Each works on a durable server of its own (fsync on), and prints what a reading costs: bytes in the database with indexes and
// overhead, and CPU of the server's processes.

const benchPoints = 20

// durable starts a server with default durability and a store on it.
func durable(b *testing.B) (*postgres.Server, *store.Store) {
	dir, err := pgtest.Dir()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	srv, err := postgres.Start(context.Background(), postgres.Options{Dir: dir})
	if err != nil {
		if strings.Contains(err.Error(), postgres.ErrNoBinaries.Error()) {
			b.Skipf("skipped: %v", err)
		}
		b.Fatal(err)
	}
	b.Cleanup(func() { srv.Stop() })
	s, err := store.Open(context.Background(), srv.URL(), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	return srv, s
}

// serverCPU returns the CPU time that the server's processes have used, those that have ended included.
func serverCPU(b *testing.B, pid int) time.Duration {
	ticks := 0
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(data), ") ")
		f := strings.Fields(rest)
		var ppid, u, s, cu, cs int
		fmt.Sscan(f[1], &ppid)
		fmt.Sscan(strings.Join(f[11:15], " "), &u, &s, &cu, &cs)
		switch {
		case strings.HasPrefix(string(data), fmt.Sprintf("%d ", pid)):
			ticks += u + s + cu + cs
		case ppid == pid:
			ticks += u + s
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// live returns n readings of a counter every ten seconds that moves in steps of a watt-hour.
func live(seed uint64, n int) []meter.Reading {
	r := rand.New(rand.NewPCG(seed, 2))
	rs := make([]meter.Reading, n)
	value := 8_000_000_000 + r.Int64N(1_000_000)*1000
	for i := range rs {
		value += (20 + r.Int64N(60)) * 1000
		rs[i] = meter.Reading{Series: meter.SeriesID(seed), At: meter.Millis(1_700_000_000_000 + 10_000*int64(i)), Value: value}
	}
	return rs
}

// hourly returns n readings of a counter every hour.
func hourly(seed uint64, n int) []meter.Reading {
	r := rand.New(rand.NewPCG(seed, 3))
	rs := make([]meter.Reading, n)
	value := int64(8_000_000_000)
	for i := range rs {
		value += r.Int64N(40_000) * 1000
		rs[i] = meter.Reading{Series: meter.SeriesID(seed), At: meter.Millis(1_600_000_000_000/3_600_000*3_600_000 + 3_600_000*int64(i)), Value: value}
	}
	return rs
}

// sendAll commits the readings of all points, cut into batches of size readings a point, and returns how many there were.
func sendAll(b *testing.B, s *store.Store, org, agent uuid.UUID, epoch uint64, of func(uint64, int) []meter.Reading, n, size int) int {
	ctx := context.Background()
	if _, err := s.OpenSession(ctx, org, agent, wire.Hello{Epoch: epoch}); err != nil {
		b.Fatal(err)
	}
	all := make([][]meter.Reading, benchPoints)
	var series []wire.Series
	for i := range all {
		all[i] = of(uint64(i+1), n)
		series = append(series, wire.Series{ID: meter.SeriesID(i + 1), Series: meter.Series{
			Point: fmt.Sprintf("p%d", i), Meter: "m", Register: meter.EnergyImport, Kind: meter.Counter,
		}})
	}
	if err := s.Declare(ctx, org, agent, epoch, series); err != nil {
		b.Fatal(err)
	}
	next := uint64(1)
	for i := 0; i < n; i += size {
		batch := wire.Batch{First: next}
		for k, rs := range all {
			part := rs[i:min(n, i+size)]
			body, err := chunk.Append(nil, part)
			if err != nil {
				b.Fatal(err)
			}
			batch.Blocks = append(batch.Blocks, wire.Block{Series: meter.SeriesID(k + 1), Chunk: body})
			batch.Count += uint64(len(part))
		}
		next += batch.Count
		if _, err := s.CommitBatch(ctx, org, agent, epoch, batch); err != nil {
			b.Fatal(err)
		}
	}
	return int(next - 1)
}

func exec(b *testing.B, s *store.Store, sql string) {
	if _, err := s.Pool().Exec(context.Background(), sql); err != nil {
		b.Fatal(err)
	}
}

// report reports what a reading cost.
func report(b *testing.B, s *store.Store, readings int, tables string, cpu time.Duration) {
	exec(b, s, `vacuum`)
	var bytes int64
	err := s.Pool().QueryRow(context.Background(), `select sum(pg_total_relation_size(t::regclass)) from unnest(string_to_array($1, ' ')) t`, tables).Scan(&bytes)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(bytes)/float64(readings), "B/reading")
	b.ReportMetric(cpu.Seconds()*1e6/float64(readings), "server-µs/reading")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkStored measures bytes and server CPU of a reading that is stored for the long run: as a row, and in chunks
// after deriving and merging (whose CPU is included; intervals and rollups are derived too).
func BenchmarkStored(b *testing.B) {
	type shape struct {
		name    string
		of      func(uint64, int) []meter.Reading
		n, size int
	}
	shapes := []shape{{"live10s", live, 10_000, 500}, {"hourly", hourly, 8_760, 500}}
	if wh := realCounters(b, benchPoints); wh != nil {
		shapes = append(shapes, shape{"real10s", realLive(wh), 10_000, 500}, shape{"realHourly", realHourly(wh), 8_760, 500})
	}
	for _, data := range shapes {
		b.Run(data.name+"/rows", func(b *testing.B) {
			srv, s := durable(b)
			exec(b, s, `create table row_reading (org_id uuid, register_id uuid, at timestamptz, value bigint, quality smallint, primary key (org_id, register_id, at))`)
			org, total, before := uuid.New(), 0, serverCPU(b, srv.PID())
			b.ResetTimer()
			for k := range benchPoints {
				register, at, value := uuid.New(), []time.Time{}, []int64{}
				for _, r := range data.of(uint64(k+1), data.n) {
					at, value = append(at, r.At.Time()), append(value, r.Value)
				}
				for i := 0; i < data.n; i += 10_000 {
					j := min(data.n, i+10_000)
					if _, err := s.Pool().Exec(context.Background(), `
						insert into row_reading select $1, $2, a, v, 0 from unnest($3::timestamptz[], $4::bigint[]) u(a, v) on conflict do nothing`,
						org, register, at[i:j], value[i:j]); err != nil {
						b.Fatal(err)
					}
				}
				total += data.n
			}
			b.StopTimer()
			b.ReportMetric(float64(total)/b.Elapsed().Seconds(), "readings/s")
			report(b, s, total, "row_reading", serverCPU(b, srv.PID())-before)
		})
		b.Run(data.name+"/chunks", func(b *testing.B) {
			srv, s := durable(b)
			org, _, agent := storetest.Site(b, s, "org", store.Site{Name: "here"})
			before := serverCPU(b, srv.PID())
			b.ResetTimer()
			total := sendAll(b, s, org, agent, 1, data.of, data.n, data.size)
			d := derive.New(s, derive.Options{})
			// As Run does, but without waiting: steps while any is due, merges when enough has gathered.
			if err := d.Drain(context.Background()); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			b.ReportMetric(float64(total)/b.Elapsed().Seconds(), "readings/s")
			report(b, s, total, "chunk batch correction", serverCPU(b, srv.PID())-before)
		})
	}
}

// BenchmarkCommit measures readings/s committed by one to four agents at once, batches of 10,000, against COPY
// of rows in the same run.
func BenchmarkCommit(b *testing.B) {
	const batches, size = 60, 10_000
	bodies := make([][]byte, benchPoints)
	for k := range bodies {
		var err error
		if bodies[k], err = chunk.Append(nil, live(uint64(k+1), size/benchPoints)); err != nil {
			b.Fatal(err)
		}
	}
	for _, agents := range []int{1, 4} {
		b.Run(fmt.Sprintf("chunks/agents=%d", agents), func(b *testing.B) {
			srv, s := durable(b)
			ctx := context.Background()
			type peer struct{ org, agent uuid.UUID }
			var peers []peer
			for i := range agents {
				org, _, agent := storetest.Site(b, s, "org", store.Site{Name: fmt.Sprintf("s%d", i)})
				peers = append(peers, peer{org, agent})
				sendAll(b, s, org, agent, 1, live, 1, 1) // declares
			}
			before := serverCPU(b, srv.PID())
			b.ResetTimer()
			var wg sync.WaitGroup
			for _, p := range peers {
				wg.Go(func() {
					for i := range batches / agents {
						batch := wire.Batch{First: uint64(benchPoints + 1 + i*size), Count: size}
						for k, body := range bodies {
							batch.Blocks = append(batch.Blocks, wire.Block{Series: meter.SeriesID(k + 1), Chunk: body})
						}
						if _, err := s.CommitBatch(ctx, p.org, p.agent, 1, batch); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(batches*size/b.Elapsed().Seconds(), "readings/s")
			report(b, s, batches*size, "batch", serverCPU(b, srv.PID())-before)
		})
	}
	rs := live(1, size)
	for _, key := range []string{"", ", primary key (org_id, register_id, at)"} {
		name := "copy/bare"
		if key != "" {
			name = "copy/key"
		}
		b.Run(name, func(b *testing.B) {
			srv, s := durable(b)
			exec(b, s, `create table row_reading (org_id uuid, register_id uuid, at timestamptz, value bigint, quality smallint`+key+`)`)
			before, org := serverCPU(b, srv.PID()), uuid.New()
			b.ResetTimer()
			for range batches {
				register := uuid.New()
				_, err := s.Pool().CopyFrom(context.Background(), pgx.Identifier{"row_reading"}, []string{"org_id", "register_id", "at", "value", "quality"},
					pgx.CopyFromSlice(size, func(i int) ([]any, error) { return []any{org, register, rs[i].At.Time(), rs[i].Value, int16(0)}, nil }))
				if err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			b.ReportMetric(batches*size/b.Elapsed().Seconds(), "readings/s")
			report(b, s, batches*size, "row_reading", serverCPU(b, srv.PID())-before)
		})
	}
}

// BenchmarkDerive measures readings/s through derive and merge, of a backlog that is committed already.
func BenchmarkDerive(b *testing.B) {
	for _, data := range []struct {
		name string
		of   func(uint64, int) []meter.Reading
	}{{"live10s", live}, {"hourly", hourly}} {
		b.Run(data.name, func(b *testing.B) {
			srv, s := durable(b)
			org, _, agent := storetest.Site(b, s, "org", store.Site{Name: "here"})
			total := sendAll(b, s, org, agent, 1, data.of, 8_760, 500)
			d := derive.New(s, derive.Options{})
			before := serverCPU(b, srv.PID())
			b.ResetTimer()
			if err := d.Drain(context.Background()); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			b.ReportMetric(float64(total)/b.Elapsed().Seconds(), "readings/s")
			report(b, s, total, "interval rollup", serverCPU(b, srv.PID())-before)
		})
	}
}
