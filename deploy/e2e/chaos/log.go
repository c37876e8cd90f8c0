package chaos

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// roundLog is what was done in a round.
type roundLog struct {
	mu    sync.Mutex
	began time.Time
	lines []string
}

func (l *roundLog) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.began, l.lines = time.Now(), nil
}

func (l *roundLog) note(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf("%s %7.3f s  %s", time.Now().Format("15:04:05"), time.Since(l.began).Seconds(), what))
}

// kinds lists the faults.
func (l *roundLog) kinds() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ks []string
	for _, line := range l.lines {
		if _, kind, ok := strings.Cut(line, " s  begin "); ok {
			ks = append(ks, kind)
		}
	}
	if len(ks) == 0 {
		return "no fault"
	}
	return strings.Join(ks, ", ")
}

// String returns the log, a line each.
func (l *roundLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return "  " + strings.Join(l.lines, "\n  ") + "\n"
}
