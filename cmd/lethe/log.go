package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"lethe/audit"
	"lethe/audit/proof"
)

func logCommand(c *console) *cobra.Command {
	return group("log", "Check, read, copy and repair the tamper-evident log",
		logCheckCommand(c), logTailCommand(c), logConsistentCommand(c), logExportCommand(c), logStampsCommand(c), logImportCommand(c), logSucceedCommand(c))
}

// logSub returns a command that is run with the log open. Statuses are those
// that verifying can end with.
func logSub(cmd *cobra.Command, run func(*cobra.Command, logReader, []string) error) *cobra.Command {
	var s source
	s.add(cmd)
	cmd.Flags().StringVar(&s.key, "key", "", "the log's verifier `KEY`, or a file with it; else the server's word is taken")
	cmd.Annotations = map[string]string{exitNote: exitSection(exitUnverified, exitForked)}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		l, done, err := s.open(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		return run(cmd, l, args)
	}
	return cmd
}

func logCheckCommand(c *console) *cobra.Command {
	var pin string
	cmd := logSub(&cobra.Command{
		Use:   "check",
		Short: "Read the whole log and compute its root anew",
		Long: `Reads every entry, computes the root anew and compares it with the signed head.
With --config or --data it also compares the log with the heads that its anchors
keep; then a log that was put back to an older state, or rewritten, is found out.

It also says how many requests were accepted and have no entry of their end yet.

With --pin the head is also compared with the one in FILE, which an earlier
check left there, and then takes its place: so a log that was put back to an
older state, or rewritten, is found out. Keep FILE where whoever can write the
ledger cannot.`,
		Example: `  lethe log check --config lethe.yaml --pin /mnt/elsewhere/lethe.head
  lethe log check --server http://127.0.0.1:8080 --key lethe.pub`,
		Args: wants(),
	}, func(cmd *cobra.Command, l logReader, _ []string) error {
		head, err := c.pinned(cmd, l, pin)
		if err != nil {
			return err
		}
		report, err := l.Check(cmd.Context())
		for _, p := range report.Problems {
			c.talk("%s\n", p)
		}
		if err != nil {
			return err
		}
		c.answer("%d entries, root %s, all sound\n", report.Size, report.Root)
		for _, kind := range slices.Sorted(maps.Keys(report.Kinds)) {
			c.answer("%8d %s\n", report.Kinds[kind], kind)
		}
		if report.Open > 0 {
			c.answer("%8d accepted, and not ended yet\n", report.Open)
		}
		if pin != "" {
			return writeFile(pin, head, 0o644)
		}
		return nil
	})
	cmd.Flags().StringVar(&pin, "pin", "", "compare with the head kept in `FILE`, and keep the new one there")
	return cmd
}

// pinned compares the log with the head in a file, and returns the head that
// is to take its place. It asks for that one before the log is checked, so that
// the check covers it.
func (c *console) pinned(cmd *cobra.Command, l logReader, file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	head, err := l.Checkpoint(cmd.Context())
	if err != nil {
		return nil, err
	}
	text, err := readSmallFile(file, maxLogFile)
	switch {
	case errors.Is(err, fs.ErrNotExist): // the first check, or a name misspelled
		c.talk("%s is not there: nothing was compared with it, and it is made now\n", file)
		return head, nil
	case err != nil:
		return nil, fmt.Errorf("read --pin: %w", err)
	}
	return head, l.CheckPin(cmd.Context(), text)
}

func logTailCommand(c *console) *cobra.Command {
	n := 10
	cmd := logSub(&cobra.Command{
		Use:     "tail",
		Short:   "Print the newest entries, one line of JSON each",
		Example: `  lethe log tail -n 100 --data ./lethe-data`,
		Args:    wants(),
	}, func(cmd *cobra.Command, l logReader, _ []string) error {
		if n < 1 {
			return usagef(cmd, "-n must be 1 or more")
		}
		lines, err := l.Tail(cmd.Context(), n)
		if err != nil {
			return err
		}
		return c.printEntries(lines)
	})
	cmd.Flags().IntVarP(&n, "lines", "n", n, "how many entries, `N`")
	return cmd
}

func (c *console) printEntries(lines []audit.Line) error {
	for _, line := range lines {
		text, err := proof.Encode(line.Entry)
		if err != nil {
			return err
		}
		c.answer("%s\n", text)
	}
	return nil
}

func logConsistentCommand(c *console) *cobra.Command {
	cmd := logSub(&cobra.Command{
		Use:   "consistent OLD NEW",
		Short: "Compare two signed heads, or certificates, with one another and with the log",
		Long: `Compares two signed heads: files that hold a checkpoint or a certificate. The log
must be a continuation of both. Two heads that no single log can have are
evidence against the operator: keep both files.`,
		Example: `  lethe log consistent january.tlog-proof june.tlog-proof --key lethe.pub`,
		Args:    wants("OLD", "NEW"),
	}, func(cmd *cobra.Command, l logReader, args []string) error {
		var heads [2][]byte
		for i, name := range args {
			text, err := readSmallFile(name, maxLogFile)
			if err != nil {
				return fmt.Errorf("read head: %w", err)
			}
			heads[i] = text
		}
		if err := l.Consistent(cmd.Context(), heads[0], heads[1]); err != nil {
			return err
		}
		c.answer("consistent\n")
		return nil
	})
	return cmd
}

func logExportCommand(c *console) *cobra.Command {
	cmd := logSub(&cobra.Command{
		Use:   "export DIR",
		Short: "Copy the log to files that any web server can publish",
		Long: `Writes the signed head, the tiles and the entries (C2SP tlog-tiles) below DIR.
An earlier export there is continued, or left as it is if the log has lost some of
it. lethe verify --log DIR reads it, and lethe log import DIR brings back from it
what a ledger has lost: keep one outside the ledger's machine.`,
		Example: `  lethe log export --config lethe.yaml /srv/www/log`,
		Args:    wants("DIR"),
	}, func(cmd *cobra.Command, l logReader, args []string) error {
		if err := l.Export(cmd.Context(), args[0]); err != nil {
			return err
		}
		c.talk("exported to %s\n", args[0])
		return nil
	})
	return cmd
}
