package access

import "slices"

// Scope is one thing that a credential can be good for, as "readings:read".
type Scope string

// Every stands for all scopes. Only people who logged in themselves have it.
const Every Scope = "*"

// The scopes. A new area of the interface adds its own here.
const (
	ReadReadings  Scope = "readings:read" // sites, points, registers, readings, intervals
	WriteReadings Scope = "readings:write"
	ReadForecasts Scope = "forecasts:read"
	ReadModels    Scope = "models:read" // models, trainings, what drifted
	WriteModels   Scope = "models:write"
	ReadFleet     Scope = "fleet:read" // agents, ledger, completeness, quarantine
	WriteFleet    Scope = "fleet:write"
	ReadAlerts    Scope = "alerts:read"
	WriteAlerts   Scope = "alerts:write"
	ReadTariffs   Scope = "tariffs:read" // tariffs, costs, CO2
	WriteTariffs  Scope = "tariffs:write"
	ReadAccounts  Scope = "accounts:read" // people, keys, the organisation itself
	WriteAccounts Scope = "accounts:write"
	ReadAudit     Scope = "audit:read"
	ReadMetrics   Scope = "metrics:read" // of the hub's process
)

// Reads are the scopes that change nothing: what the organisation's one token is good for, people and the audit log aside.
func Reads() []Scope {
	return []Scope{ReadReadings, ReadForecasts, ReadModels, ReadFleet, ReadAlerts, ReadTariffs, ReadMetrics}
}

// Scopes returns all scopes that a key may be given.
func Scopes() []Scope {
	return append(Reads(), WriteReadings, WriteModels, WriteFleet, WriteAlerts, WriteTariffs, ReadAccounts, WriteAccounts, ReadAudit)
}

// ParseScope returns the scope of a name, and whether there is one.
func ParseScope(name string) (Scope, bool) {
	return Scope(name), slices.Contains(Scopes(), Scope(name))
}
