package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/common/expfmt"

	"lethe/jobs"
	"lethe/store"
	"lethe/store/storetest"
)

// canary stands in every ID, identity, metadata value and text.
const canary = "cAnArY"

// wantSilence fails if the canary stands in anything that the worker has said
// or kept so far.
func (h *house) wantSilence(when string, errs ...error) {
	h.t.Helper()
	said := map[string][]byte{"the logs": h.logs.Bytes(), "the errors": []byte(fmt.Sprintf("%+v", errs))}
	families, err := h.registry.Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	var metrics bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&metrics, f); err != nil {
			h.t.Fatal(err)
		}
	}
	said["the metrics"] = metrics.Bytes()
	err = filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		said[filepath.Base(path)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	if len(said["ledger.db"]) == 0 || metrics.Len() == 0 {
		h.t.Fatal("nothing was looked at")
	}
	for where, text := range said {
		if bytes.Contains(bytes.ToLower(text), bytes.ToLower([]byte(canary))) {
			h.t.Errorf("%s: the canary stands in %s", when, where)
		}
	}
}

// wantQuietLog looks at what the log says, in clear.
func (h *house) wantQuietLog(id string) {
	h.t.Helper()
	text := h.statement(id).EntryText()
	receipt, err := h.intake.AcceptedReceipt(h.t.Context(), jobs.ActorLocal, id)
	if err != nil {
		h.t.Fatal(err)
	}
	if bytes.Contains(text, []byte(canary)) || bytes.Contains(receipt, []byte(canary)) {
		h.t.Error("the canary stands in the log")
	}
}

func TestErrorsNameNobody(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m", "gone")
	var records []storetest.Record
	for i := range 40 {
		records = append(records, storetest.Record{
			ID: fmt.Sprintf("%s-id-%d", canary, i), UserID: canary + "-user", AgentID: canary + "-agent",
			Metadata: map[string]store.Value{canary: store.StringValue(canary)}, Text: canary + " text", Message: true,
		})
	}
	m := storetest.NewMemory(records...)
	m.Set(func(f *storetest.Faults) {
		f.Fail = map[storetest.Op]int{storetest.Find: 2, storetest.Erase: 2, storetest.Remaining: 2, storetest.Purge: 1}
		f.FailAfter, f.Lie, f.BusyPurges = 1, 1, 1
		f.Poison = poisoned(canary + "-id-7")
		f.Refuse = map[store.ID]bool{{Place: "memories", Key: canary + "-id-9"}: true}
		f.Arrive = []storetest.Record{{ID: canary + "-late", UserID: canary + "-user", Text: canary}}
	})
	e := h.measured(h.eraser(kept("m", m)))
	ask := store.Selector{UserID: canary + "-user", AgentID: canary + "-agent", Metadata: map[string]store.Value{canary: store.StringValue(canary)}}
	ids := []string{h.submit(jobs.Submission{By: jobs.ActorLocal, Selector: ask, Stores: []string{"m"}}), h.submit(jobs.Submission{By: jobs.ActorLocal, Selector: store.Selector{UserID: canary + "-user"}, Stores: []string{"m"}}), h.forgetIDs(canary+"-id-1", canary+"-id-nobody")}
	h.wantSilence("accepted")

	var errs []error
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 60 {
		for _, r := range h.rings() {
			errs = append(errs, e.Handle(t.Context(), r))
			if i == 3 {
				errs = append(errs, e.Handle(ctx, r))
			}
		}
		if i%20 == 10 { // a ledger that fails, too
			for n, r := range h.rings() {
				dying := h.eraser(kept("m", m))
				dying.Ledger = mortal{h.ledger, &fate{n: 3 + n}}
				errs = append(errs, dying.Handle(t.Context(), r))
			}
			h.restart()
		}
		h.clock.add(60e9)
	}
	if errors.Join(errs...) == nil || !bytes.Contains(h.logs.Bytes(), []byte("injected fault")) {
		t.Error("nothing went wrong, so nothing was shown")
	}
	h.wantSilence("in trouble", errs...)

	m.Set(func(f *storetest.Faults) { *f = storetest.Faults{} })
	e = h.eraser(kept("m", m), kept("gone", storetest.NewMemory()))
	for _, id := range ids {
		h.finish(e, id)
		h.wantQuietLog(id)
	}
	if m.Len() != 0 {
		t.Errorf("%d rows left", m.Len())
	}
	h.wantSilence("completed")
}
