package meter

import (
	"fmt"
	"regexp"
)

// Kind says how the values of a register relate to energy.
type Kind uint8

// The kinds.
const (
	Counter Kind = iota + 1 // cumulative energy, mWh: only differences mean anything
	Energy                  // energy since the reading before, mWh
	Power                   // instantaneous power, mW
)

var kindNames = [...]string{"", "counter", "energy", "power"}

// String returns the word for k.
func (k Kind) String() string {
	if k.Valid() {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Valid reports whether k is one of the kinds above.
func (k Kind) Valid() bool { return k >= Counter && k <= Power }

// ParseKind returns the kind that s names.
func ParseKind(s string) (Kind, error) {
	for k := Counter; k <= Power; k++ {
		if s == kindNames[k] {
			return k, nil
		}
	}
	return 0, fmt.Errorf("kind %q: want counter, energy or power", s)
}

// Register names a quantity and a direction, as "energy-import". Table Registers lists them.
type Register string

// The registers known today. Both directions count positive.
const (
	EnergyImport Register = "energy-import"
	EnergyExport Register = "energy-export"
	PowerImport  Register = "power-import"
	PowerExport  Register = "power-export"
)

// RegisterInfo describes a register.
type RegisterInfo struct {
	Name    Register
	OBIS    string // C.D.E of IEC 62056-61, as printed on meters
	Unit    string // base unit; readings are in thousandths of it
	Kind    Kind   // the kind a publisher means when it does not say
	Feeds   Register
	Meaning string
}

// Registers lists every known register.
var registers = []RegisterInfo{
	{EnergyImport, "1.8.0", "Wh", Counter, EnergyImport, "active energy from the grid"},
	{EnergyExport, "2.8.0", "Wh", Counter, EnergyExport, "active energy to the grid"},
	{PowerImport, "1.7.0", "W", Power, EnergyImport, "active power from the grid"},
	{PowerExport, "2.7.0", "W", Power, EnergyExport, "active power to the grid"},
}

// Registers returns every known register, in order. The slice is the caller's.
func Registers() []RegisterInfo { return append([]RegisterInfo(nil), registers...) }

// LookupRegister returns the register with the given name or OBIS code.
func LookupRegister(s string) (RegisterInfo, error) {
	for _, r := range registers {
		if s == string(r.Name) || s == r.OBIS {
			return r, nil
		}
	}
	return RegisterInfo{}, fmt.Errorf("register %q: want one of energy-import (1.8.0), energy-export (2.8.0), power-import (1.7.0), power-export (2.7.0)", s)
}

// SeriesID numbers a series within one agent, from 1. Zero means none.
type SeriesID uint32

// Series is what one register of one physical meter at one point produces. When a meter is exchanged, the point and the
// register stay and the serial number, so the series, is another.
type Series struct {
	Point    string   // the point's name, unique in its site
	Meter    string   // the meter's serial number; empty when the publisher does not tell it
	Register Register // what is measured
	Kind     Kind     // how values relate to energy
	Modulus  int64    // the value at which a counter wraps to zero, in mWh; 0 when unknown
}

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// CheckName returns an error unless s can name a site, a point or a meter: 1 to 64 letters, digits, dots, hyphens or
// underscores, starting with a letter or digit. Such a name is safe in topics, paths, URLs and labels.
func CheckName(what, s string) error {
	if namePattern.MatchString(s) {
		return nil
	}
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return fmt.Errorf("%s %q: want 1 to 64 letters, digits, '.', '_' or '-', starting with a letter or digit", what, s)
}

// Check returns an error that names what is wrong with s.
func (s Series) Check() error {
	if err := CheckName("point", s.Point); err != nil {
		return err
	}
	if s.Meter != "" {
		if err := CheckName("meter", s.Meter); err != nil {
			return err
		}
	}
	if _, err := LookupRegister(string(s.Register)); err != nil {
		return err
	}
	if !s.Kind.Valid() {
		return fmt.Errorf("series %s/%s: kind is missing: want counter, energy or power", s.Point, s.Register)
	}
	if s.Modulus < 0 {
		return fmt.Errorf("series %s/%s: modulus %d mWh: want 0 (unknown) or more", s.Point, s.Register, s.Modulus)
	}
	return nil
}
