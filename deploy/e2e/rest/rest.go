// Package rest asks the hub's and the agents' HTTP interfaces, as any client of theirs would, for the demo and the
// end-to-end tests. Requests that meet a program which is just starting are retried.
package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// Client asks one program.
type Client struct {
	base  string
	token string
	http  *retryablehttp.Client
}

// New returns a client of the program at base, "http://127.0.0.1:8420", with a bearer token or none.
func New(base, token string) *Client {
	c := retryablehttp.NewClient()
	c.Logger = nil
	c.RetryMax = 2
	c.RetryWaitMin, c.RetryWaitMax = 50*time.Millisecond, 500*time.Millisecond
	c.HTTPClient.Timeout = 15 * time.Second
	// The answer to the last try is wanted, whatever it says.
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	return &Client{base, token, c}
}

// Get asks for a path and decodes the answer into v, which may be nil.
func (c *Client) Get(ctx context.Context, path string, v any) error {
	return c.do(ctx, http.MethodGet, path, v)
}

// Post posts nothing to a path and decodes the answer into v, which may be nil.
func (c *Client) Post(ctx context.Context, path string, v any) error {
	return c.do(ctx, http.MethodPost, path, v)
}

// StatusError is an answer other than success.
type StatusError struct {
	Code int
	Body string
}

// Error returns the code and what the program said.
func (e StatusError) Error() string {
	return fmt.Sprintf("HTTP %d: %s", e.Code, strings.TrimSpace(e.Body))
}

func (c *Client) do(ctx context.Context, method, path string, v any) error {
	req, err := retryablehttp.NewRequestWithContext(ctx, method, c.base+path, nil)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 32<<20))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %w", method, path, StatusError{resp.StatusCode, string(body)})
	}
	if v == nil {
		return nil
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}
