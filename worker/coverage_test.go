package worker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"lethe/jobs"
	"lethe/store"
	"lethe/store/storetest"
	"lethe/worker"
)

// A drifter is a store whose schema its data map may not cover.
type drifter struct {
	*storetest.Memory
	findings []store.Finding
}

func (d *drifter) Check(context.Context) ([]store.Finding, error) { return d.findings, nil }

// drifted has a table that came after the map was written.
func drifted() *drifter {
	return &drifter{storetest.NewMemory(people(3, "alice")...), []store.Finding{
		{Place: "memories", Table: "memories"},
		{Table: "numbers", Unmapped: true},
		{Table: "new_table", Unmapped: true, Problem: "not in the data map"},
		{Table: "new_table", Column: "words", Unmapped: true, Problem: "not in the data map"},
	}}
}

func TestADriftedSchemaIsToldBeforeItsFirstPlan(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	d := drifted()
	e := h.measured(h.eraser(kept("m", d)))
	id := h.forget("alice")
	h.finish(e, id)
	if !strings.Contains(h.logs.String(), `"tables":["new_table"]`) {
		t.Errorf("logs do not name the table:\n%s", h.logs)
	}
	if err := testutil.GatherAndCompare(h.registry, strings.NewReader(`
		# HELP lethe_store_unmapped Tables with a problem, such as one that is neither mapped nor waived, when the store's schema was last compared with its data map: at the start and before each plan.
		# TYPE lethe_store_unmapped gauge
		lethe_store_unmapped{store="m"} 1
	`), "lethe_store_unmapped"); err != nil {
		t.Error(err)
	}
}

func TestAStrictJobWaitsUntilItsMapIsRight(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	d := drifted()
	e := h.measured(h.eraser(kept("m", d)))
	e.Strict = true
	if err := e.CheckStores(t.Context()); !errors.Is(err, worker.ErrUncovered) {
		t.Errorf("at the start: error %v, want ErrUncovered", err)
	}
	before := len(rows(t, d.Memory))
	id := h.forget("alice")
	for range 3 {
		h.turn(e)
		h.clock.add(time.Minute)
	}
	if r := h.request(id); r.Jobs[0].Note != "schema" || r.Jobs[0].Stage != jobs.StagePlanning || len(rows(t, d.Memory)) != before {
		t.Errorf("note %q, stage %s, %d rows; want a job that waits and touches nothing", r.Jobs[0].Note, r.Jobs[0].Stage, len(rows(t, d.Memory)))
	}
	d.findings = d.findings[:2]
	h.finish(e, id)
	if err := e.CheckStores(t.Context()); err != nil {
		t.Errorf("with the right map: error %v", err)
	}
}
