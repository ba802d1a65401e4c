package ledger_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/jobs"
)

const hunterURL = "https://hunter.example/hook?token=hunter2"

// notifying makes a book whose requests tell one configured receiver besides
// their own.
func notifying(t *testing.T, on where) *book {
	b := newBook(t, on)
	b.notifies()
	return b
}

func (b *book) notifies() {
	b.intake.Notify = &jobs.Notify{Endpoints: []string{"crm"}, Check: func(string) string { return "" }, Keys: b.keys}
}

func (b *book) notify(t *testing.T, stores ...string) jobs.Request {
	t.Helper()
	r, _, err := b.intake.Submit(t.Context(), jobs.Submission{By: jobs.ActorOpen, Selector: user("u1"), Stores: stores, NotifyURL: hunterURL})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// heard claims and answers notices until there are none, and returns what each
// receiver was told, in order.
func (b *book) heard(t *testing.T) (statuses map[string][]string, last map[string]jobs.Notice) {
	t.Helper()
	statuses, last = map[string][]string{}, map[string]jobs.Notice{}
	for {
		list, err := b.Notices(t.Context(), 8)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			return statuses, last
		}
		for _, n := range list {
			var body struct {
				ID   string
				Data struct{ Status string }
			}
			if err := json.Unmarshal(n.Body, &body); err != nil || body.ID != n.ID || n.Seq != len(statuses[n.Endpoint])+1 {
				t.Errorf("notice %d of %q: %s, %v", n.Seq, n.Endpoint, n.Body, err)
			}
			if want := map[string]string{"": hunterURL, "crm": ""}[n.Endpoint]; n.URL != want {
				t.Errorf("%q is told at %q", n.Endpoint, n.URL)
			}
			statuses[n.Endpoint] = append(statuses[n.Endpoint], body.Data.Status)
			last[n.Endpoint] = n
			if err := b.NoticeDone(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestEveryChangeOfStatusIsTold(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := notifying(t, on)
		r := b.notify(t, "notes")
		b.finish(t, 3)
		if b.request(t, r.ID).Status != jobs.Completed {
			t.Fatal("not completed")
		}
		if text := b.tables(t); strings.Contains(text, "hunter") {
			t.Error("the URL stands in the ledger as it is")
		}
		told, last := b.heard(t)
		want := []string{"received", "planning", "erasing", "verifying", "completed"}
		for _, receiver := range []string{"", "crm"} {
			if !slices.Equal(told[receiver], want) {
				t.Errorf("%q was told %v, want %v", receiver, told[receiver], want)
			}
			if want := `"counts":{"found":3,"erased":3,"absent":0,"held":0,"refused":0}`; !bytes.Contains(last[receiver].Body, []byte(want)) {
				t.Errorf("at the end %q was told %s, want %s", receiver, last[receiver].Body, want)
			}
		}
		if n := b.count(t, `webhooks`); n != 0 {
			t.Error("receivers are kept of a request that has ended and been told")
		}
		if left, err := b.keys.Notified(); err != nil || len(left) != 0 {
			t.Errorf("the URL's key is kept: %v, %v", left, err)
		}
	})
}

func TestACancelledRequestIsTold(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := notifying(t, on)
		r := b.notify(t)
		if _, err := b.intake.Cancel(t.Context(), jobs.ActorOpen, r.ID); err != nil {
			t.Fatal(err)
		}
		if told, _ := b.heard(t); !slices.Equal(told[""], []string{"received", "cancelled"}) {
			t.Errorf("told %v", told)
		}
	})
}

func TestANoticeHasTheSameBytesAtEveryTryAndWaitsForTheOneBefore(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := notifying(t, on)
		b.notify(t, "notes")
		b.finish(t, 2)
		var first []byte
		for try := 1; try <= 3; try++ {
			list, err := b.Notices(t.Context(), 8)
			if err != nil || len(list) != 2 {
				t.Fatalf("try %d: %d notices, %v, want one for each receiver", try, len(list), err)
			}
			if again, err := b.Notices(t.Context(), 8); err != nil || len(again) != 0 {
				t.Fatalf("try %d: another process gets %d of them, %v", try, len(again), err)
			}
			if list[0].Seq != 1 || list[0].Attempts != try || first != nil && !bytes.Equal(list[0].Body, first) {
				t.Errorf("try %d: seq %d, attempt %d, %s, want the bytes %s", try, list[0].Seq, list[0].Attempts, list[0].Body, first)
			}
			first = list[0].Body
			switch try {
			case 1: // its process dies
				b.rest()
				if err := b.Ledger.Close(); err != nil {
					t.Fatal(err)
				}
				b.open(t)
				b.advance(time.Minute)
			case 2:
				for _, n := range list {
					if err := b.NoticeLater(t.Context(), n, b.Now().Add(time.Hour), true); err != nil {
						t.Fatal(err)
					}
				}
				if early, err := b.Notices(t.Context(), 8); err != nil || len(early) != 0 {
					t.Errorf("%d come before their time, %v", len(early), err)
				}
				b.advance(time.Hour)
			}
		}
	})
}

func TestKeysOfURLsThatACrashHasLeftAreDestroyed(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := notifying(t, on)
		open := b.notify(t)
		ended := b.submit(t, "u2")
		if _, err := b.intake.Cancel(t.Context(), jobs.ActorOpen, ended.ID); err != nil {
			t.Fatal(err)
		}
		if err := b.keys.CreateNotify(ended.ID); err != nil { // as if its end had been told
			t.Fatal(err)
		}
		if err := b.SweepNotify(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left, err := b.keys.Notified(); err != nil || !slices.Equal(left, []string{open.ID}) {
			t.Errorf("keys of %v are left, %v, want that of %s", left, err, open.ID)
		}
	})
}

func TestANotifyURLIsRefusedWhereNobodyIsTold(t *testing.T) {
	b := newBook(t, onSQLite)
	_, _, err := b.intake.Submit(t.Context(), jobs.Submission{By: jobs.ActorOpen, Selector: user("u1"), NotifyURL: hunterURL})
	var invalid *jobs.Invalid
	if !errors.As(err, &invalid) || invalid.Field != "notify_url" || strings.Contains(err.Error(), "hunter") {
		t.Errorf("err = %v, want one of notify_url that does not repeat it", err)
	}
	if n := b.count(t, `requests`); n != 0 {
		t.Error("it was filed")
	}
}

func TestTwoProcessesTellEachNoticeOnce(t *testing.T) {
	b := notifying(t, onPostgres)
	for range 20 {
		b.notify(t)
	}
	other := &book{on: b.on, url: b.url, keys: b.keys, key: b.key, dir: b.dir, now: b.now}
	other.open(t)
	defer other.Close()
	seen := make(chan jobs.Notice, 200)
	done := make(chan error, 2)
	for _, l := range []*book{b, other} {
		go func() {
			for {
				list, err := l.Notices(context.Background(), 3)
				if err != nil || len(list) == 0 {
					done <- err
					return
				}
				for _, n := range list {
					seen <- n
				}
			}
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	close(seen)
	count := map[string]int{}
	for n := range seen {
		count[n.Endpoint+" "+n.ID]++
	}
	for n, times := range count {
		if times != 1 {
			t.Errorf("%s was told %d times", n, times)
		}
	}
	if left, err := b.Notices(t.Context(), 100); err != nil || len(count)+len(left) != 40 {
		t.Errorf("%d told, %d left, %v, want 40 in all", len(count), len(left), err)
	}
}
