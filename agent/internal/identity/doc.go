// Package identity knows who this agent is: its key, its certificate, and the hub it trusts.
//
// It must not know readings or models. All it keeps is one file, identity.json (mode 0600), with the key, the certificate,
// the CA and the key that verifies artifacts, replaced whole (written aside, synced, renamed, directory synced), so that
// after a crash at any instant key and certificate belong together.
//
// Enrolment. The key is made here and never leaves. Before the first request it is saved as enrolling.json, so that a lost
// answer or a power cut costs nothing: the hub takes the same token again from the same key. The token is read, not
// verified, for one thing, the SHA-256 of the hub's CA certificate; the connection is used only if the hub shows a
// certificate of that CA for the name it was dialled by. So whoever made the token decides which hub is trusted, and nobody
// between can pose as it.
//
// Renewal. At two thirds of the certificate's life the agent asks for another through mutual TLS, for the same key: the key is
// the agent, whose id is derived from it. When the answer is lost, the old certificate still serves and the question
// is repeated. New connections use the new certificate at once: the TLS configuration asks for it at every handshake.
//
// Lineage. Beside it the file lineage holds the names of this agent's sessions, by which the hub tells it from a copy of it.
//
// Expiry. With a certificate that expired while the gateway was offline the hub opens no session, but renews it for as long after as
// its uplink.renew_within says, a year by default; what was measured meanwhile is sent then. Later than that, or when it was revoked,
// the agent says so and keeps measuring and forecasting. It must be enrolled again with a new token, which keeps the
// key and so the agent's id, epoch and sequences.
package identity
