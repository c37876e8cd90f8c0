package ingest

import (
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/meter"
)

// Artifact implements uplinkv1.UplinkServiceServer. It holds one chunk in memory and reads the next when the agent has taken
// it.
func (s *Server) Artifact(r *uplinkv1.ArtifactRequest, stream uplinkv1.UplinkService_ArtifactServer) error {
	ctx := stream.Context()
	_, agent, err := s.authenticate(ctx, s.o.Authority.Agent)
	if err != nil {
		return err
	}
	if err := meter.CheckName("model", r.GetId()); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	for offset := r.GetOffset(); ; {
		data, err := s.o.Store.ArtifactChunk(ctx, agent, r.GetId(), offset, wire.ArtifactChunk)
		switch {
		case errors.Is(err, ErrNotFound):
			return status.Error(codes.NotFound, "no such model")
		case err != nil:
			return s.storeFailed(ctx, "read artifact", agent.ID, err)
		case len(data) == 0:
			return nil
		}
		if err := stream.Send(&uplinkv1.ArtifactResponse{Data: data}); err != nil {
			return err
		}
		offset += uint64(len(data))
	}
}
