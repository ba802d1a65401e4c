package main

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lethe/jobs/api"
)

func replayCommand(c *console) *cobra.Command {
	var (
		r                    remote
		name, backup         string
		dryRun, wait, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "replay --store NAME",
		Short: "Erase again what a restored backup has brought back",
		Long: `Run it after a store was put back from a backup, and before the store is used
again. It reads the whole store once and compares each row with the digests of
what was erased: of each ID, and of each user, agent, app or run that somebody was
forgotten by. Rows that were made before they were erased have come back: it files
a request for them, and prints its ID. It says so in the log.

Rows that were made afterwards may be of a person who returned of their own will:
they are counted and left, and so are those that do not say when they were made,
unless the store's configuration says otherwise.

With --dry-run it changes nothing, and says what would be erased. Digests are kept
for as long as suppression.keep says: what was erased before that is not
recognized. If the ledger was put back, too, run lethe log import first: whoever was
forgotten by one name or one ID is then recognized by the log alone, while the
request's subject key is kept.`,
		Example: `  lethe replay --store assistant --backup-time 2026-11-20T03:00:00Z --dry-run
  lethe replay --store assistant --wait`,
		Args:        wants(),
		Annotations: map[string]string{exitNote: exitSection(exitHeld, exitNotFound)},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if name == "" {
				return usagef(cmd, "give the store with --store NAME")
			}
			at, err := backupTime(cmd, backup)
			if err != nil {
				return err
			}
			client, err := r.client()
			if err != nil {
				return err
			}
			found, err := client.Replay(cmd.Context(), name, at, dryRun)
			switch {
			case err != nil:
				return err
			case asJSON:
				err = c.answerJSON(found)
			default:
				err = c.showReplay(found, dryRun)
			}
			if err != nil {
				return err
			}
			for _, id := range found.Requests {
				if wait {
					err = errors.Join(err, c.await(cmd.Context(), client, id))
				}
			}
			return err
		},
	}
	r.add(cmd)
	cmd.Flags().StringVar(&name, "store", "", "the `NAME` of the store")
	cmd.Flags().StringVar(&backup, "backup-time", "", "the `TIME` at which the backup was made, such as 2026-11-20T03:00:00Z (default: all that is known is compared)")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be erased")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until its requests have ended")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// showReplay prints the requests or, of a dry run, what would be erased.
func (c *console) showReplay(found api.Replay, dryRun bool) error {
	if found.Unknown > 0 {
		c.talk("%d digests cannot be compared, because their keys are not in the data folder: what they are of is not recognized\n", found.Unknown)
	}
	if !dryRun {
		for _, id := range found.Requests {
			c.answer("%s\n", legible(id))
		}
		if found.Back == 0 {
			c.talk("%s: nothing has come back\n", legible(found.Store))
		}
		if found.Later+found.Undated > 0 {
			c.talk("%s: left alone: %d rows that were made after the erasure, %d that do not say when\n", legible(found.Store), found.Later, found.Undated)
		}
		return nil
	}
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STORE\tPLACE\tCAME BACK\tMADE LATER\tUNDATED")
	for _, p := range found.Places {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\n", legible(found.Store), legible(p.Place), p.Back, p.Later, p.Undated)
	}
	fmt.Fprintf(w, "%s\tin all\t%d\t%d\t%d\n", legible(found.Store), found.Back, found.Later, found.Undated)
	return w.Flush()
}

func backupTime(cmd *cobra.Command, text string) (at time.Time, err error) {
	if text != "" && at.UnmarshalText([]byte(text)) != nil {
		return at, usagef(cmd, "--backup-time must be a time such as 2026-11-20T03:00:00Z")
	}
	return at, nil
}
