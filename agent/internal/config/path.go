package config

import (
	"fmt"
	"strconv"
	"strings"
)

// ParsePath reads a way into a JSON document, names joined by dots, each with positions in brackets:
// "StatusSNS.ENERGY.Power[0]". It returns names (string) and positions (int); nothing for an empty path, which is the whole
// document.
func ParsePath(s string) ([]any, error) {
	if s == "" {
		return nil, nil
	}
	var p []any
	for _, part := range strings.Split(s, ".") {
		name, rest, has := strings.Cut(part, "[")
		if name != "" {
			p = append(p, name)
		} else if !has {
			return nil, fmt.Errorf("path %q: an empty name", s)
		}
		for has {
			var number string
			number, rest, _ = strings.Cut(rest, "]")
			n, err := strconv.Atoi(number)
			if err != nil || n < 0 || n > 1<<20 {
				return nil, fmt.Errorf("path %q: [%s]: want a position from 0 on", s, number)
			}
			p = append(p, n)
			if has = strings.HasPrefix(rest, "["); has {
				rest = rest[1:]
			} else if rest != "" {
				return nil, fmt.Errorf("path %q: %q behind a position", s, rest)
			}
		}
	}
	return p, nil
}
