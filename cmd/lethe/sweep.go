package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lethe/jobs"
	"lethe/jobs/api"
)

// errUnrun: the reasons have been said.
var errUnrun = errors.New("the policy could not be run in every store")

func sweepCommand(c *console) *cobra.Command {
	cmd := group("sweep", "List retention policies, and run them by hand",
		sweepListCommand(c), sweepRunCommand(c))
	cmd.Long = `A retention policy erases by the clock what nobody has to ask for: memories that
have expired, rows that are older than some time, the history of memories that
are gone. It stands in the configuration, under policies. Each time it is due it
files one request for each of its stores, like any other: with a plan, holds,
limits, verification and a certificate.`
	return cmd
}

func sweepListCommand(c *console) *cobra.Command {
	var (
		r      remote
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the retention policies with the last sweep in each store",
		Long: `Lists the retention policies, when each is due next, and what became of its last
sweep in each of its stores. "open" is one that could not be run yet and is tried
again each minute; --json tells more of them, and why.`,
		Example:     `  lethe sweep list --json | jq -r '.sweeps[].request'`,
		Args:        wants(),
		Annotations: map[string]string{exitNote: exitSection()},
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := r.client()
			if err != nil {
				return err
			}
			list, err := client.Policies(cmd.Context())
			if err != nil {
				return err
			}
			return c.showPolicies(list, asJSON)
		},
	}
	r.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one line of JSON a policy, with its last sweeps")
	return cmd
}

func (c *console) showPolicies(list []api.Policy, asJSON bool) error {
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	if !asJSON {
		fmt.Fprintln(w, "POLICY\tWHEN\tWHERE\tNEXT\tSTORE\tLAST\tSTATE\tFOUND\tREQUEST")
	}
	for _, p := range list {
		if asJSON {
			if err := c.answerJSON(p); err != nil {
				return err
			}
			continue
		}
		for _, name := range p.Stores {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", legible(p.Name), legible(p.When), legible(strings.Join(p.Where, ", ")), orDash(p.Next), legible(name), lastSweep(p, name))
		}
	}
	return w.Flush()
}

// lastSweep is what became of the newest sweep of a policy in a store.
func lastSweep(p api.Policy, name string) string {
	for _, s := range p.Sweeps {
		if s.Store != name {
			continue
		}
		state := string(s.State)
		if s.Reason != "" {
			state += " (" + s.Reason + ")"
		}
		if s.Request == nil {
			return stamp(s.DueAt) + "\t" + legible(state) + "\t" + strconv.Itoa(s.Found) + "\t-"
		}
		return stamp(s.DueAt) + "\t" + legible(string(s.Status)) + "\t" + strconv.Itoa(s.Found) + "\t" + legible(*s.Request)
	}
	return "-\t-\t-\t-"
}

func orDash(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return stamp(*t)
}

func sweepRunCommand(c *console) *cobra.Command {
	var (
		r                    remote
		dryRun, wait, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "run POLICY",
		Short: "Run a retention policy now, and print the IDs of its requests",
		Long: `Runs a retention policy now, in each of its stores, and prints the IDs of the
requests that it files, one a line. Where there is nothing to erase it files none.
Who runs it has filed them, and is none who could approve them.

With --dry-run it changes nothing, and says what would be erased now: how many
rows of each place, how old the oldest and the newest are, and how many rows do
not say how old they are, and are left.`,
		Example: `  lethe sweep run expired --dry-run
  lethe sweep run old-sessions --wait`,
		Args:        wants("POLICY"),
		Annotations: map[string]string{exitNote: exitSection(exitHeld, exitNotFound)},
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := r.client()
			if err != nil {
				return err
			}
			result, err := client.RunPolicy(cmd.Context(), args[0], dryRun)
			switch {
			case err != nil:
				return err
			case asJSON:
				if err := c.answerJSON(result); err != nil {
					return err
				}
			case dryRun:
				if err := c.showSweepPlans(result.Plans); err != nil {
					return err
				}
			default:
				c.showSweeps(result.Sweeps)
			}
			return c.endSweeps(cmd.Context(), client, result, wait)
		},
	}
	r.add(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be erased")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until its requests have ended")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (c *console) showSweeps(list []api.Sweep) {
	for _, s := range list {
		switch {
		case s.Request != nil:
			c.answer("%s\n", legible(*s.Request))
		case s.Held > 0:
			c.talk("%s: nothing to erase but %d IDs that are held\n", legible(s.Store), s.Held)
		case s.State == jobs.SweepEmpty:
			c.talk("%s: nothing to erase\n", legible(s.Store))
		}
		if s.Undated > 0 {
			c.talk("%s: %d rows do not say how old they are and are left\n", legible(s.Store), s.Undated)
		}
	}
}

// endSweeps says where a policy could not be run and, if asked, waits for the end of
// what was filed.
func (c *console) endSweeps(ctx context.Context, client *api.Client, result api.SweepResult, wait bool) (err error) {
	for _, p := range result.Plans {
		if p.Reason != "" {
			c.talk("%s: %s\n", legible(p.Store), legible(p.Detail))
			err = errUnrun
		}
	}
	for _, s := range result.Sweeps {
		if s.Reason != "" {
			c.talk("%s: %s\n", legible(s.Store), legible(s.Detail))
			err = errUnrun
		}
	}
	for _, s := range result.Sweeps {
		if wait && s.Request != nil {
			err = errors.Join(err, c.await(ctx, client, *s.Request))
		}
	}
	return err
}

// await follows a request to its end, or until somebody has to act.
func (c *console) await(ctx context.Context, client *api.Client, id string) error {
	show := newProgress(c.stderr)
	last, err := follow(ctx, client, id, show.show)
	show.stop()
	if err != nil {
		return fmt.Errorf("follow request %s: %w", id, err)
	}
	if held := orHeld(last, nil); held != nil {
		tellApproval(c.stderr, last)
		return held
	}
	c.summarize(last)
	if last.Status != jobs.Completed {
		return fmt.Errorf("the request was %s", last.Status)
	}
	return nil
}

func (c *console) showSweepPlans(list []api.SweepPlan) error {
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STORE\tPLACE\tFOUND\tOF\tUNDATED\tNOTE")
	for _, p := range list {
		if p.Reason != "" {
			fmt.Fprintf(w, "%s\t-\t-\t-\t-\tcannot be run: %s\n", legible(p.Store), legible(p.Reason))
			continue
		}
		for _, place := range p.Places {
			all, note := "", ""
			if place.Total > 0 {
				all = strconv.Itoa(place.Total)
			}
			if place.With != "" {
				note = "goes with " + legible(place.With)
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%d\t%s\n", legible(p.Store), legible(place.Place), place.Found, all, place.Undated, note)
		}
		fmt.Fprintf(w, "%s\tin all\t%d\t\t%d\tto erase, %d of them held and left\n", legible(p.Store), p.Found, p.Undated, p.Held)
		if p.Oldest != nil && p.Newest != nil {
			fmt.Fprintf(w, "%s\tages\t\t\t\tfrom %s to %s\n", legible(p.Store), stamp(*p.Oldest), stamp(*p.Newest))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, p := range list {
		for _, x := range p.Beyond {
			c.answer("its request would wait for an approval: %s\n", excess(x))
		}
	}
	return nil
}
