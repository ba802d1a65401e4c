package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/jobs/ledger"
)

func tokenCommand(c *console) *cobra.Command {
	return group("token", "Make, list and revoke the tokens of those who may use the service",
		tokenCreateCommand(c), tokenListCommand(c), tokenRevokeCommand(c))
}

// A tokenDesk keeps tokens: through the server, or in the ledger itself.
type tokenDesk interface {
	CreateToken(context.Context, api.TokenOrder) (api.NewToken, error)
	Tokens(context.Context) ([]api.Token, error)
	RevokeToken(ctx context.Context, id string) (api.Token, error)
}

// tokenSub returns a command that is run at the desk.
func tokenSub(cmd *cobra.Command, run func(context.Context, tokenDesk, []string) error) *cobra.Command {
	var s source
	s.remote.add(cmd)
	cmd.Flags().StringVar(&s.config, "config", "", "work on the ledger that `FILE` names, not through the server")
	cmd.Flags().StringVar(&s.data, "data", "", "work on the ledger in the data folder `DIR`, not through the server")
	cmd.Annotations = map[string]string{exitNote: exitSection(exitNotFound)}
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if !s.direct() {
			client, err := s.client()
			if err != nil {
				return err
			}
			return run(cmd.Context(), client, args)
		}
		desk, err := openTokens(cmd.Context(), &s)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, desk.Close()) }()
		return run(cmd.Context(), desk, args)
	}
	return cmd
}

const tokenCreateLong = `Makes a token and prints it. It is shown this once: the ledger keeps only its
SHA-256. Whoever has it acts in its role until it expires or is revoked:

  submitter  files requests, sees and cancels those of his own
  approver   sees all; approves and rejects; places and releases holds
  auditor    sees all and the metrics; changes nothing
  admin      may do all of that, and makes and revokes tokens

With --config or --data it works on the ledger directly, also while the service
runs and before it has ever run: that is how the first token is made. The first
token ends that a service on loopback is open to everybody on the machine, at
once and for good: tokens that were revoked still count.

Each token made or revoked stands in the log with its ID and role, and without its
name. Of one that is made on the ledger directly the entry is written by the
service, before the token is good for anything.`

func tokenCreateCommand(c *console) *cobra.Command {
	var (
		role, name, expires string
		asJSON              bool
	)
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a token, and print it this once",
		Long:  tokenCreateLong,
		Example: `  lethe token create --role admin --name 'Ops, first token' --data ./lethe-data > admin.token
  lethe token create --role submitter --name helpdesk --expires 30d --token-file admin.token`,
		Args: wants(),
	}
	tokenSub(cmd, func(ctx context.Context, desk tokenDesk, _ []string) error {
		life, err := parseDuration(expires)
		order := jobs.TokenOrder{Name: name, Role: jobs.Role(role), Life: life}
		switch {
		case role == "" || name == "":
			return usagef(cmd, "needs --role and --name")
		case err != nil || life == 0:
			return usagef(cmd, "--expires must be a duration such as 36h or 90d")
		}
		if invalid, ok := errors.AsType[*jobs.Invalid](order.Check()); ok {
			return usagef(cmd, "--%s %s", invalid.Field, invalid.Problem)
		}
		t, err := desk.CreateToken(ctx, api.TokenOrder{Name: name, Role: order.Role, Expires: life})
		if err != nil {
			return err
		}
		if asJSON {
			return c.answerJSON(t)
		}
		c.answer("%s\n", t.Secret)
		c.talk("%s, role %s, good until %s; keep it in a file that only you may read (umask 077)\n", t.ID, t.Role, t.ExpiresAt.Format(time.RFC3339))
		return nil
	})
	f := cmd.Flags()
	f.StringVar(&role, "role", "", "what it may do: submitter, approver, auditor or admin (`ROLE`)")
	f.StringVar(&name, "name", "", "what it is for, in your own words (`N`)")
	f.StringVar(&expires, "expires", "90d", "how long it is good for, `DURATION`, at most 1825d")
	f.BoolVar(&asJSON, "json", false, "print JSON, with the token's ID")
	return cmd
}

func tokenListCommand(c *console) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List all tokens that were ever made, the oldest first, without the tokens themselves",
		Example: `  lethe token list --data ./lethe-data`,
		Args:    wants(),
	}
	tokenSub(cmd, func(ctx context.Context, desk tokenDesk, _ []string) error {
		tokens, err := desk.Tokens(ctx)
		if err != nil {
			return err
		}
		if asJSON {
			return c.answerJSON(append([]api.Token{}, tokens...))
		}
		return c.printTokens(tokens)
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (c *console) printTokens(tokens []api.Token) error {
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ID\tROLE\tSTATE\tEXPIRES\tLAST USED\tMADE BY\tNAME")
	for _, t := range tokens {
		state, used := "live", "never"
		switch {
		case t.RevokedAt != nil:
			state = "revoked"
		case !t.Live:
			state = "expired"
		}
		if t.LastUsed != nil {
			used = t.LastUsed.Format("2006-01-02 15h")
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", legible(t.ID), legible(string(t.Role)), state, t.ExpiresAt.Format(time.DateOnly), used, legible(t.CreatedBy), legible(t.Name))
	}
	return w.Flush()
}

func tokenRevokeCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "Revoke a token, at once and everywhere",
		Long: `Revokes a token by its ID, as lethe token list says it. From then on it is good
for nothing, in no process of the service, and event streams that it opened end.
It cannot be made good again. To revoke it once more is no error.`,
		Example: `  lethe token revoke tok-0a1b2c3d4e5f6071 --token-file admin.token`,
		Args:    wants("ID"),
	}
	return tokenSub(cmd, func(ctx context.Context, desk tokenDesk, args []string) error {
		t, err := desk.RevokeToken(ctx, args[0])
		if err != nil {
			return err
		}
		c.talk("%s is revoked\n", t.ID)
		return nil
	})
}

// A ledgerDesk keeps tokens in the ledger itself.
type ledgerDesk struct{ *ledger.Beside }

// openTokens opens the tokens of a ledger beside the service that may run on it.
// Before the first start it makes the data folder and the log's key, as the start
// would: a ledger without its log's key is one that has lost it.
func openTokens(ctx context.Context, s *source) (*ledgerDesk, error) {
	config, err := Load(s.config, Overrides{Data: s.data})
	if err != nil {
		return nil, err
	}
	begun, err := config.ledgerBegun(ctx)
	if err != nil {
		return nil, err
	}
	if !begun {
		if err := os.MkdirAll(config.Data, 0o700); err != nil {
			return nil, fmt.Errorf("make data folder: %w", err)
		}
		if _, err := config.openLogKey(ctx); err != nil {
			return nil, err
		}
	}
	beside, err := ledger.OpenBeside(ctx, ledger.Options{Dir: config.Data, URL: config.postgres()})
	if err != nil {
		return nil, err
	}
	return &ledgerDesk{beside}, nil
}

// CreateToken implements tokenDesk.
func (d *ledgerDesk) CreateToken(ctx context.Context, o api.TokenOrder) (api.NewToken, error) {
	t, secret, err := d.Beside.CreateToken(ctx, jobs.ActorLocal, jobs.TokenOrder{Name: o.Name, Role: o.Role, Life: o.Expires})
	return api.NewToken{Token: api.WireToken(t), Secret: secret}, err
}

// Tokens implements tokenDesk.
func (d *ledgerDesk) Tokens(ctx context.Context) ([]api.Token, error) {
	list, err := d.Beside.Tokens(ctx, jobs.ActorLocal)
	var tokens []api.Token
	for _, t := range list {
		tokens = append(tokens, api.WireToken(t))
	}
	return tokens, err
}

// RevokeToken implements tokenDesk.
func (d *ledgerDesk) RevokeToken(ctx context.Context, id string) (api.Token, error) {
	t, err := d.Beside.RevokeToken(ctx, jobs.ActorLocal, id)
	return api.WireToken(t), err
}
