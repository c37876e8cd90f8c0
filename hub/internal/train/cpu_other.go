//go:build !unix

package train

import "time"

// ProcessCPU returns 0: this system does not say.
func ProcessCPU() time.Duration { return 0 }
