package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"lethe/jobs/api"
)

const doctorLong = `Looks at everything that Lethe needs: the configuration, the stores and their data
maps, the queue, the clocks, the ledger, the log with its head and anchors, keys and
their permissions, what waits, the newest backup, disks, certificates, limits. It says
of each

  ok      nothing was found
  weak    it works, and could come to harm
  broken  it does not work, or will not go on to

with what to do about it. It changes nothing: a database is only read. It names
nobody; of requests and holds it prints IDs at most.

The exit status is 1 if something is broken, with --strict also if something is weak.

With --config or --data it looks from here, as the user who runs it: run it as the
user of the service, for another may see other permissions. Without them it asks the
server, which looks from where it is; an auditor or an admin may.`

func doctorCommand(c *console) *cobra.Command {
	var (
		s              source
		asJSON, strict bool
	)
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what is weak or broken, with the fix",
		Long:  doctorLong,
		Example: `  lethe doctor --config lethe.yaml
  lethe doctor --token-file auditor.token --json | jq '.findings[] | select(.level != "ok")'`,
		Args:        wants(),
		Annotations: map[string]string{exitNote: exitSection()},
	}
	s.remote.add(cmd)
	cmd.Flags().StringVar(&s.config, "config", "", "look at the installation that `FILE` is for, without asking the server")
	cmd.Flags().StringVar(&s.data, "data", "", "look at the data folder `DIR`, without asking the server")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, on one line")
	cmd.Flags().BoolVar(&strict, "strict", false, "status 1 also if something is weak")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		report, err := c.checkUp(cmd.Context(), &s)
		if err != nil {
			return err
		}
		if asJSON {
			err = c.answerJSON(report)
		} else {
			c.printCheckup(report)
		}
		return errors.Join(err, verdictOf(report, strict))
	}
	return cmd
}

// checkUp looks here, or asks the server.
func (c *console) checkUp(ctx context.Context, s *source) (api.Checkup, error) {
	if !s.direct() {
		client, err := s.client()
		if err != nil {
			return api.Checkup{}, err
		}
		return client.Doctor(ctx)
	}
	config, err := Load(s.config, Overrides{Data: s.data})
	if err != nil {
		return badConfig(err), nil
	}
	bar := newMeter(c.stderr)
	defer bar.stop()
	return beside(config).examine(ctx, func(step string, done, total int) { bar.at(step, int64(done), int64(total)) }), nil
}

// badConfig is all that can be said without a configuration.
func badConfig(err error) api.Checkup {
	f := broken(err.Error(), "mend it: README.md, \"Configuration\", names every key")
	f.Check = "config"
	return api.Checkup{Level: api.LevelBroken, Findings: []api.Finding{f}}
}

// beside is an installation as it is seen by a command beside it. What is known of this
// process says nothing of the service, but for who it belongs to.
func beside(c Config) *ward {
	p := &ward{config: c, around: here(c), now: time.Now(), roomAt: roomAt, openFiles: filesLimit}
	p.around.coreLimit, p.around.traceback = 0, ""
	if info, err := os.Stat(filepath.Join(c.Data, ledgerFile)); err == nil {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			p.around.uid = int(stat.Uid)
		}
	}
	p.ask()
	return p
}

// ask has the looks ask databases, once, and the ledger for tokens.
func (p *ward) ask() {
	var asked []database
	p.around.databases = func(ctx context.Context) []database {
		if asked == nil {
			asked = append([]database{}, askDatabases(ctx, p.config)...)
		}
		return asked
	}
	p.around.tokens = p.liveTokens
}

// doctor is the same, as the service sees itself.
func (s *service) doctor(ctx context.Context) (api.Checkup, error) {
	p := &ward{config: s.config, around: here(s.config), now: s.ledger.Now(), within: true, roomAt: roomAt, openFiles: filesLimit}
	p.ask()
	return p.examine(ctx, func(string, int, int) {}), ctx.Err()
}

func (c *console) printCheckup(report api.Checkup) {
	for _, f := range report.Findings {
		c.answer("%-7s %-16s %s\n", legible(f.Level), legible(f.Check), legible(f.What))
		if f.Fix != "" {
			c.answer("%25sfix: %s\n", "", legible(f.Fix))
		}
	}
}

// verdictOf is the error that the command ends with.
func verdictOf(report api.Checkup, strict bool) error {
	n := map[string]int{}
	for _, f := range report.Findings {
		n[f.Level]++
	}
	switch {
	case n[api.LevelBroken] > 0:
		return fmt.Errorf("%s broken, %d weak: each with what to do about it", counted(n[api.LevelBroken], "thing is", "things are"), n[api.LevelWeak])
	case strict && n[api.LevelWeak] > 0:
		return fmt.Errorf("%s weak: each with what to do about it", counted(n[api.LevelWeak], "thing is", "things are"))
	}
	return nil
}
