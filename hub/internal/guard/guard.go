package guard

import "bytes"

// Lineage is what the hub keeps of an agent's sessions.
type Lineage struct {
	Current  []byte // name of the session begun last; nil when none was
	Previous []byte // name of the one that it followed; empty when it was the first
	Count    uint64 // number of Current
	Readmit  bool   // the next that would be refused is let in
}

// Knock is what is known of an agent that says Hello.
type Knock struct {
	Keeps      bool   // it keeps a lineage
	Last, Next []byte // names of sessions, as Hello has them
	Count      uint64 // number of Last, if the receipt is this hub's; otherwise 0

	KnownEpoch bool   // the hub knows the epoch of its store
	Sequence   uint64 // that its next reading will get
	Highest    uint64 // the sequences of the epoch that the hub knows to be given end here
}

// Verdict is what becomes of a Hello.
type Verdict int

// The verdicts. Those up to Readmitted let the agent in.
const (
	Welcome    Verdict = iota
	Unguarded          // it keeps no lineage any more
	Forgotten          // its last session is newer than the hub knows: the hub was set back
	Readmitted         // it was let in by hand
	Doubled            // another has followed on its last session: a copy, or an old backup
	NewEpoch           // it is to be let in by hand, once it has begun a new epoch
)

// Admits reports whether the agent is let in.
func (v Verdict) Admits() bool { return v <= Readmitted }

// Answer returns what becomes of l, and of the agent that knocks.
func (l Lineage) Answer(k Knock) (Lineage, Verdict) {
	if !k.Keeps {
		switch {
		case l.Current == nil:
			return l, Welcome
		case l.Readmit:
			return Lineage{}, Readmitted // it knows no new epochs; whoever readmits an old version has to
		case !k.KnownEpoch || k.Sequence >= k.Highest:
			return l, Unguarded
		default:
			return l, Doubled
		}
	}
	switch {
	case l.Current == nil, bytes.Equal(k.Last, l.Current):
		return l.follow(k), Welcome
	case bytes.Equal(k.Last, l.Previous) && bytes.Equal(k.Next, l.Current):
		return l, Welcome
	case k.Count > l.Count:
		return l.follow(k), Forgotten
	case l.Readmit && k.KnownEpoch:
		return l, NewEpoch
	case l.Readmit && len(k.Next) > 0:
		l = l.follow(k)
		l.Readmit = false
		return l, Readmitted
	default:
		return l, Doubled
	}
}

// follow begins the session that k names, if it names one.
func (l Lineage) follow(k Knock) Lineage {
	if len(k.Next) == 0 {
		return l
	}
	return Lineage{Current: k.Next, Previous: k.Last, Count: max(k.Count, l.Count) + 1, Readmit: l.Readmit}
}
