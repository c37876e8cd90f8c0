// Package proto holds the protobuf definitions of the uplink between agent and hub, and beside them the Go code generated
// from them (`make generate`). Programs use package wire to convert between these messages and the domain types.
package proto
