package rest

import (
	"math"
	"time"
)

// Points is the hub's answer to /v1/points.
type Points struct {
	Points []Point `json:"points"`
}

// Point is a point at the hub.
type Point struct {
	ID        string `json:"id"`
	Site      string `json:"site"`
	Name      string `json:"name"`
	Registers []struct {
		Name string   `json:"name"`
		Last *Reading `json:"last_reading"`
	} `json:"registers"`
}

// Reading is a register's value at an instant.
type Reading struct {
	At    time.Time `json:"at"`
	Value float64   `json:"value"` // Wh or W
}

// Agents is the hub's answer to /v1/agents.
type Agents struct {
	Agents []struct {
		ID         string     `json:"id"`
		Site       string     `json:"site"`
		Revoked    *time.Time `json:"revoked"`
		Received   int64      `json:"received"`
		Backlog    int64      `json:"backlog"`
		Model      string     `json:"model"`
		ModelState string     `json:"model_state"`
		Doubled    *struct {
			Refused int64  `json:"refused"`
			From    string `json:"from"`
		} `json:"doubled"`
	} `json:"agents"`
}

// Models is the hub's answer to /v1/models.
type Models struct {
	Models []struct {
		ID     string  `json:"id"`
		Family string  `json:"family"`
		State  string  `json:"state"`
		Points int     `json:"points"`
		Scores []Score `json:"scores"`
	} `json:"models"`
	Trainings []struct {
		State   string  `json:"state"`
		Stage   string  `json:"stage"`
		Percent float64 `json:"percent"`
		Outcome string  `json:"outcome"`
		Reason  string  `json:"reason"`
	} `json:"trainings"`
}

// Score is how a contender did in a backtest.
type Score struct {
	Contender string  `json:"contender"`
	MASE      float64 `json:"mase"`
	NMAE      float64 `json:"nmae"`
	Coverage  float64 `json:"coverage"`
	Nominal   float64 `json:"nominal"`
}

// Forecast is a forecast, as MQTT, the agent and the hub show it alike.
type Forecast struct {
	Point      string    `json:"point"`
	Origin     time.Time `json:"origin"`
	Rung       string    `json:"rung"`
	Model      string    `json:"model"`
	Issued     time.Time `json:"issued"`
	Levels     []float64 `json:"levels"`
	Steps      []Step    `json:"steps"`
	Provenance *struct {
		Rung   string    `json:"rung"`
		Model  string    `json:"model"`
		Issued time.Time `json:"issued"`
	} `json:"provenance"` // the hub's form
}

// Step is one interval ahead.
type Step struct {
	Start  time.Time `json:"start"`
	Values []float64 `json:"values"` // Wh, at each level
}

// AgentPoints is an agent's answer to /v1/points.
type AgentPoints struct {
	Points []struct {
		ID          string   `json:"id"`
		LastReading *Reading `json:"last_reading"`
		Forecast    *struct {
			Origin time.Time `json:"origin"`
			Rung   string    `json:"rung"`
		} `json:"forecast"`
	} `json:"points"`
}

// Median returns the number of the level nearest to one half.
func (f Forecast) Median() int {
	best := 0
	for i, l := range f.Levels {
		if math.Abs(l-0.5) < math.Abs(f.Levels[best]-0.5) {
			best = i
		}
	}
	return best
}

// Peak returns the number of the step with the highest median.
func (f Forecast) Peak() int {
	m, top := f.Median(), 0
	for i, s := range f.Steps {
		if s.Values[m] > f.Steps[top].Values[m] {
			top = i
		}
	}
	return top
}

// Overview is an agent's answer to /v1/status.
type Overview struct {
	Agent    string     `json:"agent"`
	Readings Books      `json:"readings"`
	Broker   Connection `json:"broker"`
	Hub      Connection `json:"hub"`
	Model    string     `json:"model"` // the active one
	Weather  *Weather   `json:"weather"`
}

// Weather is how far what an agent knows of the weather goes.
type Weather struct {
	ObservedTo *time.Time `json:"observed_to"`
	Issued     *time.Time `json:"forecast_issued"`
}

// Connection is how an agent stands with the broker or the hub.
type Connection struct {
	Connected bool   `json:"connected"`
	LastError string `json:"last_error"`
}

// Books is an agent's account of the readings it took.
type Books struct {
	Received    int64 `json:"received"`
	Delivered   int64 `json:"delivered"`
	Evicted     int64 `json:"evicted"`
	Pending     int64 `json:"pending"`
	Quarantined int64 `json:"quarantined"`
	Duplicates  int64 `json:"duplicates"`
}
