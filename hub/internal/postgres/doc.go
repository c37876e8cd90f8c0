// Package postgres runs a private Postgres server for a hub that was given no database URL. It knows processes, files and
// privileges; it must not know what the hub stores.
//
// # Privileges
//
// Nobody gets in by default. The server listens on no TCP address, only on a Unix socket in a directory of mode 0700.
// Connections are authenticated by the kernel (method peer, with a map from the hub's own operating-system user to the
// roles postgres, fluxora and fluxora_request), so there is no password to generate, keep or leak, and any other user of the machine is
// refused even if he reached the socket. Every other way in is rejected in pg_hba.conf. The hub works as role
// fluxora, which owns its database and is no superuser, and serves requests as fluxora_request, which owns nothing. Postgres refuses to run as root; a root hub therefore starts it
// as the system user postgres or, without one, nobody.
//
// # States after a crash, and recovery
//
//   - During initdb: the cluster is made in data.new and renamed to data when complete; a data.new found at start is
//     removed.
//   - The hub dies: the kernel sends the server SIGINT (a fast shutdown) through the parent-death signal. The next hub takes the
//     lock on the directory, waits for that server to end or ends it, and starts its own. A live hub holds the lock,
//     so two hubs never share a directory.
//   - The server or the machine dies: Postgres replays its log. A postmaster.pid whose number now belongs to some other
//     process is removed, which Postgres itself would not dare; processes left from the dead server are waited for.
//
// Durability is Postgres's default: fsync and synchronous_commit stay on. Only tests ask for Ephemeral.
package postgres
