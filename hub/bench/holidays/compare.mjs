// Writes the holidays of 2015 to 2027 that npm's date-holidays knows of some countries, for the command beside it:
//
//   npm install date-holidays && node compare.mjs NO DE-BY PT … > holidays.json
//   go run fluxora.dev/hub/bench/holidays holidays.json
import Holidays from 'date-holidays'

const out = {}
for (const country of process.argv.slice(2)) {
	const holidays = new Holidays(...country.split('-'))
	const days = {}
	for (let year = 2015; year <= 2027; year++) {
		for (const h of holidays.getHolidays(year)) {
			if (h.type !== 'public' && h.type !== 'bank') continue
			const noon = Date.parse(h.date.slice(0, 10) + 'T12:00:00Z')
			for (let ms = 0; ms < h.end - h.start; ms += 86400e3) {
				days[new Date(noon + ms).toISOString().slice(0, 10)] = h.name
			}
		}
	}
	out[country] = days
}
console.log(JSON.stringify(out))
