package status

import "time"

// Overview is the agent at a glance: its books and its connections.
type Overview struct {
	Site    string `json:"site"`
	Agent   string `json:"agent,omitempty"` // id; absent until enrolled
	Version string `json:"version"`

	Readings Books      `json:"readings"`
	Store    StoreUse   `json:"store"`
	Broker   Connection `json:"broker"`
	Hub      Connection `json:"hub"`
	Model    string     `json:"model,omitempty"`   // id of the active model; absent without one
	Weather  *Weather   `json:"weather,omitempty"` // absent when none is known
}

// Weather is how far what is known of the weather at the site goes.
type Weather struct {
	ObservedTo *time.Time `json:"observed_to,omitempty"`
	Issued     *time.Time `json:"forecast_issued,omitempty"` // the newest forecast
}

// Books is the account of every reading taken: Received = Delivered + Evicted + Thinned + Pending. What was quarantined or came twice
// was never given a sequence and is counted apart.
type Books struct {
	Received    uint64 `json:"received"`
	Delivered   uint64 `json:"delivered"` // the hub has committed them
	Evicted     uint64 `json:"evicted"`   // lost to the byte cap or to damage before the hub had them
	Thinned     uint64 `json:"thinned"`   // spared for room, with the energy of their intervals in others
	Pending     uint64 `json:"pending"`
	Quarantined uint64 `json:"quarantined"` // messages kept aside with a reason
	Duplicates  uint64 `json:"duplicates"`  // came again with the same value, since the start
}

// StoreUse is how much of the disk is used, and how it wears.
type StoreUse struct {
	Bytes          int64    `json:"bytes"`
	MaxBytes       int64    `json:"max_bytes"`
	HoursUntilFull *float64 `json:"hours_until_full,omitempty"` // if the hub takes nothing; absent while no readings come
	WrittenPerDay  int64    `json:"written_per_day"`            // bytes
	SecondsAtRisk  float64  `json:"seconds_at_risk"`            // a reading may wait as long before it is durable
}

// Connection is how the agent stands with the broker or the hub.
type Connection struct {
	Address   string     `json:"address,omitempty"` // absent when none is configured
	Connected bool       `json:"connected"`
	Since     *time.Time `json:"since,omitempty"`
	LastAck   *time.Time `json:"last_ack,omitempty"`
	LastError string     `json:"last_error,omitempty"`
}
