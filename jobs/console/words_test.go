package console

import (
	"strings"
	"testing"
	"time"

	"lethe/jobs"
	"lethe/store"
)

func TestDeadlinesAreSaidInWords(t *testing.T) {
	due := time.Date(2026, 12, 31, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		left  time.Duration
		ended bool
		want  string
		class string
	}{
		{72 * time.Hour, false, "in 3 days", "soon"},
		{71*time.Hour + 59*time.Minute, false, "in 2 days", "soon"},
		{30 * 24 * time.Hour, false, "in 30 days", "calm"},
		{47 * time.Hour, false, "in 47 hours", "soon"},
		{90 * time.Minute, false, "in 90 minutes", "soon"},
		{time.Minute, false, "in 1 minute", "soon"},
		{30 * time.Second, false, "in less than a minute", "soon"},
		{-50 * time.Hour, false, "overdue by 2 days", "overdue"},
		{-3 * time.Hour, false, "overdue by 3 hours", "overdue"},
		{time.Hour, true, "ended in time", "past"},
		{-49 * time.Hour, true, "ended 2 days late", "past"},
	} {
		now := due.Add(-tt.left)
		r := jobs.Request{DueAt: due, Status: jobs.Erasing}
		if tt.ended {
			r.Status, r.CompletedAt = jobs.Completed, &now
		}
		if got, class := deadline(now, r), urgency(now, r); got != tt.want || class != tt.class {
			t.Errorf("%s left, ended %v: %q, %s; want %q, %s", tt.left, tt.ended, got, class, tt.want, tt.class)
		}
	}
}

func TestEveryStatusStageAndLevelHasWords(t *testing.T) {
	for _, s := range jobs.Statuses() {
		if statusWords(s) == string(s) || waits(time.Now(), jobs.Request{Status: s}) == "" {
			t.Errorf("%s has no words", s)
		}
	}
	for _, s := range []jobs.Stage{jobs.StagePlanning, jobs.StageErasing, jobs.StageVerifying, jobs.StagePurging, jobs.StageDone} {
		if s != jobs.StageErasing && stageWords(s) == string(s) && s != jobs.StageDone {
			t.Errorf("%s has no words", s)
		}
	}
	for _, e := range []store.Evidence{store.EvidenceErased, store.EvidenceVerified, store.EvidencePurged} {
		if evidenceWords(e) == evidenceWords("") {
			t.Errorf("%s has no words", e)
		}
	}
	done := jobs.Job{Stage: jobs.StageDone, Evidence: store.EvidenceErased}
	if got := shownWords(done); !strings.Contains(got, "keeps what it does not show") || strings.Contains(got, "read again") {
		t.Errorf("erased, and done: %q", got)
	}
	if done.Stage = jobs.StageVerifying; shownWords(done) != evidenceWords(store.EvidenceErased) {
		t.Errorf("erased, and not done: %q", shownWords(done))
	}
	if got := noteWords("something-new"); got != "It waits: something-new." {
		t.Errorf("an unknown note: %q", got)
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := number(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

func TestTheShelfOfSessionsIsBounded(t *testing.T) {
	s, now := newShelf(3), time.Now()
	for i, name := range []string{"a", "b", "c"} {
		if err := s.Commit(name, []byte(name), now.Add(time.Duration(i+1)*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	_ = s.Commit("d", nil, now.Add(9*time.Hour))
	if _, ok, _ := s.Find("a"); ok || len(s.kept) != 3 {
		t.Errorf("the one that ends first is still there, of %d", len(s.kept))
	}
	if _, ok, _ := s.Find("b"); !ok {
		t.Error("another one had to go")
	}
	_ = s.Commit("e", nil, now.Add(-time.Hour))
	if _, ok, _ := s.Find("e"); ok {
		t.Error("one that has ended is found")
	}
	d := newDrafts()
	first := d.keep("owner", jobs.Submission{})
	for range maxDrafts {
		d.keep("owner", jobs.Submission{})
	}
	if _, err := d.find("owner", first); err == nil || len(d.kept) != maxDrafts {
		t.Errorf("%d drafts are kept", len(d.kept))
	}
}

func TestNothingIsTheSameAsNothing(t *testing.T) {
	if same("", "") || same("a", "") || same("", "a") || same("a", "b") || !same("a", "a") {
		t.Error("two secrets are compared wrongly")
	}
}
