package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"fluxora.dev/hub/app"
)

// cli is the command line.
type cli struct {
	Config      string            `short:"c" placeholder:"FILE" help:"Settings file (YAML); else the variable FLUXORA_HUB_CONFIG names it."`
	Set         map[string]string `short:"s" placeholder:"KEY=VALUE" mapsep:"none" help:"Change a setting, as --set http.listen=:8420. May be repeated. FLUXORA_HUB_HTTP_LISTEN does the same."`
	DataDir     string            `placeholder:"DIR" help:"Where the hub keeps its data (data_dir)."`
	DatabaseURL string            `name:"database-url" placeholder:"URL" help:"Postgres to use instead of a private one (database.url)."`
	HTTP        string            `name:"http" placeholder:"ADDR" help:"Where the REST interface listens (http.listen)."`
	Uplink      string            `placeholder:"ADDR" help:"Where agents connect (uplink.listen)."`
	JSON        bool              `name:"json" help:"Print for machines."`
	CheckConfig bool              `help:"Check the settings and exit."`

	Serve    serveCmd    `cmd:"" default:"withargs" help:"Run the hub (the default)."`
	Migrate  migrateCmd  `cmd:"" help:"Bring the database up to date and exit."`
	Train    trainCmd    `cmd:"" help:"Train a model now and follow it to the decision."`
	Backtest backtestCmd `cmd:"" help:"Measure the active model beside the baselines."`
	Import   importCmd   `cmd:"" help:"Take in a table of interval energies (CSV or CSV.gz)."`
	Tune     tuneCmd     `cmd:"" help:"Search for settings of a model family; goes on with a search that was interrupted."`
	Work     workCmd     `cmd:"" help:"Work trainings on this machine for the hubs that share the database, until interrupted."`
	Watch    watchCmd    `cmd:"" help:"Show how models do beside the baseline, here and at agents, and what has drifted."`
	Run      struct {
		List     runListCmd     `cmd:"" help:"List trainings, newest first."`
		Show     runShowCmd     `cmd:"" help:"Show a training: its data, settings, scores and decision."`
		Compare  runCompareCmd  `cmd:"" help:"Set trainings side by side: what differs, and the scores."`
		Settings runSettingsCmd `cmd:"" help:"List what a training can be told, with train --with, backtest --with, or training.settings."`
		Cancel   runCancelCmd   `cmd:"" help:"End an unfinished training."`
		Export   runExportCmd   `cmd:"" help:"Copy a training to the MLflow server of training.mlflow.url."`
	} `cmd:"" help:"Trainings that were asked for."`
	Model struct {
		List      modelListCmd      `cmd:"" help:"List model versions, newest first."`
		Show      modelShowCmd      `cmd:"" help:"Show a model version: where it came from, its life, and which agent held it when."`
		Export    modelExportCmd    `cmd:"" help:"Write the artifact of a model version to a file."`
		Decompose modelDecomposeCmd `cmd:"" help:"Show what the parts of an additive model, or of one in an ensemble, add up to in a forecast."`
		Promote   promoteCmd        `cmd:"" help:"Make a model version active by hand."`
		RollBack  rollBackCmd       `cmd:"" help:"Make the previous model active again."`
		Alias     modelAliasCmd     `cmd:"" help:"Give a model version a name."`
		Unalias   modelUnaliasCmd   `cmd:"" help:"Take a name away."`
	} `cmd:"" help:"Models."`
	Features struct {
		Describe    featuresDescribeCmd    `cmd:"" help:"Say of every feature of a spec what it means, its unit and how far back it looks."`
		Materialize featuresMaterializeCmd `cmd:"" help:"Write rows of features, as they were known at their origins, to a file."`
		List        featuresListCmd        `cmd:"" help:"List the specs that are kept by name."`
		Add         featuresAddCmd         `cmd:"" help:"Keep a spec under a name; another text becomes another version."`
	} `cmd:"" help:"What models learn from: specs of features, and rows of them."`
	Site  siteCmd `cmd:"" help:"Show a site, or change its zone, country, vacations and facts."`
	Token struct {
		Create tokenCreateCmd `cmd:"" help:"Make a token with which one agent can enrol, once."`
		List   tokenListCmd   `cmd:"" help:"List tokens."`
		Revoke tokenRevokeCmd `cmd:"" help:"Make an unused token useless."`
	} `cmd:"" help:"Enrolment tokens."`
	Agent struct {
		List    agentListCmd    `cmd:"" help:"List the agents, and those that another showed the identity of."`
		Revoke  agentRevokeCmd  `cmd:"" help:"Shut an agent out."`
		Readmit agentReadmitCmd `cmd:"" help:"Let in the copy of an agent that is refused, instead of the one in force."`
	} `cmd:"" help:"Agents."`
	APIToken struct {
		Rotate apiTokenRotateCmd `cmd:"" help:"Make a new token and the one before useless."`
	} `cmd:"" name:"api-token" help:"The token of the REST interface."`
	APIKey struct {
		Create apiKeyCreateCmd `cmd:"" help:"Make a key for a program."`
		List   apiKeyListCmd   `cmd:"" help:"List keys, newest first."`
		Revoke apiKeyRevokeCmd `cmd:"" help:"Make a key useless."`
	} `cmd:"" name:"api-key" help:"Keys of programs for the REST interface."`
	User struct {
		Create        userCreateCmd        `cmd:"" help:"Make an account; the first, with --admin, administers everything."`
		List          userListCmd          `cmd:"" help:"List accounts."`
		Disable       userDisableCmd       `cmd:"" help:"Switch an account off and end its sessions."`
		Enable        userEnableCmd        `cmd:"" help:"Switch an account on again."`
		ResetPassword userResetPasswordCmd `cmd:"" name:"reset-password" help:"Give an account another password and end its sessions."`
	} `cmd:"" help:"People who may log in."`
	Quarantine struct {
		List    quarantineListCmd    `cmd:"" help:"List the messages that agents refused, with the reason of each."`
		Release quarantineReleaseCmd `cmd:"" help:"Take one after all, here; better at the agent, while there is one."`
		Drop    quarantineDropCmd    `cmd:"" help:"Decide that one is of no use. It stays on record."`
	} `cmd:"" help:"What agents did not take."`
	Ledger       ledgerCmd       `cmd:"" help:"What became of every reading, by point, register and day, on both sides."`
	Completeness completenessCmd `cmd:"" help:"Which sequences and which times of a site are missing here."`
	Resync       resyncCmd       `cmd:"" help:"Have an agent send a stretch of time again, and follow it until it is in."`
	OpenAPI      openAPICmd      `cmd:"" name:"openapi" help:"Print the OpenAPI document of the REST interface."`
	Version      versionCmd      `cmd:"" help:"Print the version."`
}

// path returns the settings file, empty for none.
func (c *cli) path(env []string) (string, error) {
	if c.Config != "" {
		return c.Config, nil
	}
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, app.EnvConfig+"="); ok {
			return v, nil
		}
	}
	return "", nil
}

// flags returns the settings given on the command line.
func (c *cli) flags() map[string]string {
	out := map[string]string{}
	for k, v := range c.Set {
		out[k] = v
	}
	for k, v := range map[string]string{"data_dir": c.DataDir, "database.url": c.DatabaseURL, "http.listen": c.HTTP, "uplink.listen": c.Uplink} {
		if v != "" {
			out[k] = v
		}
	}
	return out
}

// invocation is what every command gets.
type invocation struct {
	ctx    context.Context
	o      app.Options
	stdout io.Writer
	json   bool
}

// print writes v as JSON for machines, or what text writes for people.
func (i *invocation) print(v any, text func(io.Writer)) error {
	if i.json {
		e := json.NewEncoder(i.stdout)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
	w := tabwriter.NewWriter(i.stdout, 0, 0, 2, ' ', 0)
	text(w)
	return w.Flush()
}

// admin runs fn with access to the database.
func (i *invocation) admin(fn func(*app.Admin) error) (err error) {
	a, err := app.OpenAdmin(i.ctx, i.o)
	if err != nil {
		return err
	}
	defer func() {
		if e := a.Close(); err == nil && e != nil {
			err = fmt.Errorf("close: %w", e)
		}
	}()
	return fn(a)
}
