package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func suppressedCommand(c *console) *cobra.Command {
	var (
		r      remote
		sel    selectorFlags
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "suppressed SELECTOR",
		Short: "Ask whether somebody was forgotten",
		Long: `Says whether a completed request has forgotten a user, agent, app or run, and as of
when. The selector has one of them, and nothing else. Nothing of it is kept.

` + selectorHelp,
		Example:     `  lethe suppressed --user-id alice --json`,
		Args:        wants(),
		Annotations: map[string]string{exitNote: exitSection()},
		RunE: func(cmd *cobra.Command, _ []string) error {
			who, err := sel.read(cmd, c.stdin)
			if err != nil {
				return err
			}
			if who.ids != nil || who.selector.ByID() {
				return usagef(cmd, "give one of --user-id, --agent-id, --app-id and --run-id")
			}
			client, err := r.client()
			if err != nil {
				return err
			}
			found, err := client.Suppressed(cmd.Context(), who.selector)
			switch {
			case err != nil:
				return err
			case asJSON:
				return c.answerJSON(found)
			case !found.Suppressed:
				c.answer("no\n")
				return nil
			}
			by := ""
			if found.Request != nil {
				by = fmt.Sprintf(", by request %s", legible(*found.Request))
			}
			c.answer("forgotten, as of %s%s\n", orDash(found.ErasedAt), by)
			return nil
		},
	}
	r.add(cmd)
	sel.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
