package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A console is where a command reads and prints.
type console struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

// answer prints what was asked for.
func (c *console) answer(format string, args ...any) {
	_, _ = fmt.Fprintf(c.stdout, format, args...)
}

// talk prints what a person may like to know, and a script need not.
func (c *console) talk(format string, args ...any) {
	_, _ = fmt.Fprintf(c.stderr, format, args...)
}

// answerJSON prints v on one line, as the server would.
func (c *console) answerJSON(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	_, err = c.stdout.Write(append(line, '\n'))
	return err
}

// exitNote is the annotation under which a command keeps the end of its help.
const exitNote = "exit"

const helpTemplate = `{{with or .Long .Short}}{{. | trimTrailingWhitespaces}}{{end}}

{{.UsageString}}{{with index .Annotations "exit"}}
{{.}}{{end}}`

func newRoot(c *console) *cobra.Command {
	root := &cobra.Command{
		Use:   "lethe",
		Short: "Erase a person's memories from AI-memory stores, and prove it",
		Long: `Lethe takes a request to forget someone, finds everything about them in every
configured store, erases it, reads again to verify, and writes what happened
into a tamper-evident log whose certificates anyone can check offline.

Standard output is the answer, standard error is talk.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Annotations:   map[string]string{exitNote: exitSection(exitHeld, exitNotFound, exitUnverified)},
	}
	root.SetIn(c.stdin)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	root.SetHelpTemplate(helpTemplate)
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(commands(c)...)
	return root
}

// usagef returns a usageError of cmd. It must not be given what was typed.
func usagef(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{command: cmd.CommandPath(), text: fmt.Sprintf(format, args...)}
}

// flagError words an error of the flag parser without what was typed: "-u
// alice" and "--usr-id=alice" must not come back.
func flagError(cmd *cobra.Command, err error) error {
	var (
		unknown *pflag.NotExistError
		invalid *pflag.InvalidValueError
		missing *pflag.ValueRequiredError
	)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return err
	case errors.As(err, &unknown):
		return usagef(cmd, "unknown flag")
	case errors.As(err, &invalid):
		return usagef(cmd, "--%s has a value that cannot be read as a %s", invalid.GetFlag().Name, invalid.GetFlag().Value.Type())
	case errors.As(err, &missing):
		return usagef(cmd, "--%s needs a value", missing.GetFlag().Name)
	}
	return usagef(cmd, "a flag cannot be read")
}

// noCommand refuses arguments of a command that only has commands below it.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return usagef(cmd, "unknown command; did you mean %s?", strings.Join(near, " or "))
	}
	return usagef(cmd, "unknown command")
}

// wants returns a check for exactly the arguments named, such as "REQUEST_ID".
func wants(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == len(names):
			return nil
		case len(names) == 0:
			return usagef(cmd, "takes no arguments besides flags")
		}
		return usagef(cmd, "takes exactly %s, and was given %d arguments", strings.Join(names, " "), len(args))
	}
}

// group returns a command that only has commands below it.
func group(use, short string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: noCommand,
		RunE:        func(cmd *cobra.Command, _ []string) error { return usagef(cmd, "needs one of its commands") },
		Annotations: map[string]string{exitNote: exitSection()},
	}
	cmd.AddCommand(below...)
	return cmd
}
