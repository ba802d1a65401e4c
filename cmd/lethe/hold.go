package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lethe/jobs/api"
)

func holdCommand(c *console) *cobra.Command {
	cmd := group("hold", "Place, list and release legal holds",
		holdAddCommand(c), holdListCommand(c), holdReleaseCommand(c))
	cmd.Long = `A legal hold forbids to erase what a selector selects, whichever request asks
for it. Such rows are reported as held; the rest of their request is erased, and
the request goes on by itself when the hold ends.`
	return cmd
}

func holdAddCommand(c *console) *cobra.Command {
	var (
		r             remote
		sel           selectorFlags
		reason, until string
		asJSON        bool
	)
	cmd := &cobra.Command{
		Use:   "add SELECTOR --reason CODE",
		Short: "Place a legal hold, and print its ID",
		Long: `Places a legal hold and prints its ID. Once it is printed nothing is erased that
the hold selects. What a batch had begun to erase before is waited for; if that
takes long the command fails, and lethe hold list says when the hold is active.

` + selectorHelp,
		Example: `  lethe hold add --user-id alice --reason litigation-2026-14 --until 2027-06-30T00:00:00Z
  echo '{"metadata":{"case":"14"}}' | lethe hold add --selector-file - --reason audit`,
		Args:        wants(),
		Annotations: map[string]string{exitNote: exitSection()},
		RunE: func(cmd *cobra.Command, _ []string) error {
			who, err := sel.read(cmd, c.stdin)
			if err != nil {
				return err
			}
			if reason == "" {
				return usagef(cmd, "--reason needs a code, such as litigation-2026-14")
			}
			var end time.Time
			if until != "" {
				if end, err = time.Parse(time.RFC3339, until); err != nil {
					return usagef(cmd, "--until must be a time such as 2027-06-30T00:00:00Z")
				}
			}
			client, err := r.client()
			if err != nil {
				return err
			}
			h, err := client.PlaceHold(cmd.Context(), who.submission(api.Submission{}), reason, end)
			if err := who.blame(err); err != nil {
				return err
			}
			if asJSON {
				return c.answerJSON(h)
			}
			c.answer("%s\n", h.ID)
			return nil
		},
	}
	r.add(cmd)
	sel.add(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, as a `CODE`; never a name")
	cmd.Flags().StringVar(&until, "until", "", "when it ends by itself, a `TIME` such as 2027-06-30T00:00:00Z (default: when it is released)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the hold as JSON instead of its ID")
	return cmd
}

func holdListCommand(c *console) *cobra.Command {
	var (
		r      remote
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:         "list",
		Short:       "List the legal holds that stand, oldest first",
		Long:        `Lists the legal holds that have not ended. Whom they are about is not told.`,
		Example:     `  lethe hold list --json | jq -r .id`,
		Args:        wants(),
		Annotations: map[string]string{exitNote: exitSection()},
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := r.client()
			if err != nil {
				return err
			}
			list, err := client.Holds(cmd.Context())
			if err != nil {
				return err
			}
			return c.showHolds(list, asJSON)
		},
	}
	r.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one line of JSON a hold")
	return cmd
}

func (c *console) showHolds(list []api.Hold, asJSON bool) error {
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	if !asJSON {
		fmt.Fprintln(w, "HOLD\tSTATE\tREASON\tPLACED\tBY\tUNTIL")
	}
	for _, h := range list {
		if asJSON {
			if err := c.answerJSON(h); err != nil {
				return err
			}
			continue
		}
		until := "released"
		if h.Until != nil {
			until = stamp(*h.Until)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", legible(h.ID), legible(string(h.State)), legible(h.Reason), stamp(h.CreatedAt), legible(h.PlacedBy), until)
	}
	return w.Flush()
}

func holdReleaseCommand(c *console) *cobra.Command {
	var (
		r      remote
		reason string
	)
	cmd := &cobra.Command{
		Use:         "release HOLD_ID",
		Short:       "Release a legal hold",
		Long:        `Releases a legal hold. Requests that only it has held go on by themselves.`,
		Example:     `  lethe hold release 01939f5e-7b6a-7c1e-8a55-0c9a7d1c2b3a --reason settled`,
		Args:        wants("HOLD_ID"),
		Annotations: map[string]string{exitNote: exitSection(exitNotFound)},
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := r.client()
			if err != nil {
				return err
			}
			h, err := client.ReleaseHold(cmd.Context(), args[0], reason)
			if err != nil {
				return err
			}
			c.answer("%s\n", h.State)
			return nil
		},
	}
	r.add(cmd)
	cmd.Flags().StringVar(&reason, "reason", "released", "why, as a `CODE`; never a name")
	return cmd
}
