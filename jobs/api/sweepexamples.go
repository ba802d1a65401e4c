package api

import (
	"time"

	"lethe/jobs"
)

// exampleSweep is a sweep that has filed a request.
func exampleSweep() Sweep {
	at := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	return Sweep{
		ID: "01a21000-5d1f-7a3e-9c55-1b2c3d4e5f60", Policy: "expired", Store: "assistant", DueAt: at, State: jobs.SweepFiled,
		AsOf: new(at.Add(time.Second)), Found: 12, Request: new("01a21000-5d20-7b11-8d01-6a7b8c9d0e1f"), Status: jobs.Completed, DoneAt: new(at.Add(time.Second)),
	}
}

func examplePolicies() policyList {
	down := exampleSweep()
	down.ID, down.Policy, down.Store, down.State, down.Found = "01a21001-0000-7a3e-9c55-1b2c3d4e5f61", "old-sessions", "app", jobs.SweepOpen, 0
	down.AsOf, down.Request, down.Status, down.DoneAt = nil, nil, "", nil
	down.Reason, down.Detail = jobs.RefusedDown, jobs.ExplainRefusal(jobs.RefusedDown)
	next := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	return policyList{Policies: []Policy{
		{Name: "expired", Stores: []string{"assistant"}, When: "every 1h", Where: []string{"expired"}, Next: &next, Sweeps: []Sweep{exampleSweep()}},
		{Name: "old-sessions", Stores: []string{"app"}, When: "every 1d", Where: []string{"older_than 90d", "agent_id"}, Next: &next, Sweeps: []Sweep{down}},
	}}
}

func exampleSweepRun() SweepResult {
	filed := exampleSweep()
	filed.RunBy, filed.Status = "tok-4f1c", jobs.Received
	return SweepResult{Sweeps: []Sweep{filed}}
}

func sweepPlanExamples() []Example {
	at := time.Date(2026, 11, 20, 9, 0, 1, 0, time.UTC)
	return []Example{{Name: "dry-run", Value: SweepResult{Plans: []SweepPlan{{
		Store: "assistant", AsOf: &at, Found: 12, Undated: 1, Oldest: new(at.AddDate(0, -9, 0)), Newest: new(at.AddDate(0, 0, -1)), Beyond: []jobs.Excess{},
		Places: []sweptPlace{{Place: "memories", Found: 12, Total: 133, Undated: 1}, {Place: "history", Found: 14, Total: 190, With: "memories"}},
	}}}}}
}
