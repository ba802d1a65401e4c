package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"lethe/audit"
	"lethe/audit/keyfile"
	"lethe/jobs/keyring"
	"lethe/jobs/ledger"
)

// rotatePatience is how long the service may take to act on a next key.
const rotatePatience = 30 * time.Second

func keysRotateCommand(c *console) *cobra.Command {
	var (
		r       repair
		o       rotation
		overlap time.Duration
	)
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Give the log another key, which it announces before it replaces the old one",
		Long: `Makes the key that is to follow the log's key, and has the log announce it: in an
entry that both keys sign. From then on both sign every head, until the overlap
is over. Then the log retires the old key, in an entry that bounds it to the heads
there are, and destroys it. Whoever believes the old key finds the new one in the
log. The new key is printed.

Works while the service runs, and without. The overlap is ended by the service, or
by --finish. A rotation can be interrupted at any time and goes on from there.

Before the overlap ends, publish the new key: replace the old one where people
compare it, or hand out lethe keys --all, and tell the witnesses.

Certificates from before stay valid under the old key, up to its bound. But whoever
stole the old key can sign other heads up to that bound, and only witnesses tell.
Once the old certificates that matter have been issued again under the new key
(lethe certificate --newest), drop the old key from policies.

A key that was stolen is not rotated, for the thief can sign as well as you: see
lethe log succeed.`,
		Example: `  lethe keys rotate --config lethe.yaml
  lethe keys rotate --data ./lethe-data --overlap 720h
  lethe keys rotate --config lethe.yaml --agent-key log-2027
  lethe keys rotate --config lethe.yaml --finish`,
		Args: wants(),
	}
	r.add(cmd)
	f := cmd.Flags()
	f.DurationVar(&overlap, "overlap", keyOverlap, "how long both keys sign, `DURATION`")
	f.StringVar(&o.agentKey, "agent-key", "", "take a key that is in the ssh-agent, by its `COMMENT_OR_FINGERPRINT`")
	f.BoolVar(&o.finish, "finish", false, "end the overlap of the rotation that is under way now")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case overlap < 0 || overlap > maxOverlap:
			return usagef(cmd, "--overlap must be from 0 to ten years")
		case o.finish && (f.Changed("overlap") || o.agentKey != ""):
			return usagef(cmd, "--finish takes neither --overlap nor --agent-key")
		}
		var err error
		if o.config, o.file, err = r.load(); err != nil {
			return err
		}
		o.source = source{config: r.config, data: o.config.Data}
		o.overlap, o.logger = overlap, slog.New(slog.DiscardHandler)
		return c.rotate(cmd.Context(), &o)
	}
	return cmd
}

// rotate prints the key that is announced, or in force now.
func (c *console) rotate(ctx context.Context, o *rotation) error {
	key, err := o.run(ctx)
	if err != nil {
		return fmt.Errorf("rotate the log's key: %w", err)
	}
	c.answer("%s\n", key)
	if o.finish {
		c.talk("the old key is retired and destroyed; hand out lethe keys --all\n")
		return nil
	}
	c.talk("announced. Publish this key, beside the old one, where others compare it.\nBoth sign for %s; the old one is retired then, or by lethe keys rotate --finish\n", o.overlap)
	return nil
}

// A rotation is one run of lethe keys rotate.
type rotation struct {
	source   source
	config   Config
	file     keyfile.File
	overlap  time.Duration
	agentKey string
	finish   bool
	logger   *slog.Logger
}

func (o *rotation) run(ctx context.Context) (string, error) {
	next, err := o.file.Next()
	if err != nil {
		return "", err
	}
	state, err := o.look(ctx)
	if err != nil {
		return "", err
	}
	if o.finish {
		if next == nil {
			return "", errors.New("none is under way")
		}
		if err := writeOverlap(o.file, 0); err != nil {
			return "", err
		}
		return next.Verifier, o.act(ctx, func(s rotating) bool { return s.verifier == next.Verifier && !s.next })
	}
	if state.under != nil {
		return "", fmt.Errorf("one is under way, until %s; lethe keys rotate --finish ends it", state.under.Until.UTC().Format(time.RFC3339))
	}
	if next != nil && next.Verifier == state.verifier {
		return "", errors.New("the one before is about to end: try again in a moment")
	}
	if err := writeOverlap(o.file, o.overlap); err != nil { // first: the service acts on the key
		return "", err
	}
	if next, err = o.file.MakeNext(o.agentKey); err != nil {
		return "", err
	}
	return next.Verifier, o.act(ctx, func(s rotating) bool {
		return s.verifier == next.Verifier || s.under != nil && s.under.New == next.Verifier
	})
}

// act takes the steps that are due, or waits until the service has.
func (o *rotation) act(ctx context.Context, done func(rotating) bool) error {
	ctx, cancel := context.WithTimeout(ctx, rotatePatience)
	defer cancel()
	for {
		if err := o.take(ctx); err != nil && !errors.Is(err, ledger.ErrLocked) {
			return err
		}
		s, err := o.look(ctx)
		if err == nil && done(s) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the service has not acted on it yet, and its log says why; it goes on with it by itself: %w", errors.Join(ctx.Err(), err))
		case <-time.After(rotateEvery):
		}
	}
}

// rotating is how far a rotation is.
type rotating struct {
	verifier string // in force, by the log
	under    *audit.Rotation
	next     bool // there is a next key in the folder
}

// look reads how far it is, beside the service if that runs.
func (o *rotation) look(ctx context.Context) (s rotating, err error) {
	next, err := o.file.Next()
	if err != nil {
		return s, err
	}
	s.next = next != nil
	text, err := o.source.believed(ctx)
	if err != nil {
		return s, err
	}
	key, err := o.file.Open("")
	if err != nil {
		return s, err
	}
	l, done, err := o.source.openLedger(ctx, key.Origin, text)
	if err != nil {
		return s, err
	}
	defer done()
	if s.under, err = l.Rotation(ctx); err != nil {
		return s, err
	}
	s.verifier = l.Verifier()
	return s, nil
}

// take opens the ledger, if no service has it, and takes the steps that are due.
func (o *rotation) take(ctx context.Context) (err error) {
	keys, err := keyring.Open(filepath.Join(o.config.Data, keysFolder))
	if err != nil {
		return err
	}
	s := &service{config: o.config, logger: o.logger, keys: keys}
	if s.signer, err = o.config.openLogKey(ctx); err != nil {
		return err
	}
	l, err := s.openBare(ctx, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := l.Log().Refusal(); err != nil {
		return err
	}
	r := &rotator{file: o.file, log: l.Log(), write: l.Write, now: time.Now, logger: o.logger}
	for range 2 { // an overlap of 0 is over once it has begun
		if err := r.step(ctx); err != nil {
			return err
		}
	}
	return nil
}
