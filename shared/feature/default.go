package feature

// Default returns the spec for horizons of a day or two at any resolution, also for points of which neither country nor
// weather is known. It names no day of the year: in histories of a
// year or less each day occurs once, and trees would learn dates by heart.
func Default() Spec {
	s, err := ParseSpec(defaultText)
	if err != nil {
		panic(err) // a constant that a test parses
	}
	return s
}

const defaultText = `fluxora-features 1
lead
day 1
day 1 -1h
day 1 1h
day 2
day 3
day 4
day 5
day 6
day 7
change 7
week 1
week 1 -1h
week 1 1h
week 2
week 3
week 4
days mean 7
days std 7
days min 7
days max 7
weeks mean 4
weeks std 4
similar mean 4
shift 4
window mean 1h
window mean 3h
window mean 24h
window std 24h
window min 24h
window max 24h
window mean 168h
window std 168h
window std 672h
window max 672h
drift day 1
drift day 2
drift day 3
drift week 1
drift 1h
drift 3h
drift 24h
drift 168h
stray 24h
stray 168h
level 24h 168h
level 1h 24h
complete 168h
age 672h
hour
quarter
weekday
weekend
kind
holiday
holiday before
holiday after
holiday day 1
holiday week 1
holidays near 3
bridge
vacation
vacation day 1
vacation week 1
temperature
temperature mean 24h
temperature mean 72h
warmer days 7
warmer weeks 4
response 4
radiation
radiation mean 3h
`
