package identity

import (
	"context"
	"errors"
	"fmt"

	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
	"google.golang.org/grpc"
)

// Renew asks the hub, over a connection that this identity opened, for a new certificate for its key, and puts it in force.
// When it fails, everything stays as it was.
func (id *Identity) Renew(ctx context.Context, conn grpc.ClientConnInterface) error {
	old := id.read()
	csr, err := request(old.Key)
	if err != nil {
		return fmt.Errorf("renew certificate: make signing request: %w", err)
	}
	answer, err := uplinkv1.NewEnrolmentServiceClient(conn).Renew(ctx, &uplinkv1.RenewRequest{Csr: csr})
	if err != nil {
		return fmt.Errorf("renew certificate: %w", err)
	}
	f := old
	f.Certificate, f.Authority, f.ArtifactKey = answer.GetCertificate(), answer.GetAuthority(), answer.GetArtifactKey()
	if err := id.set(f); err != nil {
		return fmt.Errorf("renew certificate: the hub's answer: %w", err)
	}
	if err := save(id.dir, fileName, f); err != nil {
		// What is in force must be what a restart would load.
		return fmt.Errorf("renew certificate: save: %w", errors.Join(err, id.set(old)))
	}
	select {
	case id.changed <- struct{}{}:
	default:
	}
	return nil
}
