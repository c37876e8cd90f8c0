package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/app"
)

// passwordFlag says where a password comes from.
type passwordFlag struct {
	PasswordStdin bool `name:"password-stdin" help:"Read the password from standard input, one line. Without it one is made and printed, once."`
}

// password returns the given password, or a fresh one and that it is to be printed.
func (f passwordFlag) password() (password string, fresh bool, err error) {
	if !f.PasswordStdin {
		return rand.Text(), true, nil
	}
	line, err := bufio.NewReader(io.LimitReader(os.Stdin, 1<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", false, fmt.Errorf("read password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), false, nil
}

// withPassword is an account with its password if that was just made.
type withPassword struct {
	app.User
	Password string `json:"password,omitempty"`
}

func (i *invocation) printUser(u app.User, did, password string, fresh bool) error {
	out := withPassword{User: u}
	if fresh {
		out.Password = password
	}
	return i.print(out, func(w io.Writer) {
		fmt.Fprintf(w, "%s %s\n", u.Email, did)
		if fresh {
			fmt.Fprintf(w, "password, shown only now: %s\n", password)
		}
	})
}

type userCreateCmd struct {
	Email string `arg:"" help:"E-mail address to log in with."`
	Name  string `help:"Full name."`
	Role  string `default:"viewer" enum:"viewer,analyst,operator,admin" help:"In the organisation of the settings: viewer, analyst, operator or admin."`
	Admin bool   `help:"Administers all organisations; implies --role admin."`
	passwordFlag
}

func (c userCreateCmd) Run(i *invocation) error {
	password, fresh, err := c.password()
	if err != nil {
		return err
	}
	if c.Admin {
		c.Role = "admin"
	}
	return i.admin(func(a *app.Admin) error {
		u, err := a.CreateUser(i.ctx, app.NewUser{Email: c.Email, Password: password, FullName: c.Name, Role: c.Role, Admin: c.Admin})
		if err != nil {
			return err
		}
		return i.printUser(u, "may log in", password, fresh)
	})
}

type userListCmd struct {
	Skip  int `help:"How many to leave out first."`
	Limit int `default:"1000" help:"How many to list."`
}

func (c userListCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		users, err := a.Users(i.ctx, max(0, c.Skip), max(1, c.Limit))
		if err != nil {
			return err
		}
		return i.print(users, func(w io.Writer) {
			fmt.Fprintln(w, "ID\tEMAIL\tNAME\tACTIVE\tADMIN\tSINCE")
			for _, u := range users {
				fmt.Fprintf(w, "%d\t%s\t%s\t%t\t%t\t%s\n", u.ID, u.Email, u.FullName, u.Active, u.Admin, u.Created.Format(time.RFC3339))
			}
		})
	})
}

// someUser names an account.
type someUser struct {
	Email string `arg:"" help:"E-mail address of the account."`
}

func (c someUser) change(i *invocation, active *bool, did string) error {
	return i.admin(func(a *app.Admin) error {
		u, err := a.ChangeUser(i.ctx, c.Email, active, nil)
		if err != nil {
			return err
		}
		return i.printUser(u, did, "", false)
	})
}

type userDisableCmd struct{ someUser }

func (c userDisableCmd) Run(i *invocation) error {
	off := false
	return c.change(i, &off, "is switched off; its sessions end within seconds")
}

type userEnableCmd struct{ someUser }

func (c userEnableCmd) Run(i *invocation) error {
	on := true
	return c.change(i, &on, "may log in again")
}

type userResetPasswordCmd struct {
	someUser
	passwordFlag
}

func (c userResetPasswordCmd) Run(i *invocation) error {
	password, fresh, err := c.password()
	if err != nil {
		return err
	}
	return i.admin(func(a *app.Admin) error {
		u, err := a.ChangeUser(i.ctx, c.Email, nil, &password)
		if err != nil {
			return err
		}
		return i.printUser(u, "has another password; its sessions end within seconds", password, fresh)
	})
}

type apiKeyCreateCmd struct {
	Name   string        `arg:"" help:"What the key is for."`
	Role   string        `default:"viewer" enum:"viewer,analyst,operator,admin" help:"viewer, analyst, operator or admin."`
	Scopes []string      `help:"What it is good for, as readings:read,metrics:read; all that reads without it."`
	Valid  time.Duration `default:"2160h" help:"How long it is good."`
}

func (c apiKeyCreateCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		k, err := a.CreateAPIKey(i.ctx, c.Name, c.Role, c.Scopes, c.Valid)
		if err != nil {
			return err
		}
		if !i.json {
			fmt.Fprintf(os.Stderr, "key %s, shown only now, good until %s for %s:\n", k.ID, k.Expires.Format(time.RFC3339), strings.Join(k.Scopes, " "))
		}
		return i.print(k, func(w io.Writer) { fmt.Fprintln(w, k.Key) })
	})
}

type apiKeyListCmd struct{}

func (apiKeyListCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		keys, err := a.APIKeys(i.ctx)
		if err != nil {
			return err
		}
		return i.print(keys, func(w io.Writer) {
			fmt.Fprintln(w, "KEY\tNAME\tROLE\tEXPIRES\tUSED\tREVOKED\tSCOPES")
			for _, k := range keys {
				used := "never"
				if k.Used != nil {
					used = k.Used.UTC().Format(time.RFC3339)
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%t\t%s\n", k.ID, k.Name, k.Role, k.Expires.Format(time.RFC3339), used, k.Revoked, strings.Join(k.Scopes, " "))
			}
		})
	})
}

type apiKeyRevokeCmd struct {
	ID uuid.UUID `arg:"" help:"Id of the key, as in api-key list."`
}

func (c apiKeyRevokeCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		if err := a.RevokeAPIKey(i.ctx, c.ID); err != nil {
			return err
		}
		return i.print(map[string]any{"revoked": c.ID}, func(w io.Writer) { fmt.Fprintf(w, "API key %s is useless now\n", c.ID) })
	})
}
