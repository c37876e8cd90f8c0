// Package access says who may do what through the hub's REST interface: callers, roles, scopes, tiers, and what a route needs of
// its caller. It is what package api, which asks, and package account, which knows people and keys, agree on; it knows no HTTP,
// no SQL and no secrets.
//
// Invariants:
//   - The zero value of everything here opens nothing: a Caller without a role is nobody, one without scopes has none, and a
//     Need that was not stated lets nobody in.
//   - A role and a scope are both needed. The role bounds what a caller may ever do, the scopes what this credential is good for.
package access
