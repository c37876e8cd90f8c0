package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"text/tabwriter"
	"time"

	"fluxora.dev/agent/app"
)

type ledger struct {
	Point string `help:"Only this point." placeholder:"POINT"`
	From  string `help:"First day, UTC, as 2026-01-31." placeholder:"DAY"`
	To    string `help:"The day behind the last." placeholder:"DAY"`
	JSON  bool   `help:"The agent's answer as it is." name:"json"`
}

// run asks the running agent, or reads the data directory of one that does not run.
func (l ledger) run(ctx context.Context, c app.Config, out io.Writer) error {
	q := url.Values{}
	from, to := time.Unix(0, 0).UTC(), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, d := range []struct {
		name, value string
		into        *time.Time
	}{{"from", l.From, &from}, {"to", l.To, &to}} {
		if d.value == "" {
			continue
		}
		t, err := time.Parse(time.DateOnly, d.value)
		if err != nil {
			return fmt.Errorf("--%s %s: want a day as 2026-01-31", d.name, d.value)
		}
		*d.into = t
		q.Set(d.name, d.value)
	}
	if l.Point != "" {
		q.Set("point", l.Point)
	}
	b, err := app.Ask(ctx, c, "GET", "/v1/ledger?"+q.Encode(), nil)
	if nobody := (*net.OpError)(nil); c.HTTP.Listen == "" || errors.As(err, &nobody) {
		b, err = app.Ledger(c, l.Point, from, to)
	}
	if err != nil {
		return err
	}
	if l.JSON {
		_, err := out.Write(append(b, '\n'))
		return err
	}
	var answer struct {
		Accounts []struct {
			Point, Register, Day                                        string
			Received, Delivered, Quarantined, Evicted, Thinned, Pending uint64
			Duplicates, Corrections, Released                           uint64
		}
		Lost []struct {
			Why        string
			First, End uint64
			From, To   time.Time
			At         time.Time
		}
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return fmt.Errorf("the agent's answer: %w", err)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "DAY\tPOINT\tREGISTER\tRECEIVED\tDELIVERED\tQUARANTINED\tEVICTED\tTHINNED\tPENDING\tDUPLICATES\tCORRECTIONS\tRELEASED")
	for _, a := range answer.Accounts {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", a.Day, orDash(a.Point), orDash(a.Register), a.Received, a.Delivered, a.Quarantined,
			a.Evicted, a.Thinned, a.Pending, a.Duplicates, a.Corrections, a.Released)
	}
	if len(answer.Lost) > 0 {
		fmt.Fprintln(w, "\nLOST\tSEQUENCES\tFROM\tTO\tAT")
	}
	for _, x := range answer.Lost {
		fmt.Fprintf(w, "%s\t[%d,%d)\t%s\t%s\t%s\n", x.Why, x.First, x.End, x.From.Format(time.RFC3339), x.To.Format(time.RFC3339), x.At.Format(time.RFC3339))
	}
	return w.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
