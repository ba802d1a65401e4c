package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"lethe/jobs/api"
	"lethe/store"
)

// selectorFlags are the flags that say who or what is meant.
type selectorFlags struct {
	file     string
	ids      []string
	idsFile  string
	identity map[string]*string // by the name of the flag
	metadata []string
}

// selectorHelp is the part of a help text that is about them.
const selectorHelp = `Who or what is meant is said by one of
  --selector-file FILE  JSON such as {"user_id":"alice"}; keeps identifiers out
                        of the process list, so use it in scripts ("-": stdin)
  --id ID               an explicit memory ID, repeatable
  --ids-file FILE       explicit memory IDs, one a line ("-": stdin)
  --user-id, --agent-id, --app-id, --run-id, --metadata KEY=VALUE
                        any of them; all that are given must match exactly

A metadata VALUE that is a JSON number, true, false or a quoted string is taken
as that, anything else as a string.`

func (s *selectorFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.file, "selector-file", "", "read the selector as JSON from `FILE` (- for stdin)")
	f.StringArrayVar(&s.ids, "id", nil, "an explicit memory `ID` (repeatable)")
	f.StringVar(&s.idsFile, "ids-file", "", "read memory IDs, one a line, from `FILE` (- for stdin)")
	s.identity = make(map[string]*string)
	for _, name := range identityFlags() {
		s.identity[name] = f.String(name, "", "select what has exactly this "+strings.ReplaceAll(name, "-", "_"))
	}
	f.StringArrayVar(&s.metadata, "metadata", nil, "select what has this metadata, `KEY=VALUE` (repeatable)")
}

func identityFlags() []string { return []string{"user-id", "agent-id", "app-id", "run-id"} }

// A selection is what the flags select.
type selection struct {
	selector store.Selector
	ids      *idFile // instead, if there may be a million of them; else nil
}

// submission adds who is meant to s.
func (s selection) submission(to api.Submission) api.Submission {
	to.Selector = s.selector
	if s.ids != nil {
		to.IDs = s.ids.all
	}
	return to
}

// again reports whether the selection can be sent a second time.
func (s selection) again() bool { return s.ids == nil || s.ids.name != "-" }

// blame returns what was wrong with the IDs, if that is why err happened.
func (s selection) blame(err error) error {
	if err != nil && s.ids != nil && s.ids.err != nil {
		return s.ids.err
	}
	return err
}

// read checks the flags against each other and reads what they name.
func (s *selectorFlags) read(cmd *cobra.Command, stdin io.Reader) (selection, error) {
	if err := s.oneWay(cmd); err != nil {
		return selection{}, err
	}
	switch {
	case cmd.Flags().Changed("selector-file"):
		return s.fromFile(cmd, stdin)
	case cmd.Flags().Changed("ids-file"):
		if s.idsFile == "" {
			return selection{}, usagef(cmd, "--ids-file needs the path of a file, or - for stdin")
		}
		return selection{ids: &idFile{name: s.idsFile, stdin: stdin}}, nil
	}
	sel, err := s.fromFlags(cmd)
	return selection{selector: sel}, err
}

func (s *selectorFlags) fromFile(cmd *cobra.Command, stdin io.Reader) (selection, error) {
	in := stdin
	switch s.file {
	case "":
		return selection{}, usagef(cmd, "--selector-file needs the path of a file, or - for stdin")
	case "-":
	default:
		f, err := os.Open(s.file)
		if err != nil {
			return selection{}, fmt.Errorf("open --selector-file: %w", err)
		}
		defer f.Close()
		in = f
	}
	sel, err := api.ReadSelector(in, nil)
	if err != nil {
		return selection{}, fmt.Errorf("read --selector-file: %w", err)
	}
	return selection{selector: sel}, nil
}

// oneWay makes sure that exactly one way to select is taken: two of them could
// be meant to widen each other or to narrow each other.
func (s *selectorFlags) oneWay(cmd *cobra.Command) error {
	ways := 0
	for _, way := range [][]string{{"selector-file"}, {"id"}, {"ids-file"}, append(identityFlags(), "metadata")} {
		for _, name := range way {
			if cmd.Flags().Changed(name) {
				ways++
				break
			}
		}
	}
	switch ways {
	case 1:
		return nil
	case 0:
		return usagef(cmd, "say who or what is meant: everything cannot be said by omission")
	}
	return usagef(cmd, "say who or what is meant in one way: --selector-file, --id, --ids-file, or identity and metadata flags")
}

// fromFlags reads a flag that was given but is empty as a mistake: an unset
// variable in a script must not widen an erasure.
func (s *selectorFlags) fromFlags(cmd *cobra.Command) (store.Selector, error) {
	sel := store.Selector{IDs: s.ids}
	for _, id := range s.ids {
		if err := store.CheckValue("--id", id); err != nil {
			return store.Selector{}, err
		}
	}
	to := map[string]*string{"user-id": &sel.UserID, "agent-id": &sel.AgentID, "app-id": &sel.AppID, "run-id": &sel.RunID}
	for name, field := range to {
		if !cmd.Flags().Changed(name) {
			continue
		}
		*field = *s.identity[name]
		if err := store.CheckValue("--"+name, *field); err != nil {
			return store.Selector{}, err
		}
	}
	for _, pair := range s.metadata {
		key, text, ok := strings.Cut(pair, "=")
		if _, twice := sel.Metadata[key]; !ok || twice {
			return store.Selector{}, usagef(cmd, "--metadata must be KEY=VALUE, each KEY once")
		}
		v, err := metadataValue(text)
		if err != nil {
			return store.Selector{}, usagef(cmd, "--metadata: %v", err)
		}
		if sel.Metadata == nil {
			sel.Metadata = make(map[string]store.Value)
		}
		sel.Metadata[key] = v
	}
	return sel, sel.Validate()
}

// metadataValue reads a VALUE of --metadata.
func metadataValue(text string) (store.Value, error) {
	v := jsontext.Value(text)
	if strings.TrimSpace(text) != text || !v.IsValid() {
		return store.StringValue(text), nil
	}
	switch v.Kind() {
	case jsontext.KindTrue, jsontext.KindFalse:
		return store.BoolValue(text == "true"), nil
	case jsontext.KindNumber:
		return store.NumberValue(text)
	case jsontext.KindString:
		s, err := jsontext.AppendUnquote(nil, text)
		return store.StringValue(string(s)), err
	}
	return store.StringValue(text), nil
}
