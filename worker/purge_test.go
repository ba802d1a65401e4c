package worker_test

import (
	"testing"
	"time"
	_ "time/tzdata" // the machine may have no time zones

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
	"lethe/store/storetest"
	"lethe/worker"
)

func TestBusyPurgeKeepsEvidenceVerified(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(3, "alice")...)
	m.Set(func(f *storetest.Faults) { f.BusyPurges = 4 })
	e := h.eraser(kept("m", m))
	id := h.forget("alice")
	h.until(e, "the purge was tried", func() bool { return m.Calls(storetest.Purge) == 3 })
	r := h.request(id)
	if j := r.Jobs[0]; r.Status != jobs.Verifying || j.Note != "store-busy" || j.Evidence != store.EvidenceVerified || j.Stage != jobs.StagePurging {
		t.Errorf("status %s, note %q, evidence %s, stage %s", r.Status, j.Note, j.Evidence, j.Stage)
	}
	h.wantNoCertificate(id)
	erases := m.Calls(storetest.Erase)
	h.finish(e, id)
	h.wantCounts(id, "requested 3 found 3 erased 3 absent 0 batches 1 rounds 1 purged")
	if m.Calls(storetest.Purge) != 5 || m.Calls(storetest.Erase) != erases {
		t.Errorf("%d purges, %d erasures", m.Calls(storetest.Purge), m.Calls(storetest.Erase))
	}
}

func TestAFailedPurgeIsTriedAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(3, "alice")...)
	m.Set(func(f *storetest.Faults) { f.Fail = map[storetest.Op]int{storetest.Purge: 2} })
	e := h.eraser(kept("m", m))
	id := h.forget("alice")
	h.until(e, "the purge was tried", func() bool { return m.Calls(storetest.Purge) == 2 })
	if j := h.request(id).Jobs[0]; j.Note != "store-error" || j.Evidence != store.EvidenceVerified {
		t.Errorf("note %q, evidence %s", j.Note, j.Evidence)
	}
	h.finish(e, id)
	h.wantCounts(id, "requested 3 found 3 erased 3 absent 0 batches 1 rounds 1 purged")
}

func TestOnePurgeServesAllWhoWait(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	users := []string{"u1", "u2", "u3", "u4", "u5"}
	m := storetest.NewMemory(people(3, users...)...)
	m.Set(func(f *storetest.Faults) { f.BusyPurges = 1 << 30 })
	e := h.eraser(kept("m", m))
	var ids []string
	for _, u := range users {
		ids = append(ids, h.forget(u))
	}
	h.until(e, "all wait for the purge", func() bool {
		for _, id := range ids {
			if h.request(id).Jobs[0].Stage != jobs.StagePurging {
				return false
			}
		}
		return true
	})
	m.Set(func(f *storetest.Faults) { f.BusyPurges = 0 })
	before := m.Calls(storetest.Purge)
	for _, id := range ids {
		h.finish(e, id)
		h.wantCounts(id, "requested 3 found 3 erased 3 absent 0 batches 1 rounds 1 purged")
	}
	if n := m.Calls(storetest.Purge) - before; n != 1 {
		t.Errorf("%d purges for %d requests, want 1", n, len(ids))
	}
}

// TestAPurgeServesNoneVerifiedAfterItBegan: another request is verified while
// the files are being rewritten, too late for that purge.
func TestAPurgeServesNoneVerifiedAfterItBegan(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(3, "u1", "u2")...)
	other := h.eraser(kept("m", m))
	first := h.forget("u1")
	h.handle(other, h.ring())
	h.handle(other, h.ring())
	settling := h.ring()
	second := h.forget("u2")
	m.Set(func(f *storetest.Faults) { f.BusyPurges = 1 })
	e := h.eraser(kept("m", during{m, func() {
		h.until(other, "the other request is verified", func() bool { return h.request(second).Jobs[0].Stage == jobs.StagePurging })
	}}))
	h.handle(e, settling)
	if r := h.request(first); r.Status != jobs.Completed {
		t.Errorf("the purge did not serve its own request: %s", r.Status)
	}
	if j := h.request(second).Jobs[0]; j.Stage != jobs.StagePurging || j.Evidence != store.EvidenceVerified {
		t.Errorf("the purge served a request verified after it began: %s, %s", j.Stage, j.Evidence)
	}
	h.finish(e, second)
}

// during is a store with which something happens while it is being purged.
type during struct {
	*storetest.Memory
	then func()
}

func (d during) Purge(ctx ctx) error {
	d.then()
	d.Set(func(f *storetest.Faults) { f.BusyPurges = 0 })
	return d.Memory.Purge(ctx)
}

// TestAClockSetBackLosesNothing: by the clock the job was verified after its
// own purge had begun.
func TestAClockSetBackLosesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(3, "alice")...)
	e := h.eraser(kept("m", m))
	id := h.forget("alice")
	h.handle(e, h.ring())
	h.handle(e, h.ring())
	h.clock.add(time.Minute)
	e.Ledger = clockSetBack{h.ledger, h.clock}
	h.handle(e, h.ring())
	e.Ledger = h.ledger
	h.finish(e, id)
	h.wantCounts(id, "requested 3 found 3 erased 3 absent 0 batches 1 rounds 1 purged")
}

type clockSetBack struct {
	worker.Ledger
	clock *clock
}

func (c clockSetBack) Verified(ctx ctx, t jobs.Task, asOf time.Time, v jobs.Verification) error {
	err := c.Ledger.Verified(ctx, t, asOf, v)
	c.clock.add(-time.Second)
	return err
}

func TestAPurgeWaitsForItsWindow(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m") // it is noon
	m := storetest.NewMemory(people(3, "alice")...)
	s := kept("m", m)
	s.Purge = worker.PurgePolicy{From: 2 * 60, To: 5 * 60, Location: time.UTC}
	e := h.eraser(s)
	id := h.forget("alice")
	h.until(e, "it waits for the window", func() bool { return h.request(id).Jobs[0].Note == "purge-window" })
	if m.Calls(storetest.Purge) != 0 {
		t.Error("purged outside of the window")
	}
	h.clock.add(14*time.Hour + 30*time.Minute)
	h.finish(e, id)
	at := h.completed(id).PurgedAt
	if at < proof.At(time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)) || at > proof.At(time.Date(2026, 11, 23, 5, 0, 0, 0, time.UTC)) {
		t.Errorf("purged at %s", at)
	}
}

func TestPurgeWindow(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	const night, late, gap = "02:00-05:00", "22:30-01:15", "02:15-03:00"
	windows := map[string]worker.PurgePolicy{
		"always": {}, night: {From: 120, To: 300}, late: {From: 22*60 + 30, To: 75}, gap: {From: 135, To: 180},
	}
	for _, c := range []struct{ window, at, want string }{
		{"always", "2026-11-22 12:00 +01:00", "2026-11-22 12:00 +01:00"},
		{night, "2026-11-22 12:00 +01:00", "2026-11-23 02:00 +01:00"},
		{night, "2026-11-22 01:59 +01:00", "2026-11-22 02:00 +01:00"},
		{night, "2026-11-22 02:00 +01:00", "2026-11-22 02:00 +01:00"},
		{night, "2026-11-22 04:59 +01:00", "2026-11-22 04:59 +01:00"},
		{night, "2026-11-22 05:00 +01:00", "2026-11-23 02:00 +01:00"},
		{late, "2026-11-22 12:00 +01:00", "2026-11-22 22:30 +01:00"},
		{late, "2026-11-22 23:50 +01:00", "2026-11-22 23:50 +01:00"},
		{late, "2026-11-23 00:30 +01:00", "2026-11-23 00:30 +01:00"},
		{late, "2026-11-23 01:15 +01:00", "2026-11-23 22:30 +01:00"},
		{late, "2026-12-31 12:00 +01:00", "2026-12-31 22:30 +01:00"},
		{night, "2026-03-28 12:00 +01:00", "2026-03-29 03:00 +02:00"}, // there is no 02:00
		{night, "2026-03-29 04:00 +02:00", "2026-03-29 04:00 +02:00"},
		{night, "2026-10-24 12:00 +02:00", "2026-10-25 02:00 +02:00"}, // there are two
		{night, "2026-10-25 02:59 +02:00", "2026-10-25 02:59 +02:00"},
		{night, "2026-10-25 02:30 +01:00", "2026-10-25 02:30 +01:00"},
		{gap, "2026-03-29 00:30 +01:00", "2026-03-30 02:15 +02:00"}, // no window that night
	} {
		p := windows[c.window]
		p.Location = berlin
		const layout = "2006-01-02 15:04 -07:00"
		at, err := time.Parse(layout, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Next(at).In(berlin).Format(layout); got != c.want {
			t.Errorf("window %s at %s: %s, want %s", c.window, c.at, got, c.want)
		}
	}
	// Whatever the window: never earlier, allowed when it comes, and within
	// two days.
	for from := 0; from < 24*60; from += 35 {
		for to := 0; to < 24*60; to += 95 {
			p := worker.PurgePolicy{From: from, To: to, Location: berlin}
			for _, day := range []time.Time{time.Date(2026, 3, 28, 21, 0, 0, 0, berlin), time.Date(2026, 10, 24, 21, 0, 0, 0, berlin)} {
				for at := day; at.Before(day.Add(36 * time.Hour)); at = at.Add(40 * time.Minute) {
					next := p.Next(at)
					if next.Before(at) || !p.Next(next).Equal(next) || next.Sub(at) > 50*time.Hour {
						t.Fatalf("window %d to %d at %s: %s, and then %s", from, to, at, next, p.Next(next))
					}
				}
			}
		}
	}
}
