package worker_test

import (
	"errors"
	"strings"
	"testing"

	"lethe/jobs"
	"lethe/store"
	"lethe/store/storetest"
)

// messaged are people whose memories each come from a message.
func messaged(n int, users ...string) []storetest.Record {
	list := people(n, users...)
	for i := range list {
		list[i].Message = true
	}
	return list
}

func (h *house) exempt(id string, x jobs.Exemption) {
	h.t.Helper()
	if _, err := h.intake.Exempt(h.t.Context(), jobs.ActorLocal, id, x); err != nil {
		h.t.Fatal(err)
	}
}

// placesOf counts what is left of a user in a store, by place.
func placesOf(t *testing.T, m *storetest.Memory, user string) map[string]int {
	t.Helper()
	left := map[string]int{}
	for id, err := range m.Find(t.Context(), store.Selector{UserID: user}) {
		if err != nil {
			t.Fatal(err)
		}
		left[id.Place]++
	}
	return left
}

func TestWhatIsExemptStaysAndIsNoResidue(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m", "n")
	m, n := storetest.NewMemory(messaged(20, "alice", "bob")...), storetest.NewMemory(people(5, "alice")...)
	e := h.eraser(kept("m", m), kept("n", n))
	id := h.forget("alice")
	h.exempt(id, jobs.Exemption{Store: "m", Place: "messages", Reason: "art17-3-b"})
	h.exempt(id, jobs.Exemption{Store: "n", Reason: "art17-3-e"})
	r := h.finish(e, id)
	if r.Status != jobs.Completed || r.Jobs[0].Exempt != 20 || r.Jobs[0].Found != 40 || r.Jobs[0].Erased != 20 || r.Jobs[1].Exempt != 5 || r.Jobs[1].Erased != 0 {
		t.Errorf("status %s, jobs %+v", r.Status, r.Jobs)
	}
	if left := placesOf(t, m, "alice"); left["messages"] != 20 || left["memories"] != 0 {
		t.Errorf("left in m: %v", left)
	}
	if left := placesOf(t, n, "alice"); left["memories"] != 5 {
		t.Errorf("left in n: %v", left)
	}
	c := h.completed(id)
	if x := c.Exemptions; len(x) != 2 || x[0].Place != "messages" || x[0].IDs != 20 || x[0].By != "local" || x[0].Reason != "art17-3-b" || x[1].Store != "n" || x[1].IDs != 5 {
		t.Errorf("the certificate says %+v", x)
	}
	h.wantCounts(id, "requested 40 found 40 erased 20 absent 0 batches 1 rounds 1 purged", "requested 5 found 5 erased 0 absent 0 batches 0 rounds 1 verified")
	if text := h.statement(id).String(); !strings.Contains(text, "20 IDs of messages of m, refused under art17-3-b by local") {
		t.Errorf("the report says\n%s", text)
	}
}

// IDs asked for by name that stand in an exempt place are neither absent nor
// missing.
func TestExemptIDsThatWereAskedForAreNotCalledAbsent(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(messaged(3, "alice")...)
	e := h.eraser(kept("m", m))
	id := h.forgetIDs("alice-0000", "nowhere")
	h.exempt(id, jobs.Exemption{Store: "m", Place: "memories", Reason: "art17-3-b"})
	h.finish(e, id)
	h.wantCounts(id, "requested 2 found 1 erased 0 absent 1 batches 0 rounds 1 purged")
	if left := placesOf(t, m, "alice"); left["memories"] != 3 {
		t.Errorf("left: %v", left)
	}
}

func TestWhatComesToAnExemptPlaceLaterIsCountedAndStays(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(messaged(3, "alice")...)
	e := h.eraser(kept("m", m))
	id := h.forget("alice")
	h.exempt(id, jobs.Exemption{Store: "m", Place: "messages", Reason: "art17-3-b"})
	h.turn(e) // plans
	late := messaged(5, "alice")[4:]
	m.Add(late...)
	h.finish(e, id)
	if x := h.completed(id).Exemptions; x[0].IDs != 4 {
		t.Errorf("%d IDs left, want those when it was read again", x[0].IDs)
	}
	h.wantCounts(id, "requested 8 found 8 erased 4 absent 0 batches 2 rounds 2 purged")
}

// An exemption that comes while its place is planned is not forgotten: no plan
// made without it is taken.
func TestAnExemptionWhilePlanningIsKept(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(messaged(3, "alice")...)
	e := h.eraser(kept("m", m))
	id := h.forget("alice")
	task, err := h.ledger.Claim(t.Context(), h.ring(), "another", 8e9)
	if err != nil {
		t.Fatal(err)
	}
	round, seq, err := h.ledger.Replan(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.ledger.Freeze(t.Context(), task, round, seq, []store.ID{{Place: "messages", Key: "of-alice-0000"}}); err != nil {
		t.Fatal(err)
	}
	h.exempt(id, jobs.Exemption{Store: "m", Place: "messages", Reason: "art17-3-b"})
	if err := h.ledger.Planned(t.Context(), task, jobs.Planned{Round: round, Digest: "d"}, 0); !errors.Is(err, jobs.ErrStale) {
		t.Fatalf("err = %v, want ErrStale", err)
	}
	h.finish(e, id)
	if left := placesOf(t, m, "alice"); left["messages"] != 3 || left["memories"] != 0 {
		t.Errorf("left: %v", left)
	}
}
