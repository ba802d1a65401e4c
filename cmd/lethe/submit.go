package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"lethe/jobs"
	"lethe/jobs/api"
)

// relatedHelp says what --related is.
const relatedHelp = "erase also what is about the person but names another, where a store can tell (see lethe plan)"

// submitFlags are what submit knows besides who is meant.
type submitFlags struct {
	stores                 []string
	ticket, regime, ground string
	receivedAt, grace, key string
	receipt, notifyURL     string
	wait, asJSON           bool
	related                bool
}

func submitCommand(c *console) *cobra.Command {
	var (
		r   remote
		sel selectorFlags
		f   submitFlags
	)
	cmd := &cobra.Command{
		Use:   "submit SELECTOR",
		Short: "File an erasure request",
		Long: `Files an erasure request and prints its ID. Once it is printed the request is
committed: the server carries it out, whatever happens to this command.

With --wait it goes on until the request has ended, or until people have to act.
It then also asks again when the network fails, under an idempotency key, so
that nothing is filed twice.

A request whose plan is beyond the limits of the configuration waits for a second
person. With --wait it is then said what that person has to do (exit status 3);
without it, lethe status says so.

With --receipt it keeps the proof that the request stands in the log. Whoever has
it can show, offline and with nothing but the log's public key, that the request
was accepted, even if the operator should deny it.

` + selectorHelp,
		Example: `  echo '{"user_id":"alice"}' | lethe submit --selector-file - --ticket PRIV-123 --wait
  lethe submit --user-id alice --metadata tier=3 --store assistant --grace 72h
  lethe submit --user-id alice --receipt PRIV-123.accepted
  lethe submit --ids-file ids.txt --idempotency-key PRIV-123 --json`,
		Args:        wants(),
		Annotations: map[string]string{exitNote: exitSection(exitHeld)},
		RunE: func(cmd *cobra.Command, _ []string) error {
			who, err := sel.read(cmd, c.stdin)
			if err != nil {
				return err
			}
			s, err := f.submission(cmd)
			if err != nil {
				return err
			}
			client, err := r.client()
			if err != nil {
				return err
			}
			req, err := (&filing{console: c, client: client, who: who, what: who.submission(s)}).file(cmd.Context())
			if err != nil {
				return err
			}
			return c.conclude(cmd.Context(), client, req, f)
		},
	}
	r.add(cmd)
	sel.add(cmd)
	f.add(cmd)
	return cmd
}

func (f *submitFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringArrayVar(&f.stores, "store", nil, "only in the store of this `NAME` (repeatable; default every store)")
	fs.BoolVar(&f.related, "related", false, relatedHelp)
	fs.StringVar(&f.ticket, "ticket", "", "your own `REFERENCE` for the case; keep names out of it")
	fs.StringVar(&f.regime, "regime", "", "whose clock runs: gdpr (default), ccpa, …")
	fs.StringVar(&f.ground, "ground", "", "why the person may ask, as a `CODE` such as art17-1-b")
	fs.StringVar(&f.receivedAt, "received-at", "", "when the person asked, such as 2026-11-20T09:00:00Z (default now)")
	fs.StringVar(&f.grace, "grace", "", "how long to wait before anything is erased, such as 72h or 3d")
	fs.StringVar(&f.key, "idempotency-key", "", "file nothing if this `KEY` was used for the same request before")
	fs.StringVar(&f.notifyURL, "notify-url", "", "tell this `URL` when the status changes, if the server has webhooks configured")
	fs.StringVar(&f.receipt, "receipt", "", "write the proof that the request was accepted to `FILE`")
	fs.BoolVar(&f.wait, "wait", false, "wait until the request has ended")
	fs.BoolVar(&f.asJSON, "json", false, "print the request as JSON instead of its ID")
}

func (f *submitFlags) submission(cmd *cobra.Command) (api.Submission, error) {
	s := api.Submission{Related: f.related, Stores: f.stores, Ticket: f.ticket, Regime: f.regime, Ground: f.ground, NotifyURL: f.notifyURL, IdempotencyKey: f.key}
	var err error
	if f.receivedAt != "" {
		if s.ReceivedAt, err = time.Parse(time.RFC3339, f.receivedAt); err != nil {
			return s, usagef(cmd, "--received-at must be a time such as 2026-11-20T09:00:00Z")
		}
	}
	if f.grace != "" {
		if s.Grace, err = parseDuration(f.grace); err != nil {
			return s, usagef(cmd, "--grace %v", err)
		}
	}
	if cmd.Flags().Changed("idempotency-key") && !goodKey(f.key) {
		return s, usagef(cmd, "--idempotency-key must be 1 to 255 printable ASCII characters")
	}
	if f.wait && f.key == "" {
		s.IdempotencyKey = uuid.NewString()
	}
	return s, nil
}

// goodKey says what the server would say: a key that cannot be sent would be
// taken for a server that cannot be reached.
func goodKey(key string) bool {
	return key != "" && len(key) <= 255 && !strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' })
}

// conclude prints the answer and, if asked, waits for the end.
func (c *console) conclude(ctx context.Context, client *api.Client, req api.Accepted, f submitFlags) error {
	if !f.asJSON {
		c.answer("%s\n", req.ID)
	}
	kept := f.keepReceipt(ctx, client, req)
	if kept != nil && f.wait {
		c.talk("%v\n", kept) // at once: waiting may take days
	}
	if f.wait {
		show := newProgress(c.stderr)
		last, err := follow(ctx, client, req.ID, show.show)
		show.stop()
		if err != nil {
			return fmt.Errorf("follow request %s: %w", req.ID, err)
		}
		req.Request = last
		if last.Status != jobs.AwaitingApproval {
			c.summarize(last)
		}
	}
	if f.asJSON {
		if err := c.answerJSON(req); err != nil {
			return err
		}
	}
	switch {
	case !f.wait:
		tellApproval(c.stderr, req.Request) // filed before
		return kept
	case req.Status == jobs.Cancelled, req.Status == jobs.Rejected:
		return fmt.Errorf("the request was %s", req.Status)
	}
	if err := orHeld(req.Request, nil); err != nil {
		tellApproval(c.stderr, req.Request)
		return err
	}
	return kept
}

// keepReceipt writes the receipt if it was asked for. The request stands whether
// it can or not, so an error says how to get it.
func (f *submitFlags) keepReceipt(ctx context.Context, client *api.Client, req api.Accepted) error {
	if f.receipt == "" {
		return nil
	}
	var text []byte
	var err error
	if req.ReceiptText != nil {
		text = []byte(*req.ReceiptText)
	} else {
		text, err = client.Receipt(ctx, req.ID)
	}
	if err == nil {
		err = checkFile(text, req.ID, true, false)
	}
	if err == nil {
		err = writeFile(f.receipt, text, 0o644)
	}
	if err != nil {
		return fmt.Errorf("the request was filed, but not its receipt kept (%w): lethe certificate %s --accepted fetches it", err, req.ID)
	}
	return nil
}

// summarize tells what became of a request.
func (c *console) summarize(req api.Request) {
	for _, s := range req.Stores {
		c.talk("%s: %d erased, %d absent, %d held, %d refused; %s\n", s.Store, s.Erased, s.Absent, s.Held, s.Refused, s.Evidence)
	}
	if req.Certificate != nil {
		c.talk("fetch the proof with: lethe certificate %s -o FILE\n", req.ID)
	}
}
