package main

import "github.com/spf13/cobra"

func cancelCommand(c *console) *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "cancel REQUEST_ID",
		Short: "Stop a request",
		Long: `Stops a request. Before its first destructive batch it ends at once, with
nothing erased; afterwards it stops between batches, and its certificate says
how far it got. What is erased stays erased.`,
		Example:     `  lethe cancel 01939f5e-7b6a-7c1e-8a55-0c9a7d1c2b3a`,
		Args:        wants("REQUEST_ID"),
		Annotations: map[string]string{exitNote: exitSection(exitNotFound)},
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := r.client()
			if err != nil {
				return err
			}
			req, err := client.Cancel(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			c.answer("%s\n", req.Status)
			return nil
		},
	}
	r.add(cmd)
	return cmd
}
