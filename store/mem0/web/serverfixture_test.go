package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/google/uuid"

	"lethe/store"
	"lethe/store/mem0/web"
	"lethe/store/mem0/webtest"
	"lethe/store/storetest"
)

// A serverFixture is a stand-in for Mem0's server, and the store that erases in
// it.
type serverFixture struct {
	api   *webtest.Server
	s     *web.Server
	names sync.Map // from the server's IDs back to the contract's
}

func newServerFixture(t testing.TB) *serverFixture {
	t.Helper()
	f := &serverFixture{api: webtest.NewServer()}
	f.s = openServer(t, f.api, webtest.ServerAdminKey)
	return f
}

// direct asks a stand-in without a network between: thousands of calls take
// seconds over one.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (answer *http.Response, err error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	defer func() {
		if recover() != nil {
			err = io.ErrUnexpectedEOF
		}
	}()
	rec := httptest.NewRecorder()
	d.ServeHTTP(rec, r)
	return rec.Result(), nil
}

// openServer opens a stand-in's store, as fast as that answers.
func openServer(t testing.TB, api *webtest.Server, key string) *web.Server {
	t.Helper()
	s, err := web.OpenServer(t.Context(), web.Config{
		URL: "http://127.0.0.1:8888", Token: key, Rate: 1e6, Burst: 1e6, Transport: direct{api},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	api.Forget()
	return s
}

// key is the ID that the server has for a record's: the contract's are no UUIDs.
func (f *serverFixture) key(id string) string {
	if id == "" {
		return ""
	}
	key := uuid.NewSHA1(uuid.NameSpaceOID, []byte(id)).String()
	f.names.Store(key, id)
	return key
}

func (f *serverFixture) Store() store.Store { return &renamedServer{f.s, f} }

func (f *serverFixture) Listed() int { return webtest.ServerListMost }

func (f *serverFixture) Add(_ context.Context, records ...storetest.Record) error {
	var all []webtest.ServerMemory
	for _, r := range records {
		m := webtest.ServerMemory{
			ID: f.key(r.ID), Text: r.Text, UserID: r.UserID, AgentID: r.AgentID, RunID: r.RunID,
			Entities: r.Entities, Metadata: map[string]json.RawMessage{},
		}
		if r.AppID != "" {
			m.Metadata["app_id"] = inJSON(r.AppID)
		}
		for k, v := range r.Metadata {
			m.Metadata[k] = json.RawMessage(v.Literal())
			if v.Kind() == store.KindString {
				m.Metadata[k] = inJSON(v.Literal())
			}
		}
		all = append(all, m)
	}
	f.api.Add(all...)
	return nil
}

func inJSON(s string) json.RawMessage {
	text, _ := json.Marshal(s) // a string can be marshalled
	return text
}

func (f *serverFixture) AddHistory(context.Context, string, string) error {
	return errors.ErrUnsupported
}

func (f *serverFixture) Rows(context.Context) (map[string]string, error) {
	rows := make(map[string]string)
	for _, m := range f.api.Memories() {
		rows[m.ID] = m.Text
	}
	return rows, nil
}

func (f *serverFixture) Bytes(context.Context) ([]byte, error) {
	return fmt.Append(nil, f.api.Memories(), f.api.Residue()), nil
}

// A renamedServer speaks of memories by the contract's IDs.
type renamedServer struct {
	*web.Server
	f *serverFixture
}

func (r *renamedServer) in(ids []store.ID) []store.ID {
	out := slices.Clone(ids)
	for i, id := range out {
		out[i].Key = r.f.key(id.Key)
	}
	return out
}

func (r *renamedServer) out(ids []store.ID) []store.ID {
	for i := range ids {
		if name, ok := r.f.names.Load(ids[i].Key); ok {
			ids[i].Key = name.(string)
		}
	}
	return ids
}

func (r *renamedServer) asked(sel store.Selector) store.Selector {
	sel.IDs = slices.Clone(sel.IDs)
	for i, id := range sel.IDs {
		sel.IDs[i] = r.f.key(id)
	}
	return sel
}

func (r *renamedServer) Find(ctx context.Context, sel store.Selector) iter.Seq2[store.ID, error] {
	return func(yield func(store.ID, error) bool) {
		for id, err := range r.Server.Find(ctx, r.asked(sel)) {
			if !yield(r.out([]store.ID{id})[0], err) {
				return
			}
		}
	}
}

func (r *renamedServer) Count(ctx context.Context, sels iter.Seq2[store.Selector, error]) (store.Census, error) {
	return r.Server.Count(ctx, func(yield func(store.Selector, error) bool) {
		for sel, err := range sels {
			if !yield(r.asked(sel), err) {
				return
			}
		}
	})
}

func (r *renamedServer) Erase(ctx context.Context, ids []store.ID) (store.Receipt, error) {
	return r.Server.Erase(ctx, r.in(ids))
}

func (r *renamedServer) Remaining(ctx context.Context, ids []store.ID) ([]store.ID, error) {
	left, err := r.Server.Remaining(ctx, r.in(ids))
	return r.out(left), err
}

func (r *renamedServer) Matching(ctx context.Context, sel store.Selector, ids []store.ID) ([]store.ID, error) {
	held, err := r.Server.Matching(ctx, r.asked(sel), r.in(ids))
	return r.out(held), err
}

// serverMemories are n memories of a user, whose texts say SECRET-user.
func serverMemories(user string, n int) []webtest.ServerMemory {
	all := make([]webtest.ServerMemory, n)
	for i := range all {
		all[i] = webtest.ServerMemory{
			ID: uuid.NewSHA1(uuid.NameSpaceOID, []byte(user+strconv.Itoa(i))).String(), UserID: user,
			Text: "SECRET-" + user + " is number " + strconv.Itoa(i),
		}
	}
	return all
}
