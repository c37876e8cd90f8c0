// Package account knows who may call the hub: people with passwords, their sessions and tokens, API keys, and how all of these end.
// It turns a credential into an access.Caller. It must not know HTTP, and SQL stays in package store.
//
// # States
//
// An account is active or switched off, or gone. A session begins with a login and is over when it expires, when it is ended, or with its
// account; it never begins again. Of its refresh tokens exactly one is unused at any time. An access token is good while its time lasts
// and its session goes on. An API key is good until it expires or is revoked. A signing key lives in the memory of the process
// that made it, for a day; its public half is in the database for as long as a token of it can be good.
//
// # Invariants
//
//   - No secret has a default, and none is stored: of passwords the database has argon2id, of refresh tokens, API keys and invitations
//     (256 random bits each) SHA-256, of signing keys the public half. So whoever reads the database can log in as nobody.
//   - A token says whose session it is, never what it may do: role, organisation and whether it still goes on are read from the
//     database and kept for two seconds (while the database cannot be asked, for a minute). What is taken away is gone within that time on every replica,
//     and at once on the one that took it away.
//   - Accounts are named by an id that is never used again, not by address: a token of a deleted account is not one of whoever
//     registers the address next.
//   - A change of the password, switching off and deleting end all sessions in the same transaction.
//   - A refresh token that comes a second time ends its session: either it or its successor is in the wrong hands.
//   - A login takes as long for an address that nobody has as for one that somebody has, and is answered with the same words.
//   - At most as many passwords are hashed at once as there are processors, at most four; the others wait. So logins cannot take the memory.
//   - Failed logins are counted by account, by address and by both, in the database, hence over all replicas and restarts. Each count delays
//     the next attempt for at most a quarter of an hour, attempts within the delay are not counted, and who logged in from an address
//     before is not held up by what others do to the account: nobody can be locked out for ever.
//   - Every change is in the audit log by the transaction that makes it.
//
// # After a crash
//
// Nothing here is in memory but signing keys and what can be read again. A process that starts makes a new signing key; tokens of the one
// before stay good by its public half until they expire.
package account
