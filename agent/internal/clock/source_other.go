//go:build !linux

package clock

import "time"

func sinceBoot() time.Duration { return sinceStart() }

func bootID() string { return startID }

func synced() bool { return false }
