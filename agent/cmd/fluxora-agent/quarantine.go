package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/user"
	"strings"
	"text/tabwriter"

	"fluxora.dev/agent/app"
)

type quarantine struct {
	List    quarantineList    `cmd:"" help:"List the messages that were not taken, with the reason of each."`
	Show    quarantineShow    `cmd:"" help:"Show one with its payload."`
	Release quarantineRelease `cmd:"" help:"Take one after all: its readings are stored and the intervals they touch made anew."`
	Drop    quarantineDrop    `cmd:"" help:"Decide that one is of no use. It stays on record."`
}

type quarantineList struct {
	After uint64 `help:"Only those with a higher id." placeholder:"ID"`
	Limit int    `help:"At most so many." default:"100"`
	JSON  bool   `help:"The agent's answer as it is."`
}

type quarantineShow struct {
	ID uint64 `arg:"" help:"Which."`
}

type settling struct {
	ID  uint64 `arg:"" help:"Which." json:"-"`
	By  string `help:"Who decides; default the user's name." placeholder:"NAME" json:"by"`
	Why string `help:"Why, for the record." required:"" placeholder:"TEXT" json:"why"`
}

type quarantineRelease struct {
	settling
	As           string `help:"The point, or point/register, that it is of." placeholder:"POINT/REGISTER" json:"-"`
	At           string `help:"The instant of its first reading, RFC 3339; the others keep their distances." placeholder:"TIME" json:"at,omitempty"`
	AcceptAbsurd bool   `help:"Take values and instants beyond the limits." json:"accept_absurd,omitempty"`
	Point        string `kong:"-" json:"point,omitempty"`
	Register     string `kong:"-" json:"register,omitempty"`
}

type quarantineDrop struct{ settling }

// run carries out one of the commands, by name.
func (q quarantine) run(ctx context.Context, command string, c app.Config, out io.Writer) error {
	switch {
	case strings.HasPrefix(command, "list"):
		return q.List.run(ctx, c, out)
	case strings.HasPrefix(command, "show"):
		return show(ctx, c, out, "GET", fmt.Sprintf("/v1/quarantine/%d", q.Show.ID), nil)
	case strings.HasPrefix(command, "release"):
		r := q.Release
		r.Point, r.Register, _ = strings.Cut(r.As, "/")
		r.By = nameOf(r.By)
		return show(ctx, c, out, "POST", fmt.Sprintf("/v1/quarantine/%d/release", r.ID), r)
	default:
		d := q.Drop
		d.By = nameOf(d.By)
		return show(ctx, c, out, "POST", fmt.Sprintf("/v1/quarantine/%d/drop", d.ID), d)
	}
}

func nameOf(by string) string {
	if by == "" {
		if u, err := user.Current(); err == nil {
			return u.Username
		}
	}
	return by
}

func show(ctx context.Context, c app.Config, out io.Writer, method, path string, body any) error {
	b, err := app.Ask(ctx, c, method, path, body)
	if err != nil {
		return err
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return fmt.Errorf("the agent's answer: %w", err)
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func (l quarantineList) run(ctx context.Context, c app.Config, out io.Writer) error {
	b, err := app.Ask(ctx, c, "GET", fmt.Sprintf("/v1/quarantine?after=%d&limit=%d", l.After, l.Limit), nil)
	if err != nil {
		return err
	}
	if l.JSON {
		_, err := out.Write(b)
		return err
	}
	var answer struct {
		Quarantine []struct {
			ID                              uint64
			Received, Point, Reason, Detail string
			Settled                         *struct{ How, By string }
		}
		Next uint64
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return fmt.Errorf("the agent's answer: %w", err)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tRECEIVED\tPOINT\tREASON\tSETTLED\tDETAIL")
	for _, q := range answer.Quarantine {
		settled := "-"
		if q.Settled != nil {
			settled = q.Settled.How + " by " + q.Settled.By
		}
		point := q.Point
		if point == "" {
			point = "-"
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%.80s\n", q.ID, q.Received, point, q.Reason, settled, q.Detail)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if answer.Next > 0 {
		fmt.Fprintf(out, "more: --after %d\n", answer.Next)
	}
	return nil
}
