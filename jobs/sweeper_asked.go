package jobs

import (
	"context"
	"fmt"
	"time"
)

// Policies, Preview and Sweep are what doors ask; see Sweeps.

// policy returns the policy of a name.
func (s *Sweeper) policy(name string) (Policy, error) {
	for _, p := range s.All {
		if p.Name == name {
			return p, nil
		}
	}
	return Policy{}, fmt.Errorf("%w: there is no such policy", ErrNotFound)
}

// Policies implements Sweeps.
func (s *Sweeper) Policies(ctx context.Context, by Actor) ([]PolicyView, error) {
	if err := by.Check(ActPolicies); err != nil {
		return nil, err
	}
	list := make([]PolicyView, len(s.All))
	for i, p := range s.All {
		last, err := s.Ledger.LastSweeps(ctx, p.Name, sweepsShown)
		if err != nil {
			return nil, err
		}
		list[i] = PolicyView{Policy: p, Sweeps: last}
		list[i].Next, _ = p.Schedule.Next(s.now())
	}
	return list, nil
}

// Preview implements Sweeps.
func (s *Sweeper) Preview(ctx context.Context, by Actor, policy string) ([]SweepSight, error) {
	s.start()
	if err := by.Check(ActSweep); err != nil {
		return nil, err
	}
	p, err := s.policy(policy)
	if err != nil {
		return nil, err
	}
	list := make([]SweepSight, len(p.Stores))
	for i, name := range p.Stores {
		known, err := s.Ledger.Swept(ctx, p.Name, name)
		if err != nil {
			return nil, err
		}
		sight, reason, err := s.sight(ctx, p, name, known, true, true)
		if err != nil && reason == "" {
			return nil, err
		}
		if sight.Store, sight.Refused = name, reason; reason == "" {
			sight.Beyond = s.Rules.Under(p.brakes(known.Usual)).Judge([]Job{{Store: name, Places: sight.Places}})
		}
		list[i] = sight
	}
	return list, nil
}

// Sweep implements Sweeps.
func (s *Sweeper) Sweep(ctx context.Context, by Actor, policy string) ([]Sweep, error) {
	s.start()
	if err := by.Check(ActSweep); err != nil {
		return nil, err
	}
	p, err := s.policy(policy)
	if err != nil {
		return nil, err
	}
	var list []Sweep
	for _, name := range p.Stores {
		now := s.now().UTC().Truncate(time.Millisecond)
		w := Sweep{ID: s.ids.id(now), Policy: p.Name, Store: name, DueAt: now, By: by.ID, State: SweepOpen, NextAt: now}
		if err := s.Ledger.RunSweep(ctx, w); err != nil {
			return list, err
		}
		if w, err = s.run(ctx, p, w, by); err != nil {
			return list, err
		}
		list = append(list, w)
	}
	return list, nil
}
