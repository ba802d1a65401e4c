package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"lethe/store"
	"lethe/store/mem0/web"
	"lethe/store/mem0/webtest"
)

// TestServerFaultsAreErrors: whatever goes wrong, no call answers that nothing
// is there, or that something is gone.
func TestServerFaultsAreErrors(t *testing.T) {
	api := webtest.NewServer(serverMemories("SECRET-alice", 20)...)
	s := openServer(t, api, webtest.ServerAdminKey)
	sel := store.Selector{UserID: "SECRET-alice"}
	ids := mustFind(t, s, sel)
	gone := []store.ID{{Place: "memories", Key: serverMemories("SECRET-gone", 1)[0].ID}}
	for op, call := range map[string]func(ctx context.Context) error{
		"find": func(context.Context) error { _, err := found(t, s, sel); return err },
		"find id": func(context.Context) error {
			_, err := found(t, s, store.Selector{IDs: []string{ids[0].Key}})
			return err
		},
		"count": func(ctx context.Context) error { _, err := s.Count(ctx, sel.Only()); return err },
		"remaining": func(ctx context.Context) error {
			left, err := s.Remaining(ctx, gone)
			if len(left) > 0 {
				t.Error("what is gone is said to be there")
			}
			return err
		},
		"matching": func(ctx context.Context) error { _, err := s.Matching(ctx, sel, ids); return err },
		"erase":    func(ctx context.Context) error { _, err := s.Erase(ctx, gone); return err },
		"ping":     s.Ping,
		"check":    func(ctx context.Context) error { _, err := s.Check(ctx); return err },
	} {
		for fault, f := range map[string]struct {
			set  webtest.ServerFaults
			want error
		}{
			"502":             {webtest.ServerFaults{Fail: 1}, store.ErrUnavailable},
			"502 unknown":     {webtest.ServerFaults{Fail: 1, Code: "unknown"}, nil},
			"cut":             {webtest.ServerFaults{CutBefore: 1}, store.ErrUnavailable},
			"cut after":       {webtest.ServerFaults{CutAfter: 1}, store.ErrUnavailable},
			"half":            {webtest.ServerFaults{Malformed: 1}, nil}, // half of null is no JSON either
			"a page":          {webtest.ServerFaults{Page: 1}, store.ErrSchema},
			"another's":       {webtest.ServerFaults{Alien: 1}, store.ErrSchema},
			"a key withdrawn": {webtest.ServerFaults{Locked: true}, store.ErrDenied},
		} {
			t.Run(op+", "+fault, func(t *testing.T) {
				api.Set(func(to *webtest.ServerFaults) { *to = f.set })
				err := call(t.Context())
				api.Set(func(to *webtest.ServerFaults) { *to = webtest.ServerFaults{} })
				if err == nil || f.want != nil && !errors.Is(err, f.want) {
					t.Fatalf("error %v, want %v", err, f.want)
				}
				if errors.Is(err, store.ErrRefused) || strings.Contains(err.Error(), "SECRET") || strings.Contains(err.Error(), ids[0].Key) || strings.Contains(err.Error(), gone[0].Key) {
					t.Errorf("error %v: want a temporary one that names nobody", err)
				}
				if fault == "502 unknown" && (errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrSchema)) {
					t.Errorf("error %v takes the store down for what may be one memory's fault", err)
				}
			})
		}
	}
	if n := len(api.Memories()); n != 20 {
		t.Errorf("%d memories are left", n)
	}
}

// TestServerEraseIsRepeatedAfterALostAnswer: the memory is gone, nobody was told,
// and the second time it is absent.
func TestServerEraseIsRepeatedAfterALostAnswer(t *testing.T) {
	api := webtest.NewServer(serverMemories("alice", 10)...)
	s := openServer(t, api, webtest.ServerUserKey)
	ids := mustFind(t, s, store.Selector{UserID: "alice"})
	api.Set(func(f *webtest.ServerFaults) { f.Only, f.Skip, f.CutAfter = http.MethodDelete, 4, 1 })
	if _, err := s.Erase(t.Context(), ids); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("error %v", err)
	}
	gone := 10 - len(api.Memories())
	r, err := s.Erase(t.Context(), ids)
	if err != nil || r.Count(store.Absent) != gone || r.Count(store.Erased) != 10-gone || gone < 5 || len(api.Memories()) > 0 {
		t.Errorf("%d were gone; receipt %s, error %v", gone, r, err)
	}
}

func TestServerPoisonFailsItsBatchAlone(t *testing.T) {
	api := webtest.NewServer(serverMemories("alice", 3)...)
	s := openServer(t, api, webtest.ServerUserKey)
	ids := mustFind(t, s, store.Selector{UserID: "alice"})
	api.Set(func(f *webtest.ServerFaults) { f.Poison = map[string]bool{ids[1].Key: true} })
	if _, err := s.Erase(t.Context(), ids[1:2]); err == nil || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("error %v: want one by which a batch is split", err)
	}
	if r, err := s.Erase(t.Context(), []store.ID{ids[0], ids[2], ids[0]}); err != nil || string(toBytes(r)) != "eea" {
		t.Errorf("receipt %s, error %v", toBytes(r), err)
	}
}

func toBytes(r store.Receipt) (b []byte) {
	for _, o := range r {
		b = append(b, byte(o))
	}
	return b
}

// TestServerAsksForLeaveBeforeEachDelete: a batch takes as long as its memories
// are many, and may be taken away meanwhile.
func TestServerAsksForLeaveBeforeEachDelete(t *testing.T) {
	api := webtest.NewServer(serverMemories("alice", 40)...)
	s := openServer(t, api, webtest.ServerUserKey)
	ids := mustFind(t, s, store.Selector{UserID: "alice"})
	taken := errors.New("taken")
	ctx := store.WithLeave(t.Context(), func() error {
		if len(api.Memories()) <= 30 {
			return taken
		}
		return nil
	})
	if _, err := s.Erase(ctx, ids); !errors.Is(err, taken) {
		t.Errorf("error %v", err)
	}
	if n := len(api.Memories()); n < 27 || n > 30 { // those that were under way
		t.Errorf("%d memories are left, want about 30", n)
	}
}

func TestServerMemoriesThatComeMeanwhileAreFound(t *testing.T) {
	api := webtest.NewServer(serverMemories("alice", 5)...)
	s := openServer(t, api, webtest.ServerUserKey)
	sel := store.Selector{UserID: "alice"}
	late := serverMemories("alice", 6)[5:]
	api.Set(func(f *webtest.ServerFaults) { f.Arrive = late })
	if _, err := s.Erase(t.Context(), mustFind(t, s, sel)); err != nil {
		t.Fatal(err)
	}
	if ids := mustFind(t, s, sel); len(ids) != 1 || ids[0].Key != late[0].ID {
		t.Errorf("found %v, want the one that came", ids)
	}
}

func TestServerLieIsSeen(t *testing.T) {
	api := webtest.NewServer(serverMemories("alice", 2)...)
	s := openServer(t, api, webtest.ServerUserKey)
	ids := mustFind(t, s, store.Selector{UserID: "alice"})
	api.Set(func(f *webtest.ServerFaults) { f.Lie = 1 })
	if r, err := s.Erase(t.Context(), ids); err != nil || r.Count(store.Erased) != 2 {
		t.Fatalf("receipt %s, error %v", toBytes(r), err)
	}
	if left, err := s.Remaining(t.Context(), ids); err != nil || len(left) != 1 {
		t.Errorf("remaining %v, error %v", left, err)
	}
}

// TestServersThatAreNotOpened: what is no Mem0 server, is an old one, or does
// not accept the key.
func TestServersThatAreNotOpened(t *testing.T) {
	api := webtest.NewServer(serverMemories("alice", 1)...)
	behind := func(f func(w http.ResponseWriter, r *http.Request) bool) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !f(w, r) {
				api.ServeHTTP(w, r)
			}
		})
	}
	for _, c := range []struct {
		name, key string
		h         http.Handler
		want      error
	}{
		{"wrong key", "m0sk_SECRET", api, store.ErrDenied},
		{"nothing there", webtest.ServerUserKey, http.NotFoundHandler(), store.ErrSchema},
		{"another API", webtest.ServerUserKey, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"ok":true}`) }), store.ErrSchema},
		{"below a path", webtest.ServerUserKey, http.StripPrefix("/nowhere", api), store.ErrSchema},
		{"a server that lists 100 whatever it is asked", webtest.ServerUserKey, behind(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/memories" {
				_ = json.NewEncoder(w).Encode(map[string]any{"results": []any{}})
			}
			return r.URL.Path == "/memories"
		}), store.ErrSchema},
		{"a sign-in page", webtest.ServerUserKey, behind(func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "/login", http.StatusFound)
			return true
		}), store.ErrSchema},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := httptest.NewServer(c.h)
			defer h.Close()
			s, err := web.OpenServer(t.Context(), web.Config{URL: h.URL, Token: c.key})
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if s != nil {
				t.Error("a store comes with the error")
			} else if strings.Contains(err.Error(), "SECRET") || strings.Contains(err.Error(), h.URL) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestServerNotFoundOfAProxyIsNoAbsence: only the server itself can say that a
// memory is not there.
func TestServerNotFoundOfAProxyIsNoAbsence(t *testing.T) {
	api := webtest.NewServer(serverMemories("alice", 2)...)
	for i, body := range []string{"404 page not found", `{"detail":"Not Found"}`, `{"error":"Memory not found!"}`, ``} {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodDelete {
					w.WriteHeader(http.StatusNotFound)
					_, _ = io.WriteString(w, body)
					return
				}
				api.ServeHTTP(w, r)
			}))
			defer h.Close()
			s, err := web.OpenServer(t.Context(), web.Config{URL: h.URL, Token: webtest.ServerUserKey, Rate: 1e6, Burst: 1e6})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if r, err := s.Erase(t.Context(), mustFind(t, s, store.Selector{UserID: "alice"})); !errors.Is(err, store.ErrSchema) {
				t.Errorf("receipt %s, error %v", toBytes(r), err)
			}
		})
	}
}
