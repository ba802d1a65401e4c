package main

import (
	"context"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
	"lethe/store/mem0"
)

// demoData holds the memories of three people who do not exist.
//
//go:embed demo.json
var demoData []byte

// demoPerson is the one of them who asks to be forgotten.
const demoPerson = "nora"

const demoConfig = `listen: 127.0.0.1:0
data: ./lethe-data
queue: embedded
stores:
  - {name: assistant, kind: mem0-sqlite, vectors: vector_store.db, entities: vector_store_entities.db, history: memory.db}
`

func demoCommand(c *console) *cobra.Command {
	keep := false
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Erase an invented person from an invented store, and check the proof",
		Long: `Demo makes a Mem0 store with the memories of three people who do not exist, in
a temporary folder, starts the whole service there with embedded parts, erases
one of the three, and shows what was on disk before and after. It needs nothing
else, changes nothing else, and removes the folder when it ends.`,
		Args:        wants(),
		Annotations: map[string]string{exitNote: exitSection(exitUnverified)},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "keep the folder, to look around in it")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		dir, err := os.MkdirTemp("", "lethe-demo-")
		if err != nil {
			return fmt.Errorf("make demo folder: %w", err)
		}
		if keep {
			defer c.answer("\nthe folder is kept: %s\n", dir)
		} else {
			defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		}
		return c.demo(cmd.Context(), dir)
	}
	return cmd
}

func (c *console) demo(ctx context.Context, dir string) error {
	memories, err := makeDemoStore(ctx, dir)
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(dir, "lethe.log"))
	if err != nil {
		return fmt.Errorf("make demo log: %w", err)
	}
	defer log.Close()
	config, err := Load(filepath.Join(dir, "lethe.yaml"), Overrides{})
	if err != nil {
		return err
	}
	s, err := openService(ctx, config, slog.New(slog.NewJSONHandler(log, nil)))
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(s.Run(ctx), s.Close()) }()
	err = c.demoTour(ctx, s, dir, memories)
	stop()
	return errors.Join(err, <-ended)
}

// demoTour is what the newcomer sees.
func (c *console) demoTour(ctx context.Context, s *service, dir string, memories []mem0.Memory) error {
	client, err := api.NewClient(s.URL(), "", nil)
	if err != nil {
		return err
	}
	c.answer("A Mem0 store of three invented people, and lethe beside it:\n\n")
	before, err := c.demoCounts(ctx, client, memories)
	if err != nil {
		return err
	}
	secrets := demoSecrets(memories)
	c.answer("\nOn disk, in the clear (texts of hers that can be read in a file, of %d):\n\n", len(secrets)-1)
	if _, err := c.demoScan(dir, secrets); err != nil {
		return err
	}
	c.answer("\n$ lethe submit --user-id %s --ticket PRIV-1 --wait\n", demoPerson)
	last, err := c.demoSubmit(ctx, client)
	if err != nil {
		return err
	}
	c.answer("\nAfterwards:\n\n")
	after, err := c.demoCounts(ctx, client, memories)
	if err != nil {
		return err
	}
	c.answer("\nOn disk:\n\n")
	left, err := c.demoScan(dir, secrets)
	if err != nil {
		return err
	}
	if err := checkDemo(before, after, left); err != nil {
		return err
	}
	return c.demoProof(ctx, client, s, dir, last.ID)
}

// demoSubmit files the request and follows it to its end.
func (c *console) demoSubmit(ctx context.Context, client *api.Client) (api.Request, error) {
	r, _, err := client.Submit(ctx, api.Submission{Selector: store.Selector{UserID: demoPerson}, Ticket: "PRIV-1"})
	if err != nil {
		return api.Request{}, err
	}
	c.answer("%s\n", r.ID)
	show := newProgress(c.stderr)
	last, err := follow(ctx, client, r.ID, show.show)
	show.stop()
	if err != nil {
		return last, err
	}
	if last.Status != jobs.Completed {
		return last, fmt.Errorf("the request ended as %s", last.Status)
	}
	c.summarize(last)
	return last, nil
}

// demoCounts prints what a plan finds for each person, which changes nothing.
func (c *console) demoCounts(ctx context.Context, client *api.Client, memories []mem0.Memory) (map[string]int, error) {
	found := map[string]int{}
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	var people []string
	for _, m := range memories {
		if !slices.Contains(people, m.UserID) {
			people = append(people, m.UserID)
		}
	}
	for i, person := range people {
		plan, err := client.Plan(ctx, api.Submission{Selector: store.Selector{UserID: person}})
		if err != nil {
			return nil, err
		}
		if i == 0 {
			_, _ = fmt.Fprint(w, "person\t")
			for _, p := range plan.Stores[0].Places {
				_, _ = fmt.Fprintf(w, "%s\t", p.Place)
			}
			_, _ = fmt.Fprintln(w)
		}
		_, _ = fmt.Fprintf(w, "%s\t", person)
		for _, p := range plan.Stores[0].Places {
			_, _ = fmt.Fprintf(w, "%d\t", p.Found)
			found[person] += p.Found
		}
		_, _ = fmt.Fprintln(w)
	}
	return found, w.Flush()
}

// checkDemo makes the demo fail if what it shows is not what it says.
func checkDemo(before, after map[string]int, left int) error {
	for person, n := range before {
		switch {
		case person == demoPerson && (n == 0 || after[person] != 0):
			return errors.New("the demo's person was not forgotten")
		case person != demoPerson && after[person] != n:
			return errors.New("the demo touched somebody else")
		}
	}
	if left != 0 {
		return fmt.Errorf("%d traces are left on disk", left)
	}
	return nil
}

// demoProof fetches the certificate and checks it as a stranger would.
func (c *console) demoProof(ctx context.Context, client *api.Client, s *service, dir, id string) error {
	cert, err := client.Certificate(ctx, id)
	if err != nil {
		return err
	}
	subject, err := client.SubjectKey(ctx, id)
	if err != nil {
		return err
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	err = errors.Join(os.WriteFile(file(demoPerson+".cert"), cert, 0o600),
		os.WriteFile(file(demoPerson+".key"), []byte(hex.EncodeToString(subject)+"\n"), 0o600),
		os.WriteFile(file("selector.json"), []byte(`{"user_id":"`+demoPerson+`"}`), 0o600))
	if err != nil {
		return fmt.Errorf("keep the certificate: %w", err)
	}
	c.answer("\n$ lethe certificate %s -o %s.cert && cat %s.cert\n%s", id, demoPerson, demoPerson, cert)
	c.answer("\n$ lethe-verify %s.cert --key %s --subject-key %s.key --selector-file selector.json\n", demoPerson, s.ledger.Log().Verifier(), demoPerson)
	status := proof.RunVerify("lethe-verify", []string{
		file(demoPerson + ".cert"), "--key", s.ledger.Log().Verifier(),
		"--subject-key", file(demoPerson + ".key"), "--selector-file", file("selector.json"),
	}, nil, c.stdout, c.stderr)
	if status != 0 {
		return statusError(status)
	}
	return nil
}

func makeDemoStore(ctx context.Context, dir string) ([]mem0.Memory, error) {
	var wire []struct {
		UserID   string         `json:"user_id"`
		AgentID  string         `json:"agent_id"`
		RunID    string         `json:"run_id"`
		Text     string         `json:"text"`
		Metadata map[string]any `json:"metadata"`
		Entities []string       `json:"entities"`
		Message  bool           `json:"message"`
	}
	if err := json.Unmarshal(demoData, &wire); err != nil {
		return nil, fmt.Errorf("read demo data: %w", err)
	}
	memories := make([]mem0.Memory, len(wire))
	for i, m := range wire {
		memories[i] = mem0.Memory{
			UserID: m.UserID, AgentID: m.AgentID, RunID: m.RunID, Text: m.Text,
			Metadata: m.Metadata, Entities: m.Entities, Message: m.Message,
		}
	}
	c, err := mem0.CreateSQLite(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("make demo store: %w", err)
	}
	if err := mem0.WriteSQLite(ctx, c, slices.Values(memories)); err != nil {
		return nil, fmt.Errorf("make demo store: %w", err)
	}
	return memories, os.WriteFile(filepath.Join(dir, "lethe.yaml"), []byte(demoConfig), 0o600)
}
