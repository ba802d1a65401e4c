package main

import (
	"cmp"
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"lethe/store"
)

func storesCommand(c *console) *cobra.Command {
	return group("stores", "Look after the stores", storesCheckCommand(c))
}

func storesCheckCommand(c *console) *cobra.Command {
	var (
		path   string
		flags  Overrides
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Connect to every store and compare its data map with its real schema",
		Long: `Connects to every store of the configuration and compares what lethe knows of
its tables with what is there. A table or column that looks personal and that
lethe does not know is a problem: nothing in it would be erased. Changes
nothing.`,
		Example:     `  lethe stores check --config lethe.yaml`,
		Args:        wants(),
		Annotations: map[string]string{exitNote: exitSection()},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path == "" && flags.Data == "" {
				return usagef(cmd, "needs --config, or --data for the store that lethe keeps itself")
			}
			config, err := Load(path, flags)
			if err != nil {
				return err
			}
			return c.checkStores(cmd.Context(), config.Stores, asJSON)
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "configuration `FILE` (YAML)")
	cmd.Flags().StringVar(&flags.Data, "data", "", "`DIR` of the data folder")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one line of JSON a finding")
	return cmd
}

// A storeFinding is what there is to say about one table or column of a store.
type storeFinding struct {
	Store string `json:"store"`
	store.Finding
}

// checkStores looks at every store, also after one with problems.
func (c *console) checkStores(ctx context.Context, stores []StoreConfig, asJSON bool) error {
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	if !asJSON {
		fmt.Fprintln(w, "STORE\tTABLE\tCOLUMN\tPLACE\tVERDICT")
	}
	problems := 0
	for _, one := range stores {
		for _, f := range findings(ctx, one) {
			verdict := "ok"
			switch {
			case f.Problem != "":
				verdict = "PROBLEM: " + f.Problem
				problems++
			case f.Waived != "":
				verdict = "waived: " + f.Waived
			}
			if asJSON {
				if err := c.answerJSON(storeFinding{one.Name, f}); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", one.Name, cmp.Or(f.Table, "-"), cmp.Or(f.Column, "-"), cmp.Or(f.Place, "-"), verdict)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if problems > 0 {
		return fmt.Errorf("%d problems: what is not mapped would not be erased", problems)
	}
	return nil
}

// findings returns what a store's check says. That it cannot be opened is a
// finding too.
func findings(ctx context.Context, c StoreConfig) (found []store.Finding) {
	c.Own = false // checking makes no files
	st, err := openStore(ctx, c)
	if err != nil {
		return []store.Finding{{Problem: err.Error()}}
	}
	defer func() {
		if err := st.Close(); err != nil {
			found = append(found, store.Finding{Problem: err.Error()})
		}
	}()
	checker, ok := st.Store.(store.Checker)
	if !ok {
		return []store.Finding{{Problem: "this kind of store cannot be checked"}}
	}
	found, err = checker.Check(ctx)
	if err != nil {
		found = append(found, store.Finding{Problem: err.Error()})
	}
	return found
}
