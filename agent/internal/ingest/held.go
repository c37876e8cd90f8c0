package ingest

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"fluxora.dev/agent/internal/store"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

// heldReading is a reading that waits for the time to be known. At is as it was stamped.
type heldReading struct {
	meter.Reading
	Since meter.Millis // since boot
}

// holding is where readings wait, durably, until the time is known: named values "held-<n>" of the store, each a block of one
// boot's readings. The last block grows to blockSize. Value "held" says which is the first.
type holding struct {
	log         Log
	boot        string
	cap         int
	first, next uint64 // blocks
	readings    uint64
	sizes       []int // of the blocks
	counts      []uint64
	tail        []heldReading // of the last block, if it is of this boot
}

// Bounds of the holding.
const (
	blockSize  = 8 << 10
	leastBytes = 1 << 20
)

func heldName(n uint64) string { return fmt.Sprintf("held-%d", n) }

func openHolding(log Log, boot string, most int) (holding, error) {
	h := holding{log: log, boot: boot, cap: max(most, leastBytes), first: 1}
	b, err := log.Value("held")
	if err != nil {
		return h, err
	}
	if b != nil {
		if err := json.Unmarshal(b, &h.first); err != nil {
			return h, fmt.Errorf("read what is held: %w", err)
		}
		// A crash may have left the block that was released last. It is never read; where the disk fails, the next start removes it.
		if v, err := log.Value(heldName(h.first - 1)); err == nil && v != nil {
			_ = log.Put(heldName(h.first-1), nil)
		}
	}
	for h.next = h.first; ; h.next++ {
		v, err := log.Value(heldName(h.next))
		if err != nil || v == nil {
			return h, err
		}
		_, rs, err := decodeHeld(v)
		if err != nil {
			return h, fmt.Errorf("read what is held, block %d: %w", h.next, err)
		}
		h.sizes, h.counts = append(h.sizes, len(v)), append(h.counts, uint64(len(rs)))
		h.readings += uint64(len(rs))
	}
}

// add holds readings, durably on return.
func (h *holding) add(rs []heldReading) error {
	if len(rs) == 0 {
		return nil
	}
	grown := append(h.tail[:len(h.tail):len(h.tail)], rs...)
	b := encodeHeld(h.boot, grown)
	n := h.next
	if len(h.tail) > 0 {
		n--
	}
	if err := h.log.Put(heldName(n), b); err != nil {
		return err
	}
	if len(h.tail) > 0 {
		h.sizes[len(h.sizes)-1], h.counts[len(h.counts)-1] = len(b), uint64(len(grown))
	} else {
		h.sizes, h.counts = append(h.sizes, len(b)), append(h.counts, uint64(len(grown)))
		h.next++
	}
	h.readings += uint64(len(rs))
	if h.tail = grown; len(b) >= blockSize {
		h.tail = nil
	}
	return nil
}

// oldest returns the first block.
func (h *holding) oldest() (boot string, rs []heldReading, ok bool, err error) {
	if !h.any() {
		return "", nil, false, nil
	}
	b, err := h.log.Value(heldName(h.first))
	if err != nil {
		return "", nil, false, err
	}
	boot, rs, err = decodeHeld(b)
	return boot, rs, true, err
}

// drop forgets the first block, whose readings are elsewhere now.
func (h *holding) drop() error {
	b, _ := json.Marshal(h.first + 1)
	if err := h.log.Put("held", b); err != nil {
		return err
	}
	if err := h.log.Put(heldName(h.first), nil); err != nil {
		return err
	}
	h.readings -= h.counts[0]
	h.sizes, h.counts = h.sizes[1:], h.counts[1:]
	if h.first++; h.first == h.next {
		h.tail = nil
	}
	return nil
}

func (h *holding) any() bool { return h.first != h.next }

func (h *holding) full() bool {
	total := 0
	for _, n := range h.sizes {
		total += n
	}
	return total > h.cap
}

// heldVersion is the first byte of a block.
const heldVersion = 1

func encodeHeld(boot string, rs []heldReading) []byte {
	b := binary.AppendUvarint([]byte{heldVersion}, uint64(len(boot)))
	b = append(b, boot...)
	b = binary.AppendUvarint(b, uint64(len(rs)))
	var since, start meter.Millis
	for _, r := range rs {
		b = binary.AppendUvarint(b, uint64(r.Series))
		b = binary.AppendVarint(b, int64(r.Since-since))
		b = binary.AppendVarint(b, int64(r.At-r.Since-start))
		b = binary.AppendVarint(b, r.Value)
		b = append(b, byte(r.Quality))
		since, start = r.Since, r.At-r.Since
	}
	return b
}

var errHeld = errors.New("damaged block of held readings")

func decodeHeld(b []byte) (boot string, rs []heldReading, err error) {
	in := bytes.NewReader(b)
	version, _ := in.ReadByte()
	n, err := binary.ReadUvarint(in)
	if err != nil || version != heldVersion || n > uint64(in.Len()) {
		return "", nil, errHeld
	}
	name := make([]byte, n)
	_, _ = in.Read(name)
	if n, err = binary.ReadUvarint(in); err != nil || n > uint64(in.Len())/5 {
		return "", nil, errHeld
	}
	rs = make([]heldReading, n)
	var since, start int64
	for i := range rs {
		series, e1 := binary.ReadUvarint(in)
		s, e2 := binary.ReadVarint(in)
		t, e3 := binary.ReadVarint(in)
		v, e4 := binary.ReadVarint(in)
		q, e5 := in.ReadByte()
		if err := errors.Join(e1, e2, e3, e4, e5); err != nil || series > 1<<32-1 || !meter.Quality(q).Valid() {
			return "", nil, errHeld
		}
		since, start = since+s, start+t
		rs[i] = heldReading{meter.Reading{Series: meter.SeriesID(series), At: meter.Millis(since + start), Value: v, Quality: meter.Quality(q)}, meter.Millis(since)}
	}
	if in.Len() != 0 {
		return "", nil, errHeld
	}
	return string(name), rs, nil
}

// keep holds the group's readings that wait for the time. What no longer fits, the oldest, goes to quarantine.
func (in *Ingest) keep(g *group) error {
	if err := in.holding.add(g.held); err != nil {
		return err
	}
	g.held = nil
	for in.holding.full() {
		_, rs, _, err := in.holding.oldest()
		if err == nil {
			err = in.log.Quarantine(in.undated(rs, "too many readings waited for the time to be known"))
		}
		if err == nil {
			err = in.holding.drop()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// release gives held readings their instants, as far as these are known now, and stores them. The clock's record is kept
// before that, so that after a crash in between they get the same instants again and are found to be repeats.
func (in *Ingest) release(ctx context.Context, done chan struct{}) {
	defer close(done)
	again := newRepeats()
	for ctx.Err() == nil {
		boot, held, ok, err := in.holding.oldest()
		if err != nil {
			in.o.Log.Error("held readings cannot be read", "error", err)
			return
		}
		if !ok {
			return
		}
		start := in.o.Clock.StartOf(boot)
		g := in.newGroup()
		switch {
		case start.Known:
			if err := in.o.Clock.Keep(); err != nil {
				in.o.Log.Warn("held readings wait on", "error", err)
				return
			}
			in.redate(g, held, start.At, again)
		case start.Never:
			g.refused = in.undated(held, fmt.Sprintf("taken in a boot that never had the time, between %s and %s", start.After, start.Before))
			g.counts.Refused[meter.UnsetClock] += uint64(len(held))
		default:
			return // not yet
		}
		if in.store(ctx, g) != nil {
			return
		}
		if err := in.retry(ctx, g, in.holding.drop); err != nil {
			return
		}
		in.mu.Lock()
		in.stats.Held = in.holding.readings
		in.mu.Unlock()
	}
}

// redate stages held readings, now that it is known when their boot began.
func (in *Ingest) redate(g *group, held []heldReading, start meter.Millis, again *repeats) {
	const same = 5000 // ms
	here := known(in.o.Clock.Moment())
	bad := make(map[meter.Reason][]heldReading)
	for _, h := range held {
		r := h.Reading
		if off := start + h.Since - r.At; off > same || off < -same {
			r.At, r.Quality = start+h.Since, max(r.Quality, meter.Estimated)
			g.counts.Redated++
		}
		if !again.add(r) { // delivered twice while it waited
			g.counts.Repeats++
			continue
		}
		if e := in.decoder.checkTime(decodedReading{Payload: topic.Payload{At: r.At}}, here); e != nil {
			bad[e.Reason] = append(bad[e.Reason], h)
			continue
		}
		g.readings = append(g.readings, r)
	}
	for reason, hs := range bad {
		qs := in.undated(hs, "the instant that was computed is not believed")
		for i := range qs {
			qs[i].Reason = string(reason)
		}
		g.refused = append(g.refused, qs...)
		g.counts.Refused[reason] += uint64(len(hs))
	}
}

// undated returns held readings for the quarantine, with the instants that they were stamped with.
func (in *Ingest) undated(held []heldReading, why string) (qs []store.Quarantined) {
	of := make(map[meter.SeriesID][]decodedReading)
	var order []meter.SeriesID
	for _, h := range held {
		s, ok := in.log.LookupSeries(h.Series)
		if !ok {
			continue // its definition was lost, and with it what was measured
		}
		if of[h.Series] == nil {
			order = append(order, h.Series)
		}
		of[h.Series] = append(of[h.Series], decodedReading{Payload: topic.Payload{
			At: h.At, Value: h.Value, Meter: s.Meter, Kind: s.Kind, Modulus: s.Modulus, Quality: h.Quality,
		}})
	}
	now := meter.MillisOf(in.o.Clock.Now())
	for _, id := range order {
		s, _ := in.log.LookupSeries(id)
		payloads, counts := parts(of[id])
		for i, payload := range payloads {
			qs = append(qs, store.Quarantined{
				Reason: string(meter.UnsetClock), Detail: fmt.Sprintf("%d readings: %s", counts[i], why),
				Topic: topic.ReadingTopic(in.o.Config.Site, s.Point, s.Register), Payload: payload, Received: now, Point: s.Point,
			})
		}
	}
	return qs
}
