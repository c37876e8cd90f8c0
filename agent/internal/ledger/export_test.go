package ledger

// Unknown returns how many sequences the store dropped before they were counted.
func (b *Books) Unknown() uint64 { return b.unknown().size() }
