package demo

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// screen is where the demo tells what it does: a line for each stage, with the seconds since the start, and on a terminal
// one line at the bottom that changes while a stage lasts.
type screen struct {
	w     io.Writer
	tty   bool
	start time.Time

	mu     sync.Mutex
	bottom bool // the line at the bottom is shown
}

func newScreen(w io.Writer, tty bool) *screen { return &screen{w: w, tty: tty, start: time.Now()} }

func (s *screen) seconds() string { return fmt.Sprintf("%6.1f s", time.Since(s.start).Seconds()) }

// clear removes the line at the bottom; the caller holds the lock.
func (s *screen) clear() {
	if s.bottom {
		fmt.Fprint(s.w, "\r\x1b[K")
		s.bottom = false
	}
}

// print writes text as it is.
func (s *screen) print(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	fmt.Fprintf(s.w, format, args...)
}

// stage announces a stage and returns a function that tells its outcome: done(format, args...), or done() for none.
func (s *screen) stage(name string) func(outcome ...any) {
	s.progress("%s …", name)
	return func(outcome ...any) {
		text := "done"
		if len(outcome) > 0 {
			text = fmt.Sprintf(outcome[0].(string), outcome[1:]...)
		}
		s.print("%s  %-9s %s\n", s.seconds(), name, text)
	}
}

// progress shows a line at the bottom of a terminal, in place of the one before.
func (s *screen) progress(format string, args ...any) {
	if !s.tty {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	fmt.Fprintf(s.w, "%s  %s", s.seconds(), fmt.Sprintf(format, args...))
	s.bottom = true
}
