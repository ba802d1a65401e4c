package main

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func serveCommand(c *console) *cobra.Command {
	var (
		path  string
		over  Overrides
		roles string
		check bool
	)
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the service: HTTP API, workers and everything they need",
		Long: `Serve runs the HTTP API, the workers and the reconciler in one process, and
stops within 10 seconds of a SIGTERM. Whatever it was doing then, or when it is
killed, goes on at the next start.

Without --config it keeps a memory store of its own in the data folder, in the
layout of Mem0's TypeScript SDK, so that a newcomer sees it work. Without
--queue the queue is embedded, and no other software is needed.

A store that cannot be reached or is not as it should be does not keep the service
from starting: its requests wait until it is mended, /readyz and the metric
lethe_store_up say so.

If the log was put back to an older state, or does not agree with a head that is
kept at an anchor, the service only serves what can be read, says why on /readyz
and in its logs, and ends with status 5 or 30.

Logs go to standard error as JSON and name nobody.`,
		Example: `  lethe serve
  lethe serve --config lethe.yaml --check
  lethe serve --config lethe.yaml --queue redis://127.0.0.1:6379/0`,
		Args:        wants(),
		Annotations: map[string]string{exitNote: exitSection(exitUnverified, exitForked)},
	}
	f := cmd.Flags()
	f.StringVar(&path, "config", "", "configuration `FILE` (YAML)")
	f.StringVar(&over.Data, "data", "", "`DIR` for the ledger, the log and the keys (default lethe-data)")
	f.StringVar(&over.Listen, "listen", "", "`ADDR` of the HTTP server (default 127.0.0.1:8080)")
	f.StringVar(&over.Queue, "queue", "", "embedded, or the `URL` of a Redis server (redis://…, rediss://…)")
	f.StringVar(&over.Ledger, "ledger", "", "`KIND` of ledger: sqlite")
	f.StringVar(&roles, "roles", allRoles, "`ROLES` of this process; with a SQLite ledger one process has all of them")
	f.BoolVar(&check, "check", false, "only check the configuration, and exit")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkRoles(roles); err != nil {
			return usagef(cmd, "%s", err)
		}
		config, err := Load(path, over)
		if err != nil {
			return err
		}
		if check {
			c.talk("the configuration is good\n")
			return nil
		}
		logger := slog.New(slog.NewJSONHandler(c.stderr, nil))
		s, err := openService(cmd.Context(), config, logger)
		switch {
		case err != nil && cmd.Context().Err() != nil: // the stop that was asked for, and no failure
			logger.Info("stopped while it was starting", slog.Any("error", err))
			return nil
		case err != nil:
			return err
		}
		return errors.Join(s.Run(cmd.Context()), s.Close())
	}
	return cmd
}

const allRoles = "api,worker,scheduler"

// checkRoles accepts all roles in any order: a SQLite ledger belongs to one
// process, so there is nobody to share them with.
func checkRoles(roles string) error {
	given := strings.Split(roles, ",")
	slices.Sort(given)
	want := strings.Split(allRoles, ",")
	slices.Sort(want)
	if !slices.Equal(given, want) {
		return fmt.Errorf("--roles must be %s: with a SQLite ledger one process has every role", allRoles)
	}
	return nil
}
