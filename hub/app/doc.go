// Package app builds the hub out of its parts and runs it. It is the only package of the hub that other modules import.
//
// Open gives the parts that every command needs: the database (a private Postgres when no URL is configured), the
// organisation and the authority. New adds what `fluxora-hub serve` runs: the uplink for agents, deriving, training and the
// REST interface. Everything is built in a straight line and taken down in reverse.
package app
