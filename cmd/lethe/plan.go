package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"lethe/jobs"
	"lethe/jobs/api"
)

func planCommand(c *console) *cobra.Command {
	var (
		r      remote
		sel    selectorFlags
		stores []string
		asJSON bool

		related bool
	)
	cmd := &cobra.Command{
		Use:   "plan SELECTOR",
		Short: "Show what a request would erase; changes nothing",
		Long: `Counts, in every place of every store, what a request would erase now. It
changes nothing and files no request.

` + selectorHelp,
		Example: `  lethe plan --user-id alice
  lethe plan --selector-file person.json --store assistant --json`,
		Args:        wants(),
		Annotations: map[string]string{exitNote: exitSection()},
		RunE: func(cmd *cobra.Command, _ []string) error {
			who, err := sel.read(cmd, c.stdin)
			if err != nil {
				return err
			}
			client, err := r.client()
			if err != nil {
				return err
			}
			plan, err := client.Plan(cmd.Context(), who.submission(api.Submission{Stores: stores, Related: related}))
			if err := who.blame(err); err != nil {
				return err
			}
			if asJSON {
				return c.answerJSON(plan)
			}
			return c.showPlan(plan, related)
		},
	}
	r.add(cmd)
	sel.add(cmd)
	cmd.Flags().StringArrayVar(&stores, "store", nil, "only in the store of this `NAME` (repeatable)")
	cmd.Flags().BoolVar(&related, "related", false, relatedHelp)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// showPlan prints the counts per store and place. Rows that hang on others go
// with those and are not counted as IDs.
func (c *console) showPlan(p api.Plan, related bool) error {
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	placesHead(w)
	for _, s := range p.Stores {
		placesOf(w, s.Store, s.Places)
		fmt.Fprintf(w, "%s\tin all\t%d\t\tto erase, %d of them held\n", s.Store, s.Found, s.Held)
		if s.Unattributable > 0 {
			fmt.Fprintf(w, "%s\tunattributable\t%d\t\trows that nothing ties to anyone; left alone\n", s.Store, s.Unattributable)
		}
		if s.Related > 0 {
			fmt.Fprintf(w, "%s\trelated\t%d\t\t%s\n", s.Store, s.Related, relatedNote(related))
		}
	}
	fmt.Fprintf(w, "\nplan %s\n", p.PlanHash)
	for _, x := range p.Beyond {
		fmt.Fprintf(w, "a request for this would wait for a second person: %s\n", excess(x))
	}
	return w.Flush()
}

func relatedNote(asked bool) string {
	if asked {
		return "about the same person, though they name another; erased too"
	}
	return "about the same person, though they name another; left alone without --related"
}

func placesHead(w io.Writer) { _, _ = fmt.Fprintln(w, "STORE\tPLACE\tFOUND\tOF\tNOTE") }

func placesOf(w io.Writer, storeName string, places []jobs.PlaceCount) {
	for _, p := range places {
		note, all := "", ""
		if p.With != "" {
			note = "goes with " + legible(p.With)
		}
		if p.Total > 0 {
			all = strconv.Itoa(p.Total)
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", legible(storeName), legible(p.Place), p.Found, all, note)
	}
}
