// Package featurestore keeps specs of features under names and makes rows of features as they were known.
//
// It knows what the hub held of a point at an origin in the past, and writes rows to files. It must not know models.
//
// # As known at the origin
//
// A row shows what an agent at the site could know at its origin:
//
//   - Of a reading that was corrected later it has the value from before: table correction keeps it, and when the later one
//     arrived. The stretch from the reading before on is folded into intervals anew.
//   - A reading that only reached the hub late, after an outage, counts at its own time: the agent had it.
//   - Weather follows the rules of package feature.
//   - The actual beside the features is the energy as it is known now: it is what a model should have said.
//
// Rows come from feature.Builder, the code that agents run, so they are the rows that the agent had, bit for bit, as far as
// country, vacations and facts of the site are as they were.
package featurestore
