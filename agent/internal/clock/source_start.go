package clock

import (
	"crypto/rand"
	"time"
)

// Where the machine does not tell its boots apart, each start of the program counts as one.
var (
	started = time.Now()
	startID = rand.Text()
)

func sinceStart() time.Duration { return time.Since(started) }
