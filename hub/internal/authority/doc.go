// Package authority is the hub's own small certificate authority: who is an agent, who is the hub, who signed a model.
//
// It knows keys, certificates and enrolment tokens. It must not know SQL, gRPC or what agents send; whether a certificate
// was revoked and whether a token was used is the store's knowledge.
//
// At first start it makes one secret, kept by the hub's store under one name and so atomically: the CA's ECDSA key and
// self-signed certificate, the Ed25519 key that signs enrolment tokens and the Ed25519 key that signs artifacts. Two hubs
// that start at once on one database agree, because the first to put the secret wins and both read it back.
//
//   - An agent's id is derived from its public key. So an enrolment whose answer was lost can be repeated with the same
//     token and key and gives the same agent; with another key the token counts as used.
//   - An agent's certificate names it in a URI SAN, fluxora://agent/<uuid>, and is good for client authentication only. A
//     server's certificate is good for server authentication only, so no agent can pose as the hub.
//   - An enrolment token is a JWT signed with EdDSA. It carries the organisation, the site, its own id, its expiry and the
//     SHA-256 of the CA certificate, by which the agent knows the hub before it has any other reason to trust it.
//   - A certificate that has expired is good for asking for another, for as long as Options.RenewWithin says: a gateway that was off for
//     a season comes back by itself. Its key speaks for it, and whether it was revoked the store knows for ever.
//   - Certificates are back-dated by five minutes, since a gateway's clock may be slow.
//   - The hub's server certificate lives in memory, is made anew at every start and renewed at two thirds of its life.
package authority
