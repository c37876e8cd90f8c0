package account

// HashOf returns the PHC form that another cost would have given.
func HashOf(password string, mib, passes uint32) string {
	return cost{MiB: mib, Passes: passes, Threads: 1}.hash(password)
}

// Matches reports whether a password is that of a PHC form.
func Matches(password, phc string) bool {
	ok, _ := matches(password, phc)
	return ok
}

// MostAtOnce returns how many passwords may be hashed at once.
func MostAtOnce(a *Accounts) int { return cap(a.hasher.slots) }
