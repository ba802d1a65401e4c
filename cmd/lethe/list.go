package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"lethe/jobs"
	"lethe/jobs/api"
)

func listCommand(c *console) *cobra.Command {
	var (
		r        remote
		statuses []string
		due      string
		asJSON   bool
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List requests, newest first",
		Example: `  lethe list --status erasing --status verifying
  lethe list --due 3d        # due within three days or overdue, the earliest first
  lethe list --json | jq -r .id`,
		Args:        wants(),
		Annotations: map[string]string{exitNote: exitSection()},
		RunE: func(cmd *cobra.Command, _ []string) error {
			only, err := readStatuses(cmd, statuses)
			if err != nil {
				return err
			}
			by, ok := jobs.ParseDue(due)
			if due != "" && !ok {
				return usagef(cmd, "--due must be overdue, 1d, 3d, 7d or unconfirmed")
			}
			client, err := r.client()
			if err != nil {
				return err
			}
			return c.list(cmd, client, by, only, asJSON)
		},
	}
	r.add(cmd)
	cmd.Flags().StringArrayVar(&statuses, "status", nil, "only requests with this `STATUS` (repeatable)")
	cmd.Flags().StringVar(&due, "due", "", "only open requests that are due by then, the earliest first: overdue, 1d, 3d or 7d; or those that are unconfirmed")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one line of JSON a request")
	return cmd
}

func readStatuses(cmd *cobra.Command, names []string) ([]jobs.Status, error) {
	var only []jobs.Status
	for _, name := range names {
		for one := range strings.SplitSeq(name, ",") {
			status, ok := jobs.ParseStatus(one)
			if !ok {
				return nil, usagef(cmd, "--status must be a status of a request, such as erasing or completed")
			}
			only = append(only, status)
		}
	}
	return only, nil
}

func (c *console) list(cmd *cobra.Command, client *api.Client, due jobs.Due, only []jobs.Status, asJSON bool) error {
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	if !asJSON {
		fmt.Fprintln(w, "REQUEST\tSTATUS\tTICKET\tRECEIVED\tDUE\tERASED\tFOUND\tWAITS FOR")
	}
	for r, err := range client.ListDue(cmd.Context(), due, only...) {
		if err != nil {
			return err
		}
		if asJSON {
			if err := c.answerJSON(r); err != nil {
				return err
			}
			continue
		}
		done, total := counts(r)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", legible(r.ID), legible(string(r.Status)), legible(r.Ticket), stamp(r.ReceivedAt), day(r.DueAt), done, total, legible(waits(r)))
	}
	return w.Flush()
}

// waits lists why a request waits, store by store, as "server:store-down".
func waits(r api.Request) string {
	var all []string
	if r.Overdue {
		all = append(all, "OVERDUE")
	}
	if r.ConfirmOverdue {
		all = append(all, "CONFIRMATION")
	}
	for _, s := range r.Stores {
		if s.Note != "" && !r.Status.Ended() {
			all = append(all, s.Store+":"+s.Note)
		}
	}
	return strings.Join(all, " ")
}
