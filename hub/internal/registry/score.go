package registry

import (
	"encoding/json"
	"fmt"
)

// Score is how one contender did in a backtest, over all points and folds.
type Score struct {
	Contender string  `json:"contender" doc:"candidate, active, or the name of a baseline"`
	Model     string  `json:"model,omitempty" doc:"id of the model version; none for baselines"`
	MASE      float64 `json:"mase" doc:"mean absolute error of the median, scaled by the weekly seasonal-naive error"`
	NMAE      float64 `json:"nmae" doc:"mean absolute error of the median as a share of the mean energy"`
	NPinball  float64 `json:"npinball" doc:"mean pinball loss over the levels as a share of the mean energy"`
	Coverage  float64 `json:"coverage" doc:"share of intervals that fell between the lowest and the highest level"`
	Nominal   float64 `json:"nominal" doc:"the share that should have"`
	Bias      float64 `json:"bias" doc:"mean of forecast minus actual as a share of the mean energy"`
	Points    int     `json:"points" doc:"points scored"`
	Folds     int     `json:"folds" doc:"origins scored, over all points"`
}

// EncodeScores returns what the registry stores.
func EncodeScores(scores []Score) (json.RawMessage, error) {
	if scores == nil {
		scores = []Score{}
	}
	b, err := json.Marshal(scores)
	if err != nil {
		return nil, fmt.Errorf("encode scores: %w", err) // a score that is no finite number
	}
	return b, nil
}

// DecodeScores reads what EncodeScores made.
func DecodeScores(b json.RawMessage) ([]Score, error) {
	var scores []Score
	if err := json.Unmarshal(b, &scores); err != nil {
		return nil, fmt.Errorf("decode scores: %w", err)
	}
	return scores, nil
}
