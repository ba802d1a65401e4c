package main

import (
	"github.com/spf13/cobra"

	"lethe/audit/proof"
)

// verifyCommand hands everything to the code of lethe-verify, flags too, so
// that the two cannot differ.
func verifyCommand(c *console) *cobra.Command {
	return &cobra.Command{
		Use:                   "verify FILE... --key KEY_OR_FILE | --policy FILE [--completed] [--log DIR_OR_URL]",
		Short:                 "Check certificates; needs no server, and no network unless --log is a URL",
		DisableFlagParsing:    true,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			status := proof.RunVerify(cmd.CommandPath(), args, publishedAt(cmd.Context()), c.stdout, c.stderr)
			if status == exitDone {
				return nil
			}
			return statusError(status)
		},
	}
}
