// Package store keeps everything the hub knows in Postgres. It owns all SQL of the hub; it must not know gRPC, HTTP or how
// energy is computed from readings (package derive), and it hands out domain types.
//
// # Invariants
//
//   - Every row belongs to an organisation, every statement names it, every value is a parameter: one tenant never sees
//     another's rows. Requests of tenants run under row-level security besides (see Store.ForRequests and docs/adr/0009).
//   - A batch, the range of sequences it covers and its arrival number at the site are committed in one transaction. A batch whose range
//     is held already has no effect, whenever it comes; one that is held in part is refused with ErrOverlap.
//   - Only blocks that decode are stored, so that whoever reads raw readings later cannot be stopped by one.
//   - What is derived from batches moves together with the count of batches derived (see SiteTx), so a crash at any point
//     loses nothing and repeats nothing.
//
// Migrations are embedded, run under an advisory lock, and only ever go forward.
package store
