package problem_test

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"fluxora.dev/hub/internal/problem"
)

func TestProblem(t *testing.T) {
	for _, tc := range []struct {
		name string
		p    *problem.Problem
		want []string
		not  string
	}{
		{"not found", problem.New(404, "Record not found"), []string{`"title":"Not Found"`, `"detail":"Record not found"`, `"error":{"code":"HTTP_404","message":"Record not found"}`}, "context"},
		{
			"invalid", problem.New(422, "validation failed", &huma.ErrorDetail{Location: "body.consumption_kwh", Message: "expected number >= 0", Value: -1.0}),
			[]string{`"location":"body.consumption_kwh"`, `"code":"VALIDATION_ERROR"`, `"message":"Request validation failed"`, `"loc":["body","consumption_kwh"]`, `"input":-1`},
			"",
		},
		{"internal", problem.New(500, "the log says why", errors.New("x"), nil), []string{`INTERNAL_SERVER_ERROR`, `{"message":"x"}`}, "null"},
		{"secret", problem.New(422, "validation failed", &huma.ErrorDetail{Location: "body.Password", Message: "too short", Value: "hunter2"}), []string{"too short"}, "hunter2"},
		{"whole object", problem.New(422, "validation failed", &huma.ErrorDetail{Location: "body", Message: "unexpected property", Value: map[string]any{"password": "hunter2"}}), nil, "hunter2"},
		{"long", problem.New(422, "validation failed", &huma.ErrorDetail{Location: "query.x", Value: strings.Repeat("é", 1000)}), []string{"…"}, strings.Repeat("é", 60)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, err := json.Marshal(tc.p)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tc.want {
				if !strings.Contains(string(b), want) {
					t.Errorf("%s lacks %s", b, want)
				}
			}
			if tc.not != "" && strings.Contains(string(b), tc.not) {
				t.Errorf("%s has %s", b, tc.not)
			}
		})
	}
}

func TestWrite(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set(problem.RequestIDHeader, "r-1")
	problem.Write(w, 413, "too much")
	if w.Code != 413 || w.Header().Get("Content-Type") != "application/problem+json" || !strings.Contains(w.Body.String(), `"request_id":"r-1"`) {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}
