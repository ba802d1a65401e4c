package jobs

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"lethe/audit/fault"
	"lethe/audit/proof"
	"lethe/store"
)

// staging is the Staging of an Intake. The subject commitment covers the
// canonical selector {"ids":[…]}, in the order in which the IDs first came,
// and is computed while they pass by.
type staging struct {
	ledger  Ledger
	keys    Keyring
	request string
	seen    Seen
	commit  proof.SubjectWriter
	chunks  int
	n       int
	used    bool
}

func (in *Intake) stage(ctx context.Context) (_ *staging, err error) {
	s := &staging{ledger: in.Ledger, keys: in.Keys, request: in.ids.id(in.Now())}
	if err := in.Keys.Create(s.request); err != nil {
		return nil, fmt.Errorf("stage ids: %w", err)
	}
	subject, err := in.Keys.Subject(s.request)
	if err != nil {
		return nil, fmt.Errorf("stage ids: %w", err)
	}
	if s.seen, err = in.Ledger.Seen(ctx, s.request); err != nil {
		return nil, err
	}
	s.commit = proof.NewSubjectWriter(subject)
	_, _ = s.commit.Write([]byte(`{"ids":[`))
	return s, nil
}

// Add implements Staging.
func (s *staging) Add(ctx context.Context, ids []string) error {
	if len(ids) > store.MaxBatch {
		return fmt.Errorf("stage ids: more than %d at once", store.MaxBatch)
	}
	fresh, err := s.seen.Add(ctx, ids)
	if err != nil || len(fresh) == 0 {
		return err
	}
	if s.n+len(fresh) > MaxIDs {
		return &store.FieldError{Field: "selector.ids", Problem: fmt.Sprintf("must have at most %d IDs", MaxIDs)}
	}
	if err := s.commitTo(fresh); err != nil {
		return err
	}
	s.chunks++
	s.n += len(fresh)
	if err := s.ledger.AddStaged(ctx, s.request, s.chunks, fresh); err != nil {
		return err
	}
	fault.Point("jobs/staged")
	return nil
}

// commitTo appends ids to the selector under the commitment.
func (s *staging) commitTo(ids []string) error {
	text, err := EncodeSelector(store.Selector{IDs: ids})
	if err != nil {
		return err
	}
	list := text[len(`{"ids":[`) : len(text)-len(`]}`)]
	if s.n > 0 {
		_, _ = s.commit.Write([]byte(","))
	}
	_, _ = s.commit.Write(list)
	return nil
}

// subject ends the commitment.
func (s *staging) subject() string {
	_, _ = s.commit.Write([]byte(`]}`))
	return s.commit.Commitment()
}

// Len implements Staging.
func (s *staging) Len() int { return s.n }

// Chunks implements Staging.
func (s *staging) Chunks(ctx context.Context) iter.Seq2[[]string, error] {
	return s.ledger.Staged(ctx, s.request)
}

// Discard implements Staging. It works on although the caller has gone, so
// that an aborted upload leaves nothing.
func (s *staging) Discard(ctx context.Context) error {
	err := s.seen.Close()
	if s.used {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	return errors.Join(err, s.ledger.DropStaged(ctx, s.request), s.keys.DestroySubject(s.request), s.keys.DestroySeal(s.request))
}
