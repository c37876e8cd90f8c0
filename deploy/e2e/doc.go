// Package e2e proves the promises that no single program can keep alone, with the real programs, a real Mosquitto and a
// real Postgres. Its folders hold what that takes: stage runs the programs, rest asks them, broker and demo are `make demo`.
// The race detector sees nothing of programs that a test builds and starts, so `make race` leaves this package and arch out.
package e2e
