// Package holiday knows on which local dates the people of a country do not work: public and bank holidays, with the days
// they are moved to when they fall on a weekend.
//
// The tables are those of github.com/rickar/cal, mended and added to where they differ from what npm's date-holidays says
// of 2015 to 2027 (own.go names each; testdata/compare.mjs compares). The package must not know energy or features.
//
// Countries are named by ISO 3166-1 alpha-2, parts of them by ISO 3166-2: NO, DE-BY, AU-NSW. A country alone means the days
// that are free everywhere in it. School holidays differ from town to town and year to year: sites give them (Range).
package holiday
