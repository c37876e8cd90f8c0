package topic

import (
	"encoding/json"
	"errors"

	"fluxora.dev/shared/meter"
)

// Status says on a status topic whether a program is there. The broker publishes it with Online false, as the last will,
// when the program vanishes; At is then when the program connected.
type Status struct {
	Online  bool
	Version string
	At      meter.Millis
}

type statusPayload struct {
	State   string `json:"state"`
	Version string `json:"version,omitempty"`
	At      string `json:"at"`
}

// EncodeStatus returns the payload of s: {"state": "online"|"offline", "version", "at"}.
func EncodeStatus(s Status) []byte {
	p := statusPayload{State: "offline", Version: s.Version, At: string(appendInstant(nil, s.At))}
	if s.Online {
		p.State = "online"
	}
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // three strings always encode
	}
	return b
}

// DecodeStatus reads what EncodeStatus wrote. The error is an *Error.
func DecodeStatus(b []byte) (Status, error) {
	var p statusPayload
	err := json.Unmarshal(b, &p)
	if err == nil && p.State != "online" && p.State != "offline" {
		err = errors.New("want state online or offline")
	}
	at, ok := parseInstant([]byte(p.At))
	if err == nil && !ok {
		err = errors.New("want at, an instant in RFC 3339")
	}
	if err != nil {
		return Status{}, refuse(meter.Malformed, "status: %v", err)
	}
	return Status{Online: p.State == "online", Version: p.Version, At: at}, nil
}
