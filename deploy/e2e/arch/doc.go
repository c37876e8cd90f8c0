// Package arch runs the golden tests of shared packages as gateways of other architectures would, under qemu: forecasts have
// the same bits everywhere.
package arch
