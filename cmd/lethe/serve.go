package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/spf13/cobra"

	"lethe/jobs/queue"
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
		Long:  serveLong,
		Example: `  lethe serve
  lethe serve --config lethe.yaml --check
  lethe serve --config lethe.yaml --queue redis://127.0.0.1:6379/0
  lethe serve --config lethe.yaml --ledger postgres://lethe@db/lethe --queue redis://queue:6379/0 --roles worker`,
		Args:        wants(),
		Annotations: map[string]string{exitNote: exitSection(exitUnverified, exitForked)},
	}
	f := cmd.Flags()
	f.StringVar(&path, "config", "", "configuration `FILE` (YAML)")
	f.StringVar(&over.Data, "data", "", "`DIR` for the ledger, the log and the keys (default lethe-data)")
	f.StringVar(&over.Listen, "listen", "", "`ADDR` of the HTTP server (default 127.0.0.1:8080)")
	f.StringVar(&over.Queue, "queue", "", "embedded, or the `URL` of a Redis server (redis://…), of sentinels (redis-sentinel://…/NAME) or of a cluster (redis-cluster://…); rediss for TLS")
	f.StringVar(&over.Ledger, "ledger", "", "sqlite, or the `URL` of a PostgreSQL database (postgres://…)")
	f.StringVar(&roles, "roles", allRoles, "`ROLES` of this process; with a SQLite ledger or an embedded queue it has all of them")
	f.BoolVar(&over.Strict, "strict", false, "do not start, and let jobs wait, if a table that looks personal is neither mapped nor waived")
	f.BoolVar(&check, "check", false, "only check the configuration, say what is weak, and exit")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var err error
		if over.Roles, err = parseRoles(roles); err != nil {
			return usagef(cmd, "%s", err)
		}
		config, err := Load(path, over)
		if err != nil {
			return err
		}
		if check {
			c.talk("the configuration is good\n")
			c.tellWeaknesses(cmd.Context(), config)
			return nil
		}
		logger := slog.New(slog.NewJSONHandler(c.stderr, nil))
		queue.TakeLog(logger)
		s, err := openService(cmd.Context(), config, logger)
		switch {
		case err != nil && cmd.Context().Err() != nil: // the stop that was asked for, and no failure
			logger.InfoContext(context.WithoutCancel(cmd.Context()), "stopped while it was starting", slog.Any("error", err))
			return nil
		case err != nil:
			return err
		}
		return errors.Join(s.Run(cmd.Context()), s.Close())
	}
	return cmd
}

const serveLong = `Serve runs the HTTP API, the workers and the scheduler in one process, and
stops within 10 seconds of a SIGTERM, after drain_delay if the configuration has
one; /readyz says so first. Whatever it was doing then, or when it is
killed, goes on at the next start.

With --ledger postgres://… and --queue redis://… (or redis-sentinel://H1,H2/NAME,
redis-cluster://H1,H2, with rediss for TLS) any number of processes, on any
number of machines, share the work: give them the same configuration, and a data
folder that they share for the keys. --roles says what a process does:

  api        answers HTTP; the others only say how they are (/healthz, /readyz,
             /metrics)
  worker     lists, erases and verifies
  scheduler  runs policies, rings the workers, comes back to what is late, signs the log, brings
             its heads to anchors and witnesses, and destroys keys on schedule

Each role must be had by at least one process. A process that dies is replaced
by the others: what it was at is taken up when its lease ends, after 8 seconds.
A database or a Redis that goes away is waited for, and /readyz says so.

Without --config it keeps a memory store of its own in the data folder, in the
layout of Mem0's TypeScript SDK, so that a newcomer sees it work. Without
--queue the queue is embedded, and no other software is needed.

At the start, and again before each plan, the data map of every store is
compared with its schema, as lethe stores check does. A table that looks
personal and is neither mapped nor waived is told in the logs, by name, and
counted in the metric lethe_store_unmapped. With --strict, or strict: true in
the configuration, it stops the start with status 1, and jobs of its store wait
with the note "schema" until the map is right.

What makes the service easier to harm than it need be (no tokens, a Redis without
a password, a key that others can read, …) is told in the logs too, once, with the
fix, and counted in the metric lethe_weaknesses. --check tells what can be seen
without asking anybody.

A store that cannot be reached or is not as it should be does not keep the service
from starting: its requests wait until it is mended, /readyz and the metric
lethe_store_up say so.

On a loopback address, a service that never had a token is open to everybody on the
machine. On any other it needs tls in the configuration, and the token of an admin:
see lethe token create --help.

If the log was put back to an older state, or does not agree with a head that is
kept at an anchor, the service only serves what can be read, says why on /readyz
and in its logs, and ends with status 5 or 30.

Logs go to standard error as JSON and name nobody.`
