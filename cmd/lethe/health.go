package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// errNotReady ends lethe health --ready; why not has been said.
var errNotReady = errors.New("the service is not ready")

func healthCommand(c *console) *cobra.Command {
	var (
		r     remote
		ready bool
	)
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a running service how it is",
		Long: `Asks the server's /healthz, or with --ready its /readyz, and ends with status 0 if
the answer is good. It is what a container without a shell is probed with, needs
no token, and changes nothing.`,
		Example: `  lethe health
  lethe health --ready --server https://lethe.example.com`,
		Args:        wants(),
		Annotations: map[string]string{exitNote: exitSection()},
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := r.client()
			if err != nil {
				return err
			}
			if !ready {
				if err := client.Health(cmd.Context()); err != nil {
					return fmt.Errorf("ask how the service is: %w", err)
				}
				c.answer("ok\n")
				return nil
			}
			is, err := client.Ready(cmd.Context())
			switch {
			case err != nil:
				return fmt.Errorf("ask whether the service is ready: %w", err)
			case !is.Ready:
				c.talk("%s\n", strings.Join(is.Reasons, "\n"))
				return errNotReady
			}
			c.answer("ready\n")
			return nil
		},
	}
	r.add(cmd)
	cmd.Flags().BoolVar(&ready, "ready", false, "ask whether it is to get requests, not only whether it serves")
	return cmd
}
