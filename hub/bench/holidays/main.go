// Command holidays lists where working days differ from a file that compare.mjs wrote. It is for people to judge: neither side is
// always right.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"fluxora.dev/shared/holiday"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: holidays FILE, as hub/bench/holidays/compare.mjs writes it")
		os.Exit(2)
	}
	if err := compare(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "holidays:", err)
		os.Exit(1)
	}
}

// compare prints the working days of 2015 to 2027 that one side alone takes for a holiday.
func compare(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var theirs map[string]map[string]string // country → day → name
	if err := json.Unmarshal(text, &theirs); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	countries := make([]string, 0, len(theirs))
	for country := range theirs {
		countries = append(countries, country)
	}
	slices.Sort(countries)
	for _, country := range countries {
		ours, err := holiday.Of(country)
		if err != nil {
			fmt.Println(err)
			continue
		}
		for d := holiday.On(2015, 1, 1); d < holiday.On(2028, 1, 1); d++ {
			if name, ok := theirs[country][d.String()]; d.Weekday() < 5 && ok != ours.Has(d) {
				fmt.Printf("%s %s: here %v, there %v %s\n", country, d, ours.Has(d), ok, name)
			}
		}
	}
	return nil
}
