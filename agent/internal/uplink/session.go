package uplink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
	"fluxora.dev/proto/wire"
	"fluxora.dev/proto/zstd"
	"fluxora.dev/shared/meter"
)

const (
	helloTimeout = 30 * time.Second
	maxFlights   = 256 // batches in flight, whose acks must fit into the stream's window while nobody reads it
	maxAside     = 8   // atoms set aside while nothing else is acked, before refusals are held to be the hub's fault
	maxOverlaps  = 16  // in one session without an ack between, before it is given up
)

// session is one Sync. All of it belongs to one goroutine; another only receives.
type session struct {
	c        *Client
	stream   uplinkv1.UplinkService_SyncClient
	incoming <-chan *uplinkv1.SyncResponse
	failed   <-chan error // why nothing more comes in

	sender   sender
	books    accounts
	declared map[meter.SeriesID]bool
	reported *wire.Report // awaiting its ack
	reports  uint64       // ids given
	lookOut  bool         // the outbox may hold something
	overlaps int          // since the last ack
	progress bool         // something was acked
}

// session opens a connection and a session on it, and works it until it ends. A session is a connection, so that the
// certificate in force is shown and checked at its start.
func (c *Client) session(ctx context.Context) (progress bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	config, err := c.o.Identity.TLS(c.o.Hub)
	if err != nil {
		return false, err
	}
	conn, err := grpc.NewClient("passthrough:///"+c.o.Hub,
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 15 * time.Second}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(wire.MaxMessage)),
		grpc.WithStatsHandler(&c.status),
		grpc.WithDisableServiceConfig(),
	)
	if err != nil {
		return false, fmt.Errorf("dial %s: %w", c.o.Hub, err)
	}
	defer conn.Close()
	stream, err := uplinkv1.NewUplinkServiceClient(conn).Sync(ctx, grpc.UseCompressor(zstd.Name))
	if err != nil {
		return false, err
	}
	incoming := make(chan *uplinkv1.SyncResponse)
	failed := make(chan error, 1)
	go func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				failed <- err
				return
			}
			select {
			case incoming <- m:
			case <-ctx.Done():
				return
			}
		}
	}()

	s := &session{c: c, stream: stream, incoming: incoming, failed: failed, declared: make(map[meter.SeriesID]bool)}
	if err := s.open(ctx); err != nil {
		return false, c.afresh(ctx, conn, err)
	}
	c.setConn(conn)
	defer c.setConn(nil)
	err = s.run(ctx, conn)
	return s.progress, err
}

func (c *Client) setConn(conn *grpc.ClientConn) {
	c.mu.Lock()
	c.conn = conn
	c.mu.Unlock()
	c.status.connected(conn != nil, c.o.Now())
}

// open says hello and takes in what the hub has.
func (s *session) open(ctx context.Context) error {
	store := s.c.o.Store
	// Pending is read before Next, which only grows, so that pending < next.
	pending := store.Pending()
	hello := wire.Hello{
		Version: s.c.o.Version, Epoch: store.Epoch(), Pending: pending, Next: store.Next(),
		Now: meter.MillisOf(s.c.o.Now()), ConfigRevision: s.c.o.ConfigRevision(), Weather: s.c.o.Weather(),
	}
	if s.c.o.Lineage != nil {
		l, err := s.c.o.Lineage.Begin()
		if err != nil {
			s.c.o.Log.Error("a copy of this agent may not be noticed", "error", err)
		}
		hello.Lineage = &l
	}
	if err := s.send(&uplinkv1.SyncRequest{Message: &uplinkv1.SyncRequest_Hello{Hello: wire.EncodeHello(hello)}}); err != nil {
		return err
	}
	timeout := time.NewTimer(helloTimeout)
	defer timeout.Stop()
	select {
	case m := <-s.incoming:
		switch m := m.GetMessage().(type) {
		case *uplinkv1.SyncResponse_ComeBack:
			return comeBack(wire.DecodeComeBack(m.ComeBack))
		case *uplinkv1.SyncResponse_Welcome:
			w, err := wire.DecodeWelcome(m.Welcome)
			if err != nil {
				return err
			}
			if hello.Lineage != nil {
				if err := s.c.o.Lineage.Begun(hello.Lineage.Next, w.Receipt); err != nil {
					s.c.o.Log.Error("the next session will look like this one's repetition", "error", err)
				}
			}
			if err := store.SetReceived(w.Received); err != nil {
				return fmt.Errorf("take in what the hub has: %w", err)
			}
			s.sender = newSender(store, s.c.o, w.MaxInFlight)
			s.books.due = store.Pending() <= s.c.o.Fresh // with a longer backlog, readings go first
			s.c.status.welcomed(w.Now, meter.MillisOf(s.c.o.Now()))
			s.c.o.OnTime(w.Now)
			s.c.o.Log.Info("uplink connected", "hub", s.c.o.Hub, "cursor", w.Cursor, "next", hello.Next, "pending", store.Pending())
			return nil
		default:
			return fmt.Errorf("%w: the hub answers hello with %T", wire.ErrInvalid, m)
		}
	case err := <-s.failed:
		return err
	case <-timeout.C:
		return errors.New("the hub does not answer hello")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run sends what there is to send and takes what comes, until the session ends.
func (s *session) run(ctx context.Context, conn *grpc.ClientConn) error {
	tick := time.NewTicker(s.c.o.ReportEvery)
	defer tick.Stop()
	renewal := newRenewal(s.c.o.Identity, s.c.o.Now, s.c.o.Log)
	defer renewal.stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	renewal.start(ctx, conn)
	account := time.NewTicker(s.c.o.LedgerEvery)
	defer account.Stop()
	looked := false
	for {
		// Acks make room, so they are taken before more is sent.
		select {
		case m := <-s.incoming:
			if err := s.take(m); err != nil {
				return err
			}
			continue
		case err := <-s.failed:
			return endOf(err)
		default:
		}
		sent, err := s.sendNext()
		if err != nil {
			return err
		}
		if sent {
			continue
		}
		if !looked {
			// A window of readings goes before the first report, so that a report which the hub cannot store, for whatever
			// reason, and which therefore ends every session, does not keep readings from getting through.
			looked, s.lookOut = true, true
			continue
		}
		s.c.status.inFlight(s.sender.readings)
		select {
		case m := <-s.incoming:
			err = s.take(m)
		case err := <-s.failed:
			return endOf(err)
		case <-s.c.o.Store.Changed():
		case <-tick.C:
			s.lookOut = true
			renewal.start(ctx, conn)
			if s.sender.overdue(time.Now(), s.c.o.AckTimeout) {
				err = fmt.Errorf("no ack within %s", s.c.o.AckTimeout)
			}
		case <-account.C:
			s.books.due = true
		case <-s.books.pace:
			s.books.pace = nil
		case <-s.c.o.Identity.Changed():
			err = errReconnect
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// sendNext sends a report if there is one, or else a batch if there is one and the window has room.
func (s *session) sendNext() (sent bool, err error) {
	if sent, hold, err := s.sendLedger(); sent || hold || err != nil {
		return sent, err
	}
	if s.reported == nil && s.lookOut {
		s.lookOut = false
		r, err := s.c.o.Outbox.NextReport()
		if err != nil {
			return false, fmt.Errorf("read what is to be reported: %w", err)
		}
		if !r.Empty() {
			s.reports++
			r.ID = s.reports
			s.reported = &r
			return true, s.send(&uplinkv1.SyncRequest{Message: &uplinkv1.SyncRequest_Report{Report: wire.EncodeReport(r)}})
		}
	}
	b, ok, err := s.sender.next()
	if err == nil && !ok {
		return s.sendResent()
	}
	if err != nil {
		return false, err
	}
	if err := s.declare(b); err != nil {
		return false, err
	}
	s.sender.sent(b, time.Now())
	return true, s.send(&uplinkv1.SyncRequest{Message: &uplinkv1.SyncRequest_Batch{Batch: wire.EncodeBatch(b)}})
}

// declare sends every series known by now if b uses one that this session has not declared.
func (s *session) declare(b wire.Batch) error {
	known := true
	for _, block := range b.Blocks {
		known = known && s.declared[block.Series]
	}
	if known {
		return nil
	}
	var fresh []wire.Series
	for _, series := range s.c.o.Store.Series() {
		if !s.declared[series.ID] {
			s.declared[series.ID] = true
			fresh = append(fresh, series)
		}
	}
	for _, block := range b.Blocks {
		if !s.declared[block.Series] {
			return fmt.Errorf("batch from %d uses series %d, which the store does not know", b.First, block.Series)
		}
	}
	for len(fresh) > 0 {
		n := min(len(fresh), wire.MaxSeries)
		m := &uplinkv1.SyncRequest{Message: &uplinkv1.SyncRequest_Declaration{Declaration: wire.EncodeDeclaration(fresh[:n])}}
		if err := s.send(m); err != nil {
			return err
		}
		fresh = fresh[n:]
	}
	return nil
}

// take does what the hub's message says.
func (s *session) take(m *uplinkv1.SyncResponse) error {
	switch m := m.GetMessage().(type) {
	case *uplinkv1.SyncResponse_Ack:
		a, err := wire.DecodeAck(m.Ack)
		if err != nil {
			return err
		}
		f, ok := s.sender.landed(a.Range)
		if !ok {
			return fmt.Errorf("%w: ack of [%d, %d), which is not in flight", wire.ErrInvalid, a.Range.First, a.Range.End)
		}
		if err := s.c.o.Store.Ack(a.Range); err != nil {
			return fmt.Errorf("note ack: %w", err)
		}
		s.progress, s.overlaps = true, 0
		if f.readings > 0 {
			s.c.aside = 0
			s.sender.release()
		}
		s.c.status.acked(f.readings, s.c.o.Now())
	case *uplinkv1.SyncResponse_Overlap:
		o, err := wire.DecodeOverlap(m.Overlap)
		if err != nil {
			return err
		}
		if _, ok := s.sender.landed(o.Range); !ok {
			return fmt.Errorf("%w: overlap of [%d, %d), which is not in flight", wire.ErrInvalid, o.Range.First, o.Range.End)
		}
		if s.overlaps++; s.overlaps > maxOverlaps {
			return fmt.Errorf("the hub holds [%d, %d) in part again and again: it does not divide where this store does", o.Range.First, o.Range.End)
		}
		s.c.o.Log.Warn("the hub holds a batch in part", "first", o.Range.First, "end", o.Range.End, "cursor", o.Cursor)
		if err := s.c.o.Store.SetReceived(o.Received); err != nil {
			return fmt.Errorf("take in what the hub has: %w", err)
		}
	case *uplinkv1.SyncResponse_Refusal:
		r, err := wire.DecodeRefusal(m.Refusal)
		if err != nil {
			return err
		}
		f, ok := s.sender.landed(r.Range)
		if !ok {
			return fmt.Errorf("%w: refusal of [%d, %d), which is not in flight", wire.ErrInvalid, r.Range.First, r.Range.End)
		}
		return s.refused(f, r.Reason)
	case *uplinkv1.SyncResponse_ReportAck:
		ack, err := wire.DecodeReportAck(m.ReportAck)
		if err != nil {
			return err
		}
		if s.reported == nil || s.reported.ID != ack.ID {
			return fmt.Errorf("%w: ack of report %d, which was not sent", wire.ErrInvalid, ack.ID)
		}
		if ack.Refused > 0 {
			s.c.status.unreportable(ack.Refused)
			s.c.o.Log.Error("the hub can never store entries of a report; they stay here alone", "entries", ack.Refused, "reason", ack.Reason)
		}
		if err := s.c.o.Outbox.ReportAcked(*s.reported); err != nil {
			return fmt.Errorf("note that a report arrived: %w", err)
		}
		s.reported, s.lookOut = nil, true
		s.progress = true
	case *uplinkv1.SyncResponse_LedgerAck:
		return s.compared(wire.DecodeLedgerAck(m.LedgerAck))
	case *uplinkv1.SyncResponse_Resend:
		r, err := wire.DecodeResend(m.Resend)
		if err != nil {
			return err
		}
		s.asked(r)
	case *uplinkv1.SyncResponse_ResentAck:
		s.resent(wire.DecodeResentAck(m.ResentAck))
	case *uplinkv1.SyncResponse_ComeBack:
		return comeBack(wire.DecodeComeBack(m.ComeBack))
	case *uplinkv1.SyncResponse_Config:
		config, err := wire.DecodeSiteConfig(m.Config)
		if err != nil {
			return err
		}
		s.c.o.OnConfig(config)
	case *uplinkv1.SyncResponse_Weather:
		w, err := wire.DecodeWeather(m.Weather)
		if err != nil {
			return err
		}
		s.c.o.OnWeather(w)
	case *uplinkv1.SyncResponse_Models:
		models, err := wire.DecodeModels(m.Models)
		if err != nil {
			return err
		}
		s.c.o.OnModels(models)
	case *uplinkv1.SyncResponse_Welcome:
		return fmt.Errorf("%w: a second welcome", wire.ErrInvalid)
	default:
		// A newer hub's message of a kind that this agent does not know.
	}
	return nil
}

// refused divides the batch f, which the hub can never store, until what is bad is one atom, and sets that aside. When it
// comes to that too often with nothing acked between, the fault is likely the hub's: then f is held back as it is.
func (s *session) refused(f flight, reason string) error {
	switch {
	case f.readings == 0:
		return fmt.Errorf("the hub refuses [%d, %d), which holds nothing: %s", f.First, f.End, reason)
	case s.c.aside >= maxAside:
		s.sender.hold(f.Range)
		s.c.status.refusedAll(reason)
		s.c.o.Log.Error("the hub refuses one batch after another: this one is held back until it takes another", "first", f.First, "end", f.End, "reason", reason)
		return nil
	case s.sender.divide(f):
		s.c.o.Log.Warn("the hub can never store this batch: sending it in parts", "first", f.First, "end", f.End, "reason", reason)
		return nil
	}
	s.c.aside++
	if err := s.c.o.Store.SetAside(f.Range, reason); err != nil {
		return err
	}
	s.c.status.setAside(f.readings)
	s.c.o.Log.Error("readings that the hub can never store are set aside in the quarantine", "first", f.First, "end", f.End, "reason", reason)
	return nil
}

// send sends m. When the stream is broken, Send says only EOF; the reason comes from the receiver, behind what the hub said
// before.
func (s *session) send(m *uplinkv1.SyncRequest) error {
	err := s.stream.Send(m)
	for errors.Is(err, io.EOF) {
		select {
		case m := <-s.incoming:
			if err := s.take(m); err != nil {
				return err
			}
		case err := <-s.failed:
			return endOf(err)
		}
	}
	return err
}

func endOf(err error) error {
	if errors.Is(err, io.EOF) {
		return errClosed
	}
	return err
}

// explain returns err without gRPC's wrapping, for people.
func explain(err error) error {
	if s, ok := status.FromError(err); ok && err != nil {
		return fmt.Errorf("%s (%s)", s.Message(), s.Code())
	}
	return err
}

func eachChunk(stream uplinkv1.UplinkService_ArtifactClient, fn func([]byte) error) error {
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return explain(err)
		}
		if err := fn(m.GetData()); err != nil {
			return err
		}
	}
}
