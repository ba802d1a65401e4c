package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"lethe/jobs/api"
)

// decision is a command that decides something about one request and answers
// with what it is then.
func decision(c *console, cmd *cobra.Command, do func(context.Context, *api.Client, string) (api.Request, error)) *cobra.Command {
	var (
		r      remote
		asJSON bool
	)
	cmd.Args = wants("REQUEST_ID")
	cmd.Annotations = map[string]string{exitNote: exitSection(exitNotFound)}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := r.client()
		if err != nil {
			return err
		}
		req, err := do(cmd.Context(), client, args[0])
		if err != nil {
			return err
		}
		if asJSON {
			return c.answerJSON(req)
		}
		c.answer("due %s\n", day(req.DueAt))
		return nil
	}
	r.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the request as JSON")
	return cmd
}

func extendCommand(c *console) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "extend REQUEST_ID --reason CODE",
		Short: "Extend the period in which a request is to be answered",
		Long: `Extends the period of a request: to three months from receipt under gdpr, to
90 days under ccpa. It can be done once, and before the first period ends. Tell
the person who asked, with the reasons, within that period: lethe writes to
nobody. The reason is a code (complexity, number, reasonably-necessary, or one of
the configuration's), stands in the log, and is never free text.`,
		Example: `  lethe extend 01939f5e-7b6a-7c1e-8a55-0c9a7d1c2b3a --reason complexity`,
	}
	decision(c, cmd, func(ctx context.Context, client *api.Client, id string) (api.Request, error) {
		if reason == "" {
			return api.Request{}, usagef(cmd, "--reason must be given")
		}
		return client.Extend(ctx, id, reason)
	})
	cmd.Flags().StringVar(&reason, "reason", "", "`CODE` of the reason, such as complexity")
	return cmd
}

func confirmCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "confirm REQUEST_ID",
		Short: "Record that the receipt of a request was confirmed to who asked",
		Long: `Records that the receipt of a request was confirmed to the person who asked, as
ccpa wants it within 10 business days. Lethe writes to nobody: confirm first, and
then say so here. It is recorded also when it comes late.`,
		Example: `  lethe confirm 01939f5e-7b6a-7c1e-8a55-0c9a7d1c2b3a`,
	}
	return decision(c, cmd, func(ctx context.Context, client *api.Client, id string) (api.Request, error) {
		return client.Confirm(ctx, id)
	})
}

func exemptCommand(c *console) *cobra.Command {
	var (
		x      api.Refused
		review string
	)
	cmd := &cobra.Command{
		Use:   "exempt REQUEST_ID --store NAME [--place PLACE] --reason CODE",
		Short: "Refuse a part of a request",
		Long: `Refuses a part of a request: nothing of a store, or of one place of it, is
erased. It can be done until erasing begins (file with --grace to have time for
it). What has been planned is planned anew, under another plan hash. The
certificate states what was left, where and why. The reason is a code (art17-3-a
to art17-3-e, ccpa-1798.105-d-1 to -d-8, or one of the configuration's) and never
free text.`,
		Example: `  lethe exempt 01939f5e-7b6a-7c1e-8a55-0c9a7d1c2b3a --store app --place invoices --reason art17-3-b --review-at 2036-12-31T00:00:00Z`,
	}
	decision(c, cmd, func(ctx context.Context, client *api.Client, id string) (api.Request, error) {
		if x.Store == "" || x.Reason == "" {
			return api.Request{}, usagef(cmd, "--store and --reason must be given")
		}
		if review != "" {
			at, err := time.Parse(time.RFC3339, review)
			if err != nil {
				return api.Request{}, usagef(cmd, "--review-at must be a time such as 2036-12-31T00:00:00Z")
			}
			x.ReviewAt = &at
		}
		return client.Exempt(ctx, id, x)
	})
	f := cmd.Flags()
	f.StringVar(&x.Store, "store", "", "`NAME` of the store")
	f.StringVar(&x.Place, "place", "", "one `PLACE` of it; the whole store if not given")
	f.StringVar(&x.Reason, "reason", "", "`CODE` of the reason, such as art17-3-b")
	f.StringVar(&review, "review-at", "", "`TIME` at which it is to be looked at again")
	return cmd
}

// day is how a deadline is shown: its last second, by the calendar that counts.
func day(t time.Time) string { return t.Format(time.RFC3339) }

// writeDeadlines says what the clock of a request shows, and which parts of it
// are refused.
func writeDeadlines(w io.Writer, r api.Request) {
	mark := func(late bool) string {
		if late {
			return "  OVERDUE"
		}
		return ""
	}
	fmt.Fprintf(w, "due\t%s%s\n", day(r.DueAt), mark(r.Overdue))
	if r.ExtendedAt != nil {
		fmt.Fprintf(w, "extended\t%s, %s, by %s\n", stamp(*r.ExtendedAt), r.ExtensionReason, r.ExtendedBy)
	}
	switch {
	case r.ConfirmedAt != nil:
		fmt.Fprintf(w, "confirmed\t%s\n", stamp(*r.ConfirmedAt))
	case r.ConfirmBy != nil:
		fmt.Fprintf(w, "confirm by\t%s%s\n", day(*r.ConfirmBy), mark(r.ConfirmOverdue))
	}
	for _, x := range r.RefusedInPart {
		part := x.Store
		if x.Place != "" {
			part += "/" + x.Place
		}
		fmt.Fprintf(w, "exempt\t%s: %d IDs, %s, by %s\n", legible(part), x.IDs, x.Reason, x.By)
	}
}
