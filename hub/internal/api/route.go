package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/problem"
)

// routes is where every route is registered, with what it needs of its caller: there is no way to register one without.
type routes struct {
	api   huma.API
	mux   *http.ServeMux
	needs map[string]access.Need // by pattern of mux
}

func newRoutes(mux *http.ServeMux, config huma.Config) *routes {
	problem.Install()
	config.Transformers = append(config.Transformers, problem.Name)
	return &routes{api: humago.New(mux, config), mux: mux, needs: map[string]access.Need{}}
}

// register adds a documented operation.
func register[I, O any](r *routes, need access.Need, op huma.Operation, handler func(context.Context, *I) (*O, error)) {
	r.state(op.Method+" "+op.Path, need)
	if need.IsOpen() {
		op.Security = []map[string][]string{}
	} else {
		op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusForbidden)
		op.Extensions = map[string]any{"x-fluxora-role": need.Role().String()}
		if need.Scope() != "" {
			op.Extensions["x-fluxora-scope"] = string(need.Scope())
		}
	}
	huma.Register(r.api, op, handler)
}

// handle adds a route outside the OpenAPI document. The pattern is one of http.ServeMux, with a method.
func (r *routes) handle(need access.Need, pattern string, handler http.Handler) {
	r.state(pattern, need)
	r.mux.Handle(pattern, handler)
}

// state notes what a route needs. The first test that makes a handler fails when it is not stated.
func (r *routes) state(pattern string, need access.Need) {
	if !need.Stated() {
		panic(fmt.Sprintf("route %s does not say what it needs of its caller", pattern))
	}
	r.needs[pattern] = need
}

// get describes a read of the given path.
func get(id, path, summary string, errors ...int) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: http.MethodGet, Path: path, Summary: summary,
		Errors: append(errors, http.StatusUnprocessableEntity, http.StatusServiceUnavailable),
	}
}

// unrouted answers what no route does.
func (r *routes) unrouted(w http.ResponseWriter, req *http.Request) {
	if allowed := r.methods(req); len(allowed) > 0 {
		list := strings.Join(append(allowed, http.MethodOptions), ", ")
		w.Header().Set("Allow", list)
		if req.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		problem.Write(w, http.StatusMethodNotAllowed, fmt.Sprintf("%s %s: want one of %s", req.Method, req.URL.Path, list))
		return
	}
	problem.Write(w, http.StatusNotFound, fmt.Sprintf("no such resource: %s; /openapi.json lists what there is", req.URL.Path))
}

// methods returns what may be done with the path of a request.
func (r *routes) methods(req *http.Request) []string {
	var out []string
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := &http.Request{Method: m, Host: req.Host, URL: req.URL}
		if _, pattern := r.mux.Handler(probe); pattern != "" && pattern != "/" {
			out = append(out, m)
		}
	}
	return out
}
