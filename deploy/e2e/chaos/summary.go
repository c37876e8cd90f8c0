package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Summary is the outcome of a campaign.
type Summary struct {
	Rounds, Faults            int
	Acknowledged              int // instants with a value
	Lost, Doubled, Unbalanced int
	Named                     int // lost with files that a fault destroyed, and named by the agent
	ByKind                    map[string]int
	AgentMemory, HubMemory    int64 // highest seen at the end of a round, bytes
	AgentDisk                 int64
	Duplicates, Corrections   int64         // as the hub counts them
	Messages                  int           // acked by the broker
	Longest                   time.Duration // of the rounds
	LongestSettling           time.Duration
	LongestStop               time.Duration // of the agent, by its own grace
	Cannot                    map[string]string
	Took                      time.Duration
}

// String returns the one line that a campaign ends with.
func (s Summary) String() string {
	return fmt.Sprintf("rounds=%d faults=%d acknowledged=%d lost=%d doubled=%d unbalanced=%d", s.Rounds, s.Faults, s.Acknowledged, s.Lost, s.Doubled, s.Unbalanced)
}

// Table returns what was done, a kind of fault in each line, and what was not and why.
func (s Summary) Table() string {
	var b strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(s.ByKind)) {
		fmt.Fprintf(&b, "%6d  %s\n", s.ByKind[kind], kind)
	}
	for _, kind := range slices.Sorted(maps.Keys(s.Cannot)) {
		fmt.Fprintf(&b, "  none  %s: %s\n", kind, s.Cannot[kind])
	}
	return b.String()
}
