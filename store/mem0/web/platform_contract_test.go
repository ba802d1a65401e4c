package web_test

import (
	"context"
	"errors"
	"iter"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"lethe/store"
	"lethe/store/mem0/web"
	"lethe/store/mem0/webtest"
	"lethe/store/storetest"
)

func TestPlatformKeepsTheContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Fixture {
		f := &fixture{there: map[string]bool{}}
		f.p, f.world = platform(t, func(p *webtest.Platform) { p.Scoping = true })
		return f
	})
}

const key = "m0-SECRET-key"

// platform is a store on a stand-in, whose clock goes on when the store sleeps.
func platform(t *testing.T, set ...func(*webtest.Platform)) (*web.Platform, *webtest.Platform) {
	t.Helper()
	p, world, _ := platformAt(t, set...)
	return p, world
}

func platformAt(t *testing.T, set ...func(*webtest.Platform)) (*web.Platform, *webtest.Platform, *clock) {
	t.Helper()
	world := webtest.NewPlatform(key)
	for _, f := range set {
		f(world)
	}
	server := httptest.NewServer(world)
	t.Cleanup(server.Close)
	clock := newClock()
	p, err := web.OpenPlatform(t.Context(), web.Config{URL: server.URL, Token: key, Rate: 1e6, Now: clock.now, Sleep: clock.sleep})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p, world, clock
}

// A fixture lets the contract speak of memories by any names: the Platform knows
// UUIDs alone.
type fixture struct {
	p     *web.Platform
	world *webtest.Platform
	mu    sync.Mutex
	there map[string]bool // memories that have been added once
	names sync.Map        // by UUID
}

func (f *fixture) Store() store.Store { return named{f.p, f} }

// Gathers implements storetest.Gatherer.
func (f *fixture) Gathers() string { return "entities" }

// Add writes records. One that comes back does so alone, without its user.
func (f *fixture) Add(_ context.Context, records ...storetest.Record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range records {
		m := webtest.Memory{ID: f.id(r.ID), Text: r.Text, UserID: r.UserID, AgentID: r.AgentID, AppID: r.AppID, RunID: r.RunID}
		if len(r.Metadata) > 0 {
			members := map[string]jsontext.Value{}
			for k, v := range r.Metadata {
				text := jsontext.Value(v.Literal())
				if v.Kind() == store.KindString {
					text, _ = json.Marshal(v.Literal())
				}
				members[k] = text
			}
			var err error
			if m.Metadata, err = json.Marshal(members); err != nil {
				return err
			}
		}
		if f.there[r.ID] {
			f.world.Restore(m)
			continue
		}
		f.there[r.ID] = true
		f.world.Add(m)
	}
	return nil
}

func (f *fixture) AddHistory(context.Context, string, string) error { return errors.ErrUnsupported }

func (f *fixture) Rows(context.Context) (map[string]string, error) {
	rows := map[string]string{}
	for id, m := range f.world.Memories() {
		rows["memories/"+id] = m.Text
	}
	for _, e := range f.world.Entities() {
		_, name, _ := strings.Cut(e, "/")
		rows["entities/"+e] = "SECRET-" + name
	}
	return rows, nil
}

func (f *fixture) Bytes(context.Context) ([]byte, error) { return nil, errors.ErrUnsupported }

// id is the UUID of the memory with a name.
func (f *fixture) id(name string) string {
	if kind, _, ok := strings.Cut(name, "/"); ok && (kind == "user" || kind == "agent" || kind == "run") {
		return name // an entity's
	}
	id := uuid.NewSHA1(uuid.NameSpaceOID, []byte(name)).String()
	f.names.Store(id, name)
	return id
}

func (f *fixture) out(id store.ID) store.ID {
	if id.Place == "memories" {
		id.Key = f.id(id.Key)
	}
	return id
}

func (f *fixture) in(id store.ID) store.ID {
	if name, ok := f.names.Load(id.Key); ok && id.Place == "memories" {
		id.Key = name.(string)
	}
	return id
}

// A named store is a Platform in which memories have names.
type named struct {
	*web.Platform
	f *fixture
}

func (s named) selector(sel store.Selector) store.Selector {
	var ids []string
	for _, name := range sel.IDs {
		if name == "" {
			return sel
		}
		ids = append(ids, s.f.id(name))
	}
	sel.IDs = ids
	return sel
}

func (s named) Find(ctx context.Context, sel store.Selector) iter.Seq2[store.ID, error] {
	return func(yield func(store.ID, error) bool) {
		for id, err := range s.Platform.Find(ctx, s.selector(sel)) {
			if !yield(s.f.in(id), err) {
				return
			}
		}
	}
}

func (s named) Count(ctx context.Context, sels iter.Seq2[store.Selector, error]) (store.Census, error) {
	return s.Platform.Count(ctx, func(yield func(store.Selector, error) bool) {
		for sel, err := range sels {
			if !yield(s.selector(sel), err) {
				return
			}
		}
	})
}

func (s named) ids(ids []store.ID, f func(store.ID) store.ID) []store.ID {
	var all []store.ID
	for _, id := range ids {
		all = append(all, f(id))
	}
	return all
}

func (s named) Erase(ctx context.Context, ids []store.ID) (store.Receipt, error) {
	return s.Platform.Erase(ctx, s.ids(ids, s.f.out))
}

func (s named) Remaining(ctx context.Context, ids []store.ID) ([]store.ID, error) {
	left, err := s.Platform.Remaining(ctx, s.ids(ids, s.f.out))
	return s.ids(left, s.f.in), err
}

func (s named) Matching(ctx context.Context, sel store.Selector, ids []store.ID) ([]store.ID, error) {
	held, err := s.Platform.Matching(ctx, s.selector(sel), s.ids(ids, s.f.out))
	return s.ids(held, s.f.in), err
}
