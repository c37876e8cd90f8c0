package topic

import (
	"math"
	"strconv"

	"fluxora.dev/shared/meter"
)

var pow10 = [20]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}

// ParseDecimal returns the JSON number b times 10 to the power exp10, exactly, rounded half to even. With exp10 = 6 it
// turns kilowatt-hours into milliwatt-hours. The error is an *Error: anything but a JSON number, and what does not fit
// an int64, is a bad value. No length of number or exponent takes more than one pass.
func ParseDecimal(b []byte, exp10 int) (int64, error) {
	i, neg := 0, false
	if len(b) > 0 && b[0] == '-' {
		i, neg = 1, true
	}
	var (
		mant    uint64 // the first significant digits, at most 19
		digits  int    // how many
		exp     = int64(exp10)
		dropped byte // the first digit that found no room
		more    bool // a digit after that is not zero
		lost    int64
	)
	add := func(c byte) {
		switch {
		case digits < 19:
			if mant > 0 || c > '0' {
				mant = mant*10 + uint64(c-'0')
				digits++
			}
		case lost == 0:
			dropped = c - '0'
			lost++
		default:
			more = more || c > '0'
			lost++
		}
	}
	start := i
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		add(b[i])
	}
	if i == start || b[start] == '0' && i > start+1 {
		return 0, badNumber(b)
	}
	if i < len(b) && b[i] == '.' {
		i++
		start = i
		for ; i < len(b) && b[i]-'0' <= 9; i++ {
			add(b[i])
		}
		if i == start {
			return 0, badNumber(b)
		}
		exp -= int64(i - start)
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		sign := int64(1)
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			if b[i] == '-' {
				sign = -1
			}
			i++
		}
		start = i
		e := int64(0)
		for ; i < len(b) && b[i]-'0' <= 9; i++ {
			e = min(e*10+int64(b[i]-'0'), math.MaxInt32)
		}
		if i == start {
			return 0, badNumber(b)
		}
		exp += sign * e
	}
	if i != len(b) {
		return 0, badNumber(b)
	}
	v, ok := scale(mant, exp+lost, dropped, more)
	if !ok {
		return 0, refuse(meter.BadValue, "number %s is too large", shorten(string(b)))
	}
	if neg {
		return -v, nil
	}
	return v, nil
}

// scale returns mant × 10^exp rounded half to even, where mant was followed by a dropped digit and maybe more.
func scale(mant uint64, exp int64, dropped byte, more bool) (int64, bool) {
	switch {
	case mant == 0 || exp < -19:
		return 0, true
	case exp > 0:
		if exp > 18 || mant > math.MaxInt64/pow10[exp] {
			return 0, false
		}
		return int64(mant * pow10[exp]), true
	case exp == 0:
		if dropped > 5 || dropped == 5 && (more || mant%2 == 1) {
			mant++
		}
	default:
		d := pow10[-exp]
		r := mant % d
		mant /= d
		if more || dropped > 0 {
			more = true
		}
		if r > d-r || r == d-r && (more || mant%2 == 1) {
			mant++
		}
	}
	return int64(mant), mant <= math.MaxInt64
}

func badNumber(b []byte) *Error {
	return refuse(meter.BadValue, "%s is not a number: want one as 12345.678, without quotes", shorten(string(b)))
}

// appendDecimal appends v × 10^-exp without trailing zeros.
func appendDecimal(dst []byte, v int64, exp int) []byte {
	u := uint64(v)
	if v < 0 {
		dst = append(dst, '-')
		u = -u
	}
	dst = strconv.AppendUint(dst, u/pow10[exp], 10)
	frac := u % pow10[exp]
	if frac == 0 {
		return dst
	}
	dst = append(dst, '.')
	for i := exp - 1; frac > 0; i-- {
		dst = append(dst, '0'+byte(frac/pow10[i]))
		frac %= pow10[i]
	}
	return dst
}
