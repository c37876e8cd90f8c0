package account

import "sync"

// kept is what was found out, by key: at most mostKept of it. When it is full it begins anew, which costs each caller one look.
type kept[K comparable, V any] struct {
	mu sync.RWMutex
	m  map[K]V
}

func (k *kept[K, V]) get(key K) (V, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	v, ok := k.m[key]
	return v, ok
}

func (k *kept[K, V]) put(key K, v V) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.m == nil || len(k.m) >= mostKept {
		k.m = map[K]V{}
	}
	k.m[key] = v
}

func (k *kept[K, V]) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.m = nil
}
