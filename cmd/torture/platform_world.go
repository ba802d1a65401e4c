//go:build torture

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"lethe/audit/proof"
	"lethe/jobs/api"
	"lethe/store"
	"lethe/store/mem0/web"
	"lethe/store/mem0/webtest"
)

const (
	hostedCanary = "canary8"
	hostedKey    = "m0-" + hostedCanary + "-key"
)

// A hostedAsk is a request, and what has to come of it.
type hostedAsk struct {
	user    string
	related bool
	key     string
	rows    int // memories that it is about, and the entity

	id                string
	keys, certificate []byte
}

func (a *hostedAsk) submission() api.Submission {
	return api.Submission{Selector: store.Selector{UserID: a.user}, Related: a.related, IdempotencyKey: a.key}
}

// A hostedWorld is a Platform with people, and the lab's own book of them.
type hostedWorld struct {
	*webtest.Platform
	kase *kase
	asks []*hostedAsk
	stay map[string]bool // memories that are nobody's who is forgotten

	mu    sync.Mutex
	rng   *rand.Rand
	quiet bool
}

// newHostedWorld has five people, of whom two or three are forgotten, in runs of
// their own and in runs with one who is not, and what an assistant says in them.
func newHostedWorld(c *kase) *hostedWorld {
	w := &hostedWorld{Platform: webtest.NewPlatform(hostedKey), kase: c, stay: map[string]bool{}, rng: c.rand(c.number + 1)}
	w.Scoping, w.Trouble = c.rng.IntN(2) == 0, w.trouble
	w.Flags = pick(c.rng, "", "query", "body")
	w.Stays = func(id string) bool { // some only once nothing goes wrong any more
		w.mu.Lock()
		defer w.mu.Unlock()
		return !w.quiet && strings.HasPrefix(id, "00")
	}
	forgotten := 2 + c.rng.IntN(2)
	for i := range 5 {
		user := fmt.Sprintf("%s-p%d", hostedCanary, i)
		n := 10 + c.rng.IntN(60)
		if i == 0 && c.rng.IntN(3) == 0 {
			n += 1000
		}
		a := &hostedAsk{user: user, related: c.rng.IntN(2) == 0, key: fmt.Sprintf("key-%d", i), rows: n + 1}
		for k := range n {
			m := webtest.Memory{UserID: user, Text: hostedCanary + " likes tea", Expired: c.rng.IntN(5) == 0, Merged: c.rng.IntN(5) == 0}
			if k%3 == 0 {
				m.AgentID, m.RunID = "bot", pick(c.rng, "run-"+user, "run-of-all")
			}
			w.add(m, i >= forgotten)
		}
		w.add(webtest.Memory{UserID: user, AgentID: "bot", RunID: "run-" + user}, i >= forgotten)
		a.rows++
		for range c.rng.IntN(4) {
			gone := i < forgotten && a.related
			w.add(webtest.Memory{AgentID: "bot", RunID: "run-" + user, Text: hostedCanary + " was told"}, !gone)
			if gone {
				a.rows++
			}
		}
		if i < forgotten {
			w.asks = append(w.asks, a)
		}
	}
	w.add(webtest.Memory{UserID: hostedCanary + "-p4", RunID: "run-of-all"}, true)
	w.add(webtest.Memory{AgentID: "bot", RunID: "run-of-all", Text: "of whom?"}, true)
	return w
}

func (w *hostedWorld) add(m webtest.Memory, stays bool) {
	for _, id := range w.Add(m) {
		if stays {
			w.stay[id] = true
		}
	}
}

// calm ends all trouble.
func (w *hostedWorld) calm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.quiet = true
}

// judge compares what is left, what was called and what the certificates say with
// the book.
func (w *hostedWorld) judge() error {
	var bad []error
	wrong := func(format string, args ...any) { bad = append(bad, fmt.Errorf(format, args...)) }
	left := w.Memories()
	for id := range w.stay {
		if _, ok := left[id]; !ok {
			wrong("a memory of others is gone")
		}
	}
	for id, m := range left {
		if !w.stay[id] {
			wrong("a memory is left, in run %q, expired %v, merged %v", m.RunID, m.Expired, m.Merged)
		}
	}
	known := w.Entities()
	for _, a := range w.asks {
		if slices.Contains(known, "user/"+a.user) {
			wrong("an entity is left")
		}
		if err := a.judge(); err != nil {
			bad = append(bad, err)
		}
	}
	for _, c := range w.Calls() {
		if c.IDs > store.MaxBatch || c.Route == "unknown" || c.Route == "DELETE /v1/memories/" {
			wrong("a call that should not be: %s", c)
		}
	}
	return errors.Join(bad...)
}

func (a *hostedAsk) judge() error {
	keys, err := proof.ParseKeys(a.keys)
	if err != nil {
		return err
	}
	result, err := proof.Verify(a.certificate, keys)
	if err != nil {
		return fmt.Errorf("a certificate does not verify: %w", err)
	}
	done, ok := result.Entry.(*proof.Completed)
	if !ok || len(done.Stores) != 1 {
		return errors.New("a certificate is of something else")
	}
	if s := done.Stores[0]; s.Found != a.rows || s.Erased != a.rows || s.Absent != 0 || s.Evidence != proof.EvidenceVerified {
		return fmt.Errorf("a certificate says found %d, erased %d, absent %d, %s; want %d, all erased, verified", s.Found, s.Erased, s.Absent, s.Evidence, a.rows)
	}
	for _, x := range web.Excluded() {
		if !slices.ContainsFunc(done.Exclusions, func(y proof.Exclusion) bool { return y.Code == x.Code }) {
			return fmt.Errorf("a certificate does not name %s", x.Code)
		}
	}
	return nil
}
