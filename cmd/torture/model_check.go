//go:build torture

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"

	"github.com/anishathalye/porcupine"
)

// A filed is the model of what is filed under one idempotency key.
type filed struct {
	id        string // "" for nothing yet
	body      int
	cancelled bool        // somebody was told that it is being cancelled
	ended     jobs.Status // "" while it is open
}

// intakeModel is what the intake promises, for each key by itself. That a
// request comes to its end is nobody's call: the first answer that says so is
// where it did at the latest.
func intakeModel() porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			by := map[string][]porcupine.Operation{}
			for _, op := range history {
				key := op.Input.(call).key
				by[key] = append(by[key], op)
			}
			var parts [][]porcupine.Operation
			for _, part := range by {
				parts = append(parts, part)
			}
			return parts
		},
		Init: func() any { return filed{} },
		Step: func(state, input, output any) (bool, any) {
			return state.(filed).step(input.(call), output.(answer))
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
	}
}

// step reports whether the model may have answered so, and what follows.
func (f filed) step(c call, a answer) (bool, any) {
	switch c.what {
	case "submit":
		switch {
		case f.id == "":
			return a.status == http.StatusAccepted && !a.replayed && a.id != "", filed{id: a.id, body: c.body}
		case f.body != c.body:
			return a.status == http.StatusConflict, f
		}
		return a.status == http.StatusAccepted && a.replayed && a.id == f.id, f
	case "get":
		next := f.sees(a.state)
		return a.status == http.StatusOK && a.id == f.id && next != nil, deref(next, f)
	case "cancel":
		if a.status == http.StatusConflict { // it has ended, as it had to
			switch {
			case f.ended != "":
			case f.cancelled:
				f.ended = jobs.Cancelled
			default:
				f.ended = jobs.Completed
			}
			return true, f
		}
		possible := f.ended == "" && a.status == http.StatusOK && a.id == f.id
		f.cancelled = true
		return possible, f
	case "certificate":
		if a.status == http.StatusConflict {
			return f.ended == "", f
		}
		next := f.sees(a.state)
		return a.status == http.StatusOK && next != nil, deref(next, f)
	}
	return false, f // holds will come here
}

// sees returns what follows from a status that was seen, or nil if it cannot be.
func (f filed) sees(s jobs.Status) *filed {
	switch {
	case f.ended != "":
		if s != f.ended {
			return nil
		}
	case s == jobs.Completed:
		if f.cancelled {
			return nil
		}
		f.ended = s
	case s == jobs.Cancelled:
		if !f.cancelled {
			return nil
		}
		f.ended = s
	case s.Ended(), s == "":
		return nil
	}
	return &f
}

func deref(next *filed, f filed) filed {
	if next == nil {
		return f
	}
	return *next
}

// linearizable looks for the order. No answer in time is no finding.
func (m *crowd) linearizable() error {
	m.tally("calls", len(m.history))
	switch porcupine.CheckOperationsTimeout(intakeModel(), m.history, 20*time.Second) {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		m.tally("histories too long to be judged", 1)
		return nil
	}
	var lines []error
	for _, op := range m.history {
		lines = append(lines, fmt.Errorf("client %d, %d to %d: %+v -> %+v", op.ClientId, op.Call%1e9, op.Return%1e9, op.Input, op.Output))
	}
	return fmt.Errorf("no order of the calls explains the answers:\n%w", errors.Join(lines...))
}

// settle lets everything end, and counts: one request for each key, one
// certificate for each request, and each row that is gone in one of them.
func (m *crowd) settle(ctx context.Context) error {
	e := m.h.eraser("worker", map[string]store.Store{"a": m.store})
	if _, err := m.h.ledger.Abandoned(ctx); err != nil {
		return err
	}
	if _, err := m.h.ledger.Forgotten(ctx, nil); err != nil {
		return err
	}
	list, _, err := m.h.intake.List(ctx, jobs.ActorLocal, nil, 1000, "")
	if err != nil {
		return err
	}
	of := map[string]string{}
	for id, key := range m.keys {
		if of[key] != "" && of[key] != id {
			return fmt.Errorf("two requests were filed under one key")
		}
		of[key] = id
	}
	if len(list) != len(of) {
		return fmt.Errorf("%d requests are filed, and the clients know of %d", len(list), len(of))
	}
	claimed := 0
	for _, r := range list {
		if err := m.h.finish(ctx, e, r.ID); err != nil {
			return err
		}
		said, err := m.h.statement(ctx, r.ID)
		if err != nil {
			return fmt.Errorf("verify the certificate: %w", err)
		}
		n, err := m.claim(said, m.bodies[m.keys[r.ID]])
		if err != nil {
			return err
		}
		claimed += n
	}
	gone := 2*crowdPeople*crowdMemories - len(m.store.rows)
	if claimed != gone {
		return fmt.Errorf("%d rows are gone, and the certificates say %d", gone, claimed)
	}
	m.tally("rows that several requests were about, each certified once", gone)
	m.tally("requests", len(list))
	checked, err := m.h.ledger.Log().Check(ctx)
	if err != nil {
		return err
	}
	if checked.Size != int64(2*len(list)) {
		return fmt.Errorf("the log has %d entries for %d requests", checked.Size, len(list))
	}
	return nil
}

// claim returns how many rows a certificate says its request erased. All that a
// completed one was about is gone, whoever erased it.
func (m *crowd) claim(said proof.Entry, body int) (int, error) {
	switch c := said.(type) {
	case *proof.Cancelled:
		return c.Stores[0].Erased, nil
	case *proof.Completed:
		at := c.Stores[0]
		if left := m.store.matching(bodies()[body]); len(left) > 0 {
			return 0, fmt.Errorf("a request is completed, and %d of its rows are there", len(left))
		}
		if at.Erased+at.Absent != at.Requested {
			return 0, fmt.Errorf("a certificate says %d erased and %d absent, of %d", at.Erased, at.Absent, at.Requested)
		}
		return at.Erased, nil
	}
	return 0, fmt.Errorf("a request ended as %s", said.Kind())
}
