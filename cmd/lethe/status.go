package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
)

func statusCommand(c *console) *cobra.Command {
	var (
		r             remote
		watch, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "status REQUEST_ID",
		Short: "Show how far a request is",
		Example: `  lethe status 01939f5e-7b6a-7c1e-8a55-0c9a7d1c2b3a
  lethe status --watch --json 01939f5e-7b6a-7c1e-8a55-0c9a7d1c2b3a   # one line of JSON a change`,
		Args:        wants("REQUEST_ID"),
		Annotations: map[string]string{exitNote: exitSection(exitHeld, exitNotFound)},
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := r.client()
			if err != nil {
				return err
			}
			if !watch {
				req, err := client.Request(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return c.showRequest(req, asJSON)
			}
			show := newProgress(c.stderr)
			each := show.show
			if asJSON {
				each = func(r api.Request) { _ = c.answerJSON(r) }
			}
			req, err := follow(cmd.Context(), client, args[0], each)
			show.stop()
			if err != nil || asJSON {
				return orHeld(req, err)
			}
			return c.showRequest(req, false)
		},
	}
	r.add(cmd)
	cmd.Flags().BoolVar(&watch, "watch", false, "follow the request until it ends, or until people have to act")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// needsPeople reports whether r goes on only after somebody has acted.
func needsPeople(r api.Request) bool {
	return r.Status == jobs.Held || r.Status == jobs.AwaitingApproval
}

func orHeld(r api.Request, err error) error {
	if err == nil && needsPeople(r) {
		return fmt.Errorf("the request is %s: %w", r.Status, errHeld)
	}
	return err
}

// follow calls each with a request whenever it has changed, until it has ended
// or people have to act, and returns it as it then is.
func follow(ctx context.Context, client *api.Client, id string, each func(api.Request)) (api.Request, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r, err := client.Watch(ctx, id, func(r api.Request) {
		each(r)
		if needsPeople(r) {
			stop(errHeld)
		}
	})
	if errors.Is(context.Cause(ctx), errHeld) {
		return r, nil
	}
	return r, err
}

// showRequest answers with r.
func (c *console) showRequest(r api.Request, asJSON bool) error {
	if asJSON {
		return orHeld(r, c.answerJSON(r))
	}
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "request\t%s\nstatus\t%s\n", r.ID, r.Status)
	if r.Ticket != "" {
		fmt.Fprintf(w, "ticket\t%s\n", legible(r.Ticket))
	}
	fmt.Fprintf(w, "basis\t%s %s\nreceived\t%s\n", r.Regime, r.Ground, stamp(r.ReceivedAt))
	writeDeadlines(w, r)
	if r.GraceUntil != nil {
		fmt.Fprintf(w, "grace\tnothing is erased before %s\n", stamp(*r.GraceUntil))
	}
	if r.PlanHash != "" {
		fmt.Fprintf(w, "plan\t%s\n", legible(r.PlanHash))
	}
	if r.Approval.By != "" && r.Approval.At != nil {
		fmt.Fprintf(w, "approved\tby %s, %s\n", legible(r.Approval.By), stamp(*r.Approval.At))
	}
	if r.CompletedAt != nil {
		fmt.Fprintf(w, "ended\t%s\n", stamp(*r.CompletedAt))
	}
	if r.Superseded != nil {
		fmt.Fprintf(w, "came back\tand is erased again by %s\n", legible(*r.Superseded))
	}
	if r.OutlivedAt != nil {
		fmt.Fprintf(w, "record\tdeleted %s, as the retention says; the proof stays\n", stamp(*r.OutlivedAt))
	}
	if r.Certificate != nil {
		fmt.Fprintf(w, "proof\tlethe certificate %s\n", r.ID)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	c.answer("\n")
	err := storeTable(c.stdout, r.Stores)
	if err == nil && r.PlanHash != "" && !r.Status.Ended() {
		err = planTable(c.stdout, r.Stores, r.Related)
	}
	tellApproval(c.stderr, r)
	return orHeld(r, err)
}

// planTable shows what a request's plan counted in each place.
func planTable(out io.Writer, stores []api.StoreProgress, related bool) error {
	_, _ = fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	placesHead(w)
	for _, s := range stores {
		placesOf(w, s.Store, s.Places)
		if s.Related > 0 {
			fmt.Fprintf(w, "%s\trelated\t%d\t\t%s\n", s.Store, s.Related, relatedNote(related))
		}
	}
	return w.Flush()
}

func storeTable(out io.Writer, stores []api.StoreProgress) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "store\tstage\tevidence\tfound\terased\tabsent\theld\trefused\texempt\tremaining\tbatches\tnote\t")
	for _, s := range stores {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d/%d\t%s\t\n", s.Store, s.Stage, s.Evidence,
			s.Found, s.Erased, s.Absent, s.Held, s.Refused, s.Exempt, s.Remaining, s.BatchesDone, s.BatchesTotal, cmp.Or(legible(s.Note), ownWord(s)))
	}
	return w.Flush()
}

// ownWord says of a store that is done what its evidence leaves open.
func ownWord(s api.StoreProgress) string {
	if s.Stage == jobs.StageDone && s.Evidence == store.EvidenceErased {
		return "by its own word; it keeps what it does not show"
	}
	if s.Kept > 0 {
		return fmt.Sprintf("%d left by the sweep: held, or not meant any more", s.Kept)
	}
	return ""
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
