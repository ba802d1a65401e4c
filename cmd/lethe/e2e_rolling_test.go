package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/jobs/api"
	"lethe/store"
)

// A fleet is processes with one role each, two of each, that are replaced while
// clients ask for whichever answers.
type fleet struct {
	*cluster
	mu      sync.Mutex
	members map[string][]*member // by role
}

func newFleet(c *cluster) *fleet {
	f := &fleet{cluster: c, members: map[string][]*member{}}
	var all sync.WaitGroup
	for _, role := range []string{roleAPI, roleAPI, roleWorker, roleWorker, roleScheduler, roleScheduler} {
		all.Go(func() {
			m := c.join(role)
			f.mu.Lock()
			defer f.mu.Unlock()
			f.members[role] = append(f.members[role], m)
		})
	}
	all.Wait()
	return f
}

// replace drains one process of a role and puts another in its place.
func (f *fleet) replace(role string, i int) {
	f.mu.Lock()
	old := f.members[role][i]
	f.mu.Unlock()
	old.stop()
	m := f.join(role)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members[role][i] = m
}

// door is one of the two processes that answer HTTP.
func (f *fleet) door(i int) *member {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.members[roleAPI][i%2]
}

// file files a request, at the other door if the first does not take it, and then
// at the one that has taken the first one's place: on a slow machine the other is
// told to end while the first is still at it. The key makes it the same request if
// one did take it, and did not get to say so.
func (f *fleet) file(user string) (string, error) {
	var last error
	for i := range 3 {
		answer, _, err := f.door(i).client.Submit(f.t.Context(), api.Submission{Selector: store.Selector{UserID: user}, IdempotencyKey: "key-" + user})
		if err == nil {
			return answer.ID, nil
		}
		last = err
	}
	return "", last
}

// fileWhile files the requests of so many users, four at a time, until they are all
// filed or something is done, and returns those that were.
func (f *fleet) fileWhile(done <-chan struct{}, people int) map[string]string {
	filed := map[string]string{}
	var mu sync.Mutex
	var all sync.WaitGroup
	const clients = 4
	for first := range clients {
		all.Go(func() {
			for i := first; i < people; i += clients {
				user := fmt.Sprint("user", i)
				id, err := f.file(user)
				if err != nil {
					f.t.Errorf("no door took the request of %s: %v", user, err)
				}
				mu.Lock()
				filed[user] = id
				mu.Unlock()
				select {
				case <-done:
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
	all.Wait()
	<-done
	return filed
}

// Every process is told to end and replaced in turn, of each role one at a time,
// while a large request is worked on and small ones come in.
func TestARollingRestartLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	const large, people, each = 10_000, 200, 3
	c.remember("alice", large)
	c.store.MustExec(`INSERT INTO memories SELECT gen_random_uuid(), ARRAY[0.1, 0.2], jsonb_build_object('user_id', 'user' || (i % $1::int), 'data', 'likes tea ' || i) FROM generate_series(0, $2::int) i`, people, people*each-1)
	f := newFleet(c)
	id, err := f.file("alice")
	if err != nil {
		t.Fatal(err)
	}
	rolled := make(chan struct{})
	go func() {
		defer close(rolled)
		for i := range 2 {
			var all sync.WaitGroup
			for _, role := range []string{roleAPI, roleWorker, roleScheduler} {
				all.Go(func() { f.replace(role, i) })
			}
			all.Wait()
		}
	}()
	filed := f.fileWhile(rolled, people)
	door := f.door(0)
	if s := door.completed(id).Stores[0]; s.Found != large || s.Erased != large || s.Absent != 0 || s.Batches != large/1000 {
		t.Errorf("the certificate says %s in %d batches", said(s), s.Batches)
	}
	for user, id := range filed {
		if s := door.completed(id).Stores[0]; s.Found != each || s.Erased != each || s.Absent != 0 || s.Batches != 1 {
			t.Errorf("of %s the certificate says %s in %d batches", user, said(s), s.Batches)
		}
	}
	t.Logf("%d requests while six processes were replaced", len(filed))
	var kept struct{ Batches, Receipts, Leaves, Waits int }
	ledger := sqlx.MustOpen("pgx", c.ledger)
	defer ledger.Close()
	if err := ledger.Get(&kept, `SELECT COUNT(*) AS batches, COUNT(root) AS receipts, SUM(octet_length(leaves)) / 32 AS leaves, (SELECT COUNT(*) FROM outbox) AS waits FROM batches`); err != nil {
		t.Fatal(err)
	}
	want := kept
	want.Batches, want.Leaves, want.Waits = large/1000+len(filed), large+each*len(filed), 0
	want.Receipts = want.Batches
	if kept != want {
		t.Errorf("the ledger has %+v, want %+v", kept, want)
	}
	if text, entries := c.checked(), fmt.Sprintf("%d entries", 2+2*len(filed)); !strings.Contains(text, entries) { // accepted and completed, once each
		t.Errorf("log check, want %s: %s", entries, text)
	}
	if n := c.memories("alice"); n != 0 {
		t.Errorf("%d memories of alice", n)
	}
}
