// Package problem is the one shape of every error that the REST interface answers: problem details (RFC 9457), with the member
// `error` beside them that clients of Fluxora's first interface read. It knows no route and no cause.
package problem

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
)

// RequestIDHeader names a request, in and out.
const RequestIDHeader = "X-Request-Id"

// Problem is an answer that is not what was asked for.
type Problem struct {
	Title     string     `json:"title" doc:"the words of the status" example:"Unprocessable Entity"`
	Status    int        `json:"status" doc:"the HTTP status"`
	Detail    string     `json:"detail" doc:"what is wrong, where, and what would be right"`
	Errors    []*Detail  `json:"errors,omitempty" doc:"each thing that is wrong, when there can be several"`
	RequestID string     `json:"request_id,omitempty" doc:"the header X-Request-Id"`
	First     Compatible `json:"error" doc:"the same for clients of the first interface"`
}

// Detail is one thing that is wrong with a request.
type Detail struct {
	Message  string `json:"message" doc:"what is wrong and what would be right"`
	Location string `json:"location,omitempty" doc:"where: path, query, header or body, and the place in it" example:"body.consumption_kwh"`
	Value    any    `json:"value,omitempty" doc:"what was there, if it is short and no secret"`
}

// Compatible is an error as Fluxora's first interface gave it.
type Compatible struct {
	Code    string   `json:"code" doc:"HTTP_ and the status, VALIDATION_ERROR or INTERNAL_SERVER_ERROR"`
	Message string   `json:"message"`
	Context *Context `json:"context,omitempty"`
}

// Context lists what is wrong with a request, as the first interface did.
type Context struct {
	Errors []Place `json:"errors"`
}

// Place is one of them.
type Place struct {
	Type  string   `json:"type"`
	Loc   []string `json:"loc" example:"body,consumption_kwh"`
	Msg   string   `json:"msg"`
	Input any      `json:"input,omitempty"`
}

// New returns a problem of a status. A detail of it is a *huma.ErrorDetail or any error.
func New(status int, detail string, errs ...error) *Problem {
	detail = short(detail, mostMessage)
	p := &Problem{Title: http.StatusText(status), Status: status, Detail: detail, First: Compatible{Code: code(status), Message: detail}}
	for _, err := range errs {
		if err == nil || len(p.Errors) == mostErrors {
			continue
		}
		d := &Detail{Message: err.Error()}
		if e, ok := err.(huma.ErrorDetailer); ok {
			e := e.ErrorDetail()
			d = &Detail{Message: e.Message, Location: e.Location, Value: echo(e.Location, e.Value)}
		}
		d.Message, d.Location = short(d.Message, mostMessage), short(d.Location, mostEcho)
		p.Errors = append(p.Errors, d)
	}
	if status == http.StatusUnprocessableEntity && len(p.Errors) > 0 {
		p.First.Message, p.First.Context = "Request validation failed", &Context{Errors: make([]Place, len(p.Errors))}
		for i, d := range p.Errors {
			p.First.Context.Errors[i] = Place{Type: "value_error", Loc: strings.Split(d.Location, "."), Msg: d.Message, Input: d.Value}
		}
	}
	return p
}

func code(status int) string {
	switch status {
	case http.StatusUnprocessableEntity:
		return "VALIDATION_ERROR"
	case http.StatusInternalServerError:
		return "INTERNAL_SERVER_ERROR"
	default:
		return fmt.Sprintf("HTTP_%d", status)
	}
}

// Bounds of what is repeated of a caller's text, in bytes, and of how many things are said to be wrong.
const (
	mostEcho    = 100
	mostMessage = 400
	mostErrors  = 10
)

// short returns text that is good UTF-8 and at most so long.
func short(text string, most int) string {
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// echo returns what may be repeated of a value: short text and numbers, but no secret and no document.
func echo(location string, v any) any {
	for _, secret := range []string{"password", "token", "secret"} {
		if strings.Contains(strings.ToLower(location), secret) {
			return nil
		}
	}
	switch v := v.(type) {
	case string:
		return short(v, mostEcho)
	case map[string]any, map[any]any, []any, []byte, json.RawMessage:
		return nil
	default:
		return v
	}
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// Write answers a request that no operation answers.
func Write(w http.ResponseWriter, status int, detail string) {
	p := New(status, detail)
	p.RequestID = w.Header().Get(RequestIDHeader)
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(p) // who does not read the answer does not miss it
}

// Name gives problems that operations answer the id of their request. It is a huma.Transformer.
func Name(ctx huma.Context, _ string, v any) (any, error) {
	if p, ok := v.(*Problem); ok {
		p.RequestID = ctx.Header(RequestIDHeader)
	}
	return v, nil
}

var install sync.Once

// Install makes huma answer with problems of this package. Huma keeps its constructor in a variable of its own; it is set once.
func Install() {
	install.Do(func() {
		huma.NewError = func(status int, detail string, errs ...error) huma.StatusError { return New(status, detail, errs...) }
	})
}
