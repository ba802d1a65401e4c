package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func keysCommand(c *console) *cobra.Command {
	var (
		s      source
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Print the log's public verifier key, one line",
		Long: `Prints the key with which anyone can check certificates. Publish it where others
can compare it: who has only the certificates must trust whoever hands out the
key.`,
		Example: `  lethe keys > lethe.pub
  lethe verify PRIV-123.tlog-proof --key lethe.pub`,
		Args:        wants(),
		Annotations: map[string]string{exitNote: exitSection()},
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, err := s.verifierKey(cmd.Context())
			if err != nil {
				return fmt.Errorf("find the log's key: %w", err)
			}
			if !asJSON {
				c.answer("%s\n", key)
				return nil
			}
			origin, _, _ := strings.Cut(key, "+")
			return c.answerJSON(struct {
				Origin string `json:"origin"`
				Key    string `json:"key"`
			}{origin, key})
		},
	}
	s.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
