package hubtest

import (
	"errors"
	"fmt"

	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
	"fluxora.dev/proto/wire"
)

// SendAway is an error of the hooks that makes the hub send ComeBack.
type SendAway wire.ComeBack

func (s SendAway) Error() string { return "come back" }

// Refuse is an error of BeforeCommit that makes the hub refuse the batch and go on.
type Refuse string

func (r Refuse) Error() string { return string(r) }

// Receipt is what the hub gives for every session of an agent that keeps a lineage. It refuses none.
var Receipt = []byte("receipt")

// Sync implements uplinkv1.UplinkServiceServer.
func (h *Hub) Sync(stream uplinkv1.UplinkService_SyncServer) error {
	if err := h.verified(stream.Context()); err != nil {
		return err
	}
	err := h.sync(stream)
	var away SendAway
	if errors.As(err, &away) {
		return stream.Send(&uplinkv1.SyncResponse{Message: &uplinkv1.SyncResponse_ComeBack{ComeBack: wire.EncodeComeBack(wire.ComeBack(away))}})
	}
	return err
}

func (h *Hub) sync(stream uplinkv1.UplinkService_SyncServer) error {
	tell := make(chan struct{}, 1)
	incoming := make(chan *uplinkv1.SyncRequest)
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
			case <-stream.Context().Done():
				return
			}
		}
	}()
	h.mu.Lock()
	h.sessions++
	h.tellAgain[tell] = true
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.tellAgain, tell)
		h.mu.Unlock()
	}()
	for {
		select {
		case m := <-incoming:
			if h.OnMessage != nil {
				if err := h.OnMessage(m); err != nil {
					return err
				}
			}
			answers, err := h.answer(m)
			if err != nil {
				return err
			}
			for _, a := range answers {
				if err := stream.Send(a); err != nil {
					return err
				}
			}
		case <-tell:
			h.mu.Lock()
			answers := h.announcements()
			h.mu.Unlock()
			for _, a := range answers {
				if err := stream.Send(a); err != nil {
					return err
				}
			}
		case err := <-failed:
			return err
		}
	}
}

// announcements returns what is told at the start and at Announce. h.mu is held.
func (h *Hub) announcements() []*uplinkv1.SyncResponse {
	out := []*uplinkv1.SyncResponse{
		{Message: &uplinkv1.SyncResponse_Config{Config: wire.EncodeSiteConfig(h.config)}},
		{Message: &uplinkv1.SyncResponse_Models{Models: wire.EncodeModels(h.models)}},
	}
	if h.weather != nil {
		out = append(out, &uplinkv1.SyncResponse{Message: &uplinkv1.SyncResponse_Weather{Weather: wire.EncodeWeather(*h.weather)}})
	}
	for _, r := range h.asks {
		out = append(out, &uplinkv1.SyncResponse{Message: &uplinkv1.SyncResponse_Resend{Resend: wire.EncodeResend(r)}})
	}
	h.asks = nil
	return out
}

func (h *Hub) answer(m *uplinkv1.SyncRequest) ([]*uplinkv1.SyncResponse, error) {
	switch m := m.GetMessage().(type) {
	case *uplinkv1.SyncRequest_Hello:
		hello, err := wire.DecodeHello(m.Hello)
		if err != nil {
			return nil, err
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		w := wire.Welcome{Received: h.got(), MaxInFlight: h.MaxInFlight}
		if hello.Lineage != nil {
			w.Receipt = Receipt
		}
		return append([]*uplinkv1.SyncResponse{
			{Message: &uplinkv1.SyncResponse_Welcome{Welcome: wire.EncodeWelcome(w)}},
		}, h.announcements()...), nil
	case *uplinkv1.SyncRequest_Declaration:
		ss, err := wire.DecodeDeclaration(m.Declaration)
		if err != nil {
			return nil, err
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, s := range ss {
			if old, ok := h.declared[s.ID]; ok && old != s.Series {
				return nil, fmt.Errorf("series %d declared as %v and %v", s.ID, old, s.Series)
			}
			h.declared[s.ID] = s.Series
		}
		return nil, nil
	case *uplinkv1.SyncRequest_Batch:
		b, err := wire.DecodeBatch(m.Batch)
		if err != nil {
			return nil, err
		}
		if h.BeforeCommit != nil {
			err := h.BeforeCommit(b)
			if refuse, ok := errors.AsType[Refuse](err); ok {
				r := wire.Refusal{Range: b.Range(), Reason: string(refuse)}
				return []*uplinkv1.SyncResponse{{Message: &uplinkv1.SyncResponse_Refusal{Refusal: wire.EncodeRefusal(r)}}}, nil
			}
			if err != nil {
				return nil, err
			}
		}
		h.mu.Lock()
		overlap, err := h.commit(b)
		got := h.got()
		h.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if h.AfterCommit != nil {
			if err := h.AfterCommit(b); err != nil {
				return nil, err
			}
		}
		if overlap {
			o := wire.Overlap{Range: b.Range(), Received: got}
			return []*uplinkv1.SyncResponse{{Message: &uplinkv1.SyncResponse_Overlap{Overlap: wire.EncodeOverlap(o)}}}, nil
		}
		a := wire.Ack{Range: b.Range(), Cursor: got.Cursor}
		return []*uplinkv1.SyncResponse{{Message: &uplinkv1.SyncResponse_Ack{Ack: wire.EncodeAck(a)}}}, nil
	case *uplinkv1.SyncRequest_Report:
		r, err := wire.DecodeReport(m.Report)
		if err != nil {
			return nil, err
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.reports = append(h.reports, r)
		ack := wire.ReportAck{ID: r.ID, Refused: h.RefuseEntries, Reason: "refused on purpose"}
		return []*uplinkv1.SyncResponse{{Message: &uplinkv1.SyncResponse_ReportAck{ReportAck: wire.EncodeReportAck(ack)}}}, nil
	}
	if l := m.GetLedger(); l != nil {
		told, err := wire.DecodeLedger(l)
		if err != nil {
			return nil, err
		}
		ack := wire.LedgerAck{ID: told.ID, Compared: true}
		if h.OnLedger != nil {
			ack = h.OnLedger(told)
		}
		return []*uplinkv1.SyncResponse{{Message: &uplinkv1.SyncResponse_LedgerAck{LedgerAck: wire.EncodeLedgerAck(ack)}}}, nil
	}
	if r := m.GetResent(); r != nil {
		part, err := wire.DecodeResent(r)
		if err != nil {
			return nil, err
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, b := range part.Blocks {
			if _, ok := h.declared[b.Series]; !ok {
				return nil, errUndeclared
			}
		}
		h.resent = append(h.resent, part)
		a := wire.ResentAck{ID: part.ID, To: part.To}
		return []*uplinkv1.SyncResponse{{Message: &uplinkv1.SyncResponse_ResentAck{ResentAck: wire.EncodeResentAck(a)}}}, nil
	}
	return nil, fmt.Errorf("unknown message %T", m.GetMessage())
}
