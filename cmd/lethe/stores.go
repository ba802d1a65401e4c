package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"lethe/store"
)

func storesCommand(c *console) *cobra.Command {
	return group("stores", "Look after the stores", storesCheckCommand(c))
}

func storesCheckCommand(c *console) *cobra.Command {
	var (
		path  string
		flags Overrides
		check checking
	)
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Connect to every store and compare its data map with its real schema",
		Long: `Connects to every store of the configuration and compares what lethe knows of
its tables with what is there. Every table, column and trigger is

  mapped    to a place, with its role there. A column without a role is content:
            it goes with its row
  waived    by the configuration, with the reason
  unmapped  neither. If it can hold texts or documents, that is a problem, since
            nothing in it would be erased. Tables with only numbers, dates and
            fixed words are listed, and are problems with --strict alone

Problems are also: triggers on mapped tables, virtual tables, materialized views
and statistics that keep copies, and foreign keys of unmapped tables into mapped
ones. Notes say what is worth knowing: parents without an index, collations,
publications, samples in statistics, other schemas of the database.

Changes nothing. Any problem is exit status 1.`,
		Example: `  lethe stores check --config lethe.yaml
  lethe stores check --config lethe.yaml --json | jq 'select(.problem)'`,
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
			return c.checkStores(cmd.Context(), config.Stores, check)
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "configuration `FILE` (YAML)")
	cmd.Flags().StringVar(&flags.Data, "data", "", "`DIR` of the data folder")
	cmd.Flags().BoolVar(&check.json, "json", false, "print one line of JSON a finding")
	cmd.Flags().BoolVar(&check.strict, "strict", false, "whatever is unmapped is a problem, tables with only numbers and dates too")
	return cmd
}

// A checking is how strictly stores are checked, and how it is told.
type checking struct{ strict, json bool }

// A storeFinding is what there is to say about one table or column of a store.
type storeFinding struct {
	Store string `json:"store"`
	store.Finding
}

// checkStores looks at every store, also after one with problems.
func (c *console) checkStores(ctx context.Context, stores []StoreConfig, check checking) error {
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	if !check.json {
		fmt.Fprintln(w, "STORE\tTABLE\tCOLUMN\tPLACE\tROLE\tVERDICT")
	}
	problems, unmapped := 0, false
	for _, one := range stores {
		for _, f := range findings(ctx, one) {
			if check.strict && f.Unmapped && f.Problem == "" {
				f.Problem = "unmapped: map it as a place, or waive it with the reason"
			}
			if f.Problem != "" {
				problems++
				unmapped = unmapped || f.Unmapped
			}
			if check.json {
				if err := c.answerJSON(storeFinding{one.Name, f}); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", one.Name, cmp.Or(f.Table, "-"), cmp.Or(f.Column, "-"), cmp.Or(f.Place, "-"), cmp.Or(f.Role, "-"), verdict(f))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return sumUp(problems, unmapped)
}

// sumUp ends a check that found problems.
func sumUp(problems int, unmapped bool) error {
	text := strconv.Itoa(problems) + " problems"
	switch problems {
	case 0:
		return nil
	case 1:
		text = "1 problem"
	}
	if unmapped {
		return errors.New(text + ": what is not mapped would not be erased")
	}
	return errors.New(text + ", each with what to do about it")
}

// verdict words a finding.
func verdict(f store.Finding) string {
	text := "ok"
	switch {
	case f.Problem != "":
		text = "PROBLEM: " + f.Problem
	case f.Waived != "":
		text = "waived: " + f.Waived
	case f.Unmapped:
		text = "unmapped"
	}
	if f.Note != "" {
		text += " (" + f.Note + ")"
	}
	return text
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
	if !c.lists() {
		found = append(found, store.Finding{Note: "cannot list what is in it: the watch and lethe replay cannot tell what has come back"})
	}
	checker, ok := st.Store.(store.Checker)
	if !ok {
		return append(found, store.Finding{Problem: "this kind of store cannot be checked"})
	}
	checked, err := checker.Check(ctx)
	if found = append(checked, found...); err != nil {
		found = append(found, store.Finding{Problem: err.Error()})
	}
	return found
}
