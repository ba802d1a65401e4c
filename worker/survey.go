package worker

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
)

// A Surveyor answers what a submission would erase, and changes nothing.
type Surveyor struct {
	Stores []*Store // in the order of the configuration
	Secret []byte   // keys the hash of a plan
	Rules  jobs.Rules

	// Holds returns the holds that stand; nil for none.
	Holds func(ctx context.Context) ([]jobs.Standing, error)
}

var _ jobs.Planner = (*Surveyor)(nil)

// Plan implements jobs.Planner. The hash covers the selector, under the
// installation's secret, the data maps and every count; it is not the hash of the plan that
// a request with the same selector will freeze, which also covers the IDs.
func (v *Surveyor) Plan(ctx context.Context, s jobs.Submission) (jobs.Plan, error) {
	if err := s.By.Check(jobs.ActFile); err != nil {
		return jobs.Plan{}, err
	}
	mac := hmac.New(sha256.New, v.Secret)
	mac.Write([]byte("lethe survey v1\n"))
	var (
		plan  jobs.Plan
		found []jobs.Job
	)
	for sel, err := range selectorsOf(ctx, s) {
		if err != nil {
			return jobs.Plan{}, fmt.Errorf("survey: %w", err)
		}
		text, err := jobs.EncodeSelector(sel)
		if err != nil {
			return jobs.Plan{}, fmt.Errorf("survey: %w", err)
		}
		mac.Write(append(text, '\n'))
	}
	holds, err := v.standing(ctx)
	if err != nil {
		return jobs.Plan{}, fmt.Errorf("survey: %w", err)
	}
	for _, st := range v.chosen(s.Stores) {
		census, version, err := st.survey(ctx, selectorsOf(ctx, s))
		if errors.Is(err, store.ErrUnavailable) {
			return jobs.Plan{}, fmt.Errorf("survey: %w", &jobs.StoreDown{Store: st.Name, Err: err})
		}
		if err != nil {
			return jobs.Plan{}, fmt.Errorf("survey %s: %w", st.Name, err)
		}
		held, err := v.held(ctx, st, s, holds)
		if err != nil {
			return jobs.Plan{}, fmt.Errorf("survey %s: %w", st.Name, err)
		}
		mac.Write([]byte(version + "\n"))
		found = append(found, jobs.Job{Store: st.Name, Places: places(census)})
		plan.Stores = append(plan.Stores, jobs.StorePlan{
			Store: st.Name, Kind: st.Kind, Found: census.IDs(), Held: held, Unattributable: census.Unattributable, Related: census.Related, Places: places(census),
		})
	}
	plan.Beyond = v.Rules.Judge(found)
	counts, err := json.Marshal(counted(plan.Stores))
	if err != nil {
		return jobs.Plan{}, fmt.Errorf("survey: %w", err)
	}
	mac.Write(counts)
	plan.Hash = proof.Digest([32]byte(mac.Sum(nil)))
	return plan, nil
}

// Any reports whether a store has anything of what a submission selects. It finds
// until there is something, and counts nothing: that takes as long as the stores are
// large. Its errors are those of Plan.
func (v *Surveyor) Any(ctx context.Context, s jobs.Submission) (bool, error) {
	if err := s.By.Check(jobs.ActFile); err != nil {
		return false, err
	}
	var down error // of one store; another may have it
	for _, st := range v.chosen(s.Stores) {
		found, err := st.any(ctx, selectorsOf(ctx, s))
		switch {
		case found:
			return true, nil
		case errors.Is(err, store.ErrUnavailable):
			down = &jobs.StoreDown{Store: st.Name, Err: err}
		case err != nil:
			return false, fmt.Errorf("survey %s: %w", st.Name, err)
		}
	}
	return false, down
}

// any reports whether anything is selected.
func (s *Store) any(ctx context.Context, sels iter.Seq2[store.Selector, error]) (bool, error) {
	s.reading.RLock()
	defer s.reading.RUnlock()
	for sel, err := range sels {
		if err != nil {
			return false, err
		}
		for _, err := range s.Find(ctx, sel) {
			return err == nil, err
		}
	}
	return false, nil
}

func (v *Surveyor) standing(ctx context.Context) ([]jobs.Standing, error) {
	if v.Holds == nil {
		return nil, nil
	}
	return v.Holds(ctx)
}

// held counts what holds forbid to erase of what a submission selects.
func (v *Surveyor) held(ctx context.Context, st *Store, s jobs.Submission, holds []jobs.Standing) (n int, err error) {
	if len(holds) == 0 {
		return 0, nil
	}
	var batch []store.ID
	count := func() error {
		held, err := st.heldIDs(ctx, holds, batch)
		n, batch = n+len(held), batch[:0]
		return err
	}
	for sel, err := range selectorsOf(ctx, s) {
		if err != nil {
			return 0, err
		}
		for id, err := range st.Find(ctx, sel) {
			if err != nil {
				return 0, err
			}
			if batch = append(batch, id); len(batch) == store.MaxBatch {
				if err := count(); err != nil {
					return 0, err
				}
			}
		}
	}
	return n, count()
}

// counted are the counts that a plan's hash covers: how many rows others have
// comes and goes.
func counted(stores []jobs.StorePlan) []jobs.StorePlan {
	list := slices.Clone(stores)
	for i := range list {
		list[i].Places = slices.Clone(list[i].Places)
		for k := range list[i].Places {
			list[i].Places[k].Total = 0
		}
	}
	return list
}

// survey counts what is selected, and says by which data map.
func (s *Store) survey(ctx context.Context, sels iter.Seq2[store.Selector, error]) (store.Census, string, error) {
	s.reading.RLock()
	defer s.reading.RUnlock()
	version, err := s.mapVersion(ctx)
	if err != nil {
		return store.Census{}, "", err
	}
	census, err := s.Count(ctx, sels)
	return census, version, err
}

func (v *Surveyor) chosen(names []string) []*Store {
	if len(names) == 0 {
		return v.Stores
	}
	var list []*Store
	for _, n := range names {
		for _, s := range v.Stores {
			if s.Name == n {
				list = append(list, s)
			}
		}
	}
	return list
}

// selectorsOf yields what to ask a store for a submission.
func selectorsOf(ctx context.Context, s jobs.Submission) iter.Seq2[store.Selector, error] {
	return func(yield func(store.Selector, error) bool) {
		if s.Staged == nil {
			sel := s.Selector
			sel.Related = s.Related
			yield(sel, sel.Validate())
			return
		}
		for ids, err := range s.Staged.Chunks(ctx) {
			if !yield(store.Selector{IDs: ids, Related: s.Related}, err) || err != nil {
				return
			}
		}
	}
}
