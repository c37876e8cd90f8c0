package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"fluxora.dev/hub/internal/store"
)

// retrySeconds is what a client is told to wait when the database is gone: a restart of Postgres takes a few.
const retrySeconds = 5

// fault turns an error of the store into an answer: 404 with the given words, 422 for text that Postgres does not know, 503 when the database is gone or too slow,
// else 500 with the error logged and not shown.
func (s *server) fault(ctx context.Context, err error, missing string) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return huma.Error404NotFound(missing)
	case store.Unstorable(err):
		return huma.Error422UnprocessableEntity("a value of the request cannot be compared with stored ones: it has a NUL or broken UTF-8, or is out of range")
	case store.Unavailable(err), errors.Is(err, context.DeadlineExceeded):
		s.log.WarnContext(ctx, "request unanswered: the database is gone or too slow", "error", err)
		return huma.ErrorWithHeaders(huma.Error503ServiceUnavailable("the database is not reachable at the moment; try again"),
			http.Header{"Retry-After": {strconv.Itoa(retrySeconds)}})
	default:
		s.log.ErrorContext(ctx, "request unanswered", "error", err)
		return huma.Error500InternalServerError("the hub could not answer; its log says why")
	}
}

// invalid refuses a query parameter, naming it.
func invalid(parameter string, value any, message string) error {
	return huma.Error422UnprocessableEntity("validation failed", &huma.ErrorDetail{Location: "query." + parameter, Message: message, Value: value})
}
