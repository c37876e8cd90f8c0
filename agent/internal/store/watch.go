package store

// Changed returns a channel that holds a value when readings were appended, or messages quarantined, since it was last
// received from. It serves one receiver; others must Subscribe.
func (s *Store) Changed() <-chan struct{} { return s.changed }

// Subscribe returns a channel of its own for a further receiver, which behaves like that of Changed.
func (s *Store) Subscribe() <-chan struct{} {
	ch := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribers = append(s.subscribers, ch)
	return ch
}

// announce tells every receiver that there is news. The caller holds mu.
func (s *Store) announce() {
	for _, ch := range s.subscribers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
