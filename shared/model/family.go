package model

// The families.
const (
	FamilyGBDT      = "gbdt"      // gradient-boosted trees on an anchor, with calibrated spread
	FamilyQuantiles = "quantiles" // boosted trees that learn each level themselves, on an anchor
	FamilySeasonal  = "seasonal"  // a mean of the same hour in earlier weeks, with calibrated quantiles
	FamilyForest    = "forest"    // a random forest on an anchor that predicts distributions
	FamilyLinear    = "linear"    // a line through lags, calendar and weather, with calibrated spread
	FamilyLSTM      = "lstm"      // an encoder of the past and a decoder of each step, on an anchor
	FamilyAdditive  = "additive"  // a sum of trend, waves, holidays and weather that a person can read
	FamilyWeeks     = "weeks"     // a line through every hour of the last weeks, for each step
	FamilyBoosted   = "boosted"   // trees on what a line leaves
	FamilyByPoint   = "by-point"  // models of one family, one for each of some points and one for all others
	FamilyEnsemble  = "ensemble"  // a weighted mean of models of the other families
)

// decoder reads what encode of a family has written, for rows of so many features.
type decoder func(r *reader, features int, levels []float64) (Model, error)

// encoder is what the models of all families have beside Model's methods.
type encoder interface{ encode(w *writer) }

// decoders lists the families that this build reads.
func decoders() map[string]decoder {
	return map[string]decoder{
		FamilyGBDT: decodeGBDT, FamilyQuantiles: decodeQuantiles, FamilySeasonal: decodeSeasonal, FamilyLinear: decodeLinear, FamilyLSTM: decodeLSTM,
		FamilyBoosted: decodeBoosted, FamilyEnsemble: decodeMixture, FamilyForest: decodeForest, FamilyAdditive: decodeAdditive,
		FamilyWeeks: decodeWeeks, FamilyByPoint: decodeByPoint,
	}
}
