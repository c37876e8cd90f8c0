package authority

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"

	"github.com/google/uuid"
)

// Receipt returns what proves to this hub, also after its database was set back, that session number count of the agent had that name:
// the number, 8 bytes, and an HMAC over all three, 16 bytes.
func (a *Authority) Receipt(agent uuid.UUID, session []byte, count uint64) []byte {
	number := binary.BigEndian.AppendUint64(nil, count)
	key, err := hkdf.Key(sha256.New, a.token.Seed(), nil, "fluxora session receipt", sha256.Size)
	if err != nil {
		panic(err) // of a length that SHA-256 cannot give, which is a constant
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(agent[:])
	mac.Write(number)
	mac.Write(session)
	return append(number, mac.Sum(nil)[:16]...)
}

// SessionCount returns the number that a receipt proves, 0 when this hub did not make it for that session of the agent.
func (a *Authority) SessionCount(agent uuid.UUID, session, receipt []byte) uint64 {
	if len(receipt) != 24 || len(session) == 0 {
		return 0
	}
	count := binary.BigEndian.Uint64(receipt)
	if !hmac.Equal(receipt, a.Receipt(agent, session, count)) {
		return 0
	}
	return count
}
