package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lethe/audit/proof"
)

func keysCommand(c *console) *cobra.Command {
	var (
		s           source
		asJSON, all bool
	)
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Print the log's public verifier key, one line",
		Long: `Prints the key with which anyone can check certificates. Publish it where others
can compare it: who has only the certificates must trust whoever hands out the
key.

With --all, prints all keys that the log has had, the oldest first, as its own
entries tell. After one that was retired stands a line

  #lethe:until NAME+HASH SIZE

by which that key is believed for heads of at most SIZE entries. lethe verify
--key takes the list as it is. In a policy, put "log" before each key and keep
the #lethe: lines; other tools pass over them.`,
		Example: `  lethe keys > lethe.pub
  lethe verify PRIV-123.tlog-proof --key lethe.pub
  lethe keys --all > lethe.keys`,
		Args:        wants(),
		Annotations: map[string]string{exitNote: exitSection()},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.printKeys(cmd.Context(), &s, all, asJSON)
		},
	}
	s.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "print all keys that the log has had, with their bounds")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, with all keys")
	cmd.AddCommand(keysRotateCommand(c))
	return cmd
}

// printKeys prints the key in force, or all keys.
func (c *console) printKeys(ctx context.Context, s *source, all, asJSON bool) error {
	key, err := s.verifierKey(ctx)
	if err != nil {
		return fmt.Errorf("find the log's key: %w", err)
	}
	if !all && !asJSON {
		c.answer("%s\n", key)
		return nil
	}
	text, err := s.allKeys(ctx)
	if err != nil {
		return fmt.Errorf("find the log's keys: %w", err)
	}
	if !asJSON {
		c.answer("%s", text)
		return nil
	}
	list, err := proof.ParseKeys(text)
	if err != nil {
		return err
	}
	type bounded struct {
		Key   string `json:"key"`
		Until *int64 `json:"until,omitempty"` // entries; absent while there is no bound
	}
	origin, _, _ := strings.Cut(key, "+")
	answer := struct {
		Origin string    `json:"origin"`
		Key    string    `json:"key"`
		Keys   []bounded `json:"keys"`
	}{Origin: origin, Key: key}
	for _, k := range list.Logs() {
		b := bounded{Key: k.Key.String()}
		if k.Until != proof.Unbounded {
			b.Until = &k.Until
		}
		answer.Keys = append(answer.Keys, b)
	}
	return c.answerJSON(answer)
}

// allKeys returns all keys that the log has had, as its entries tell. A log that
// has not begun has the one that is in its file.
func (s *source) allKeys(ctx context.Context) ([]byte, error) {
	if !s.direct() {
		client, err := s.client()
		if err != nil {
			return nil, err
		}
		return client.Keys(ctx)
	}
	text, err := s.believed(ctx)
	if err != nil {
		return nil, err
	}
	origin, _, _ := strings.Cut(text, "+")
	l, done, err := s.openLedger(ctx, origin, text)
	if err != nil {
		return nil, err
	}
	defer done()
	return l.Keys(ctx)
}
