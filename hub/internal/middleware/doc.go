// Package middleware is what every request passes before its route: id and trace, headers, compression, conditional reads, limits
// of size, time and number, panics. It knows HTTP and nothing of energy, accounts or routes.
//
// Invariants:
//   - Each layer works on any handler, in any order; package api says in which.
//   - An answer is never held back once its handler flushes, so that streams pass all layers.
//   - What a caller sends is repeated in headers and logs only after it was checked.
package middleware
