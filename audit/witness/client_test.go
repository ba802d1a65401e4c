package witness_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"lethe/audit"
	"lethe/audit/proof"
	"lethe/audit/witness"
)

var _ audit.Witness = (*witness.Client)(nil)

func newClient(t testing.TB, url string, key proof.VerifyKey) *witness.Client {
	t.Helper()
	c, err := witness.NewClient(url, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestALogGetsItsHeadsCosigned(t *testing.T) {
	log := newTree(t, 1, 300, noFork)
	s := open(t, options(t, log.verifyKey()))
	var asked atomic.Int32
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		s.ServeHTTP(w, r)
	}))
	c := newClient(t, url+"/", keyOf(t, s))
	for i, n := range []int64{1, 2, 3, 7, 7, 64, 65, 300} {
		if i == 5 { // the log's process is a new one, and knows nothing
			c = newClient(t, url, keyOf(t, s))
			asked.Add(-1)
		}
		head := log.head(n)
		lines, err := c.Cosign(t.Context(), head, log.prove)
		if err != nil {
			t.Fatalf("size %d: %v", n, err)
		}
		signed, err := note.Open(append(head, lines...), note.VerifierList(keyOf(t, s)))
		if err != nil || strings.Count(string(lines), "\n") != 1 || len(signed.UnverifiedSigs) != 2 {
			t.Fatalf("size %d: %v\n%s", n, err, lines)
		}
	}
	if n := asked.Load(); n != 8 {
		t.Errorf("8 heads took %d requests, besides the one from which a new process hears the size", n)
	}
	if c.Name() != "witness.example/w1" {
		t.Errorf("the witness's name is %s", c.Name())
	}
}

func TestARefusalSaysWhetherToAskAgain(t *testing.T) {
	log, fork := newTree(t, 1, 60, noFork), newTree(t, 1, 60, 20)
	stranger, thief := newTree(t, 1, 60, noFork), newTree(t, 2, 60, noFork)
	stranger.name = "log.example/stranger"
	s := open(t, options(t, log.verifyKey()))
	url := serve(t, s)
	c := newClient(t, url, keyOf(t, s))
	if _, err := c.Cosign(t.Context(), log.head(40), log.prove); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("no proof today")
	for name, tt := range map[string]struct {
		log   *tree
		n     int64
		prove func(context.Context, int64, int64) (tlog.TreeProof, error)
		want  error
	}{
		"another root for the same size": {fork, 40, fork.prove, witness.ErrContradicted},
		"a fork before what it knows":    {fork, 50, fork.prove, witness.ErrContradicted},
		"a smaller head":                 {log, 30, log.prove, witness.ErrAhead},
		"an unknown log":                 {stranger, 30, stranger.prove, witness.ErrRefused},
		"an unknown key":                 {thief, 50, thief.prove, witness.ErrRefused},
		"no proof": {log, 50, func(context.Context, int64, int64) (tlog.TreeProof, error) {
			return nil, failed
		}, failed},
	} {
		for what, c := range map[string]*witness.Client{"known": c, "new": newClient(t, url, keyOf(t, s))} {
			_, err := c.Cosign(t.Context(), tt.log.head(tt.n), tt.prove)
			if !errors.Is(err, tt.want) {
				t.Errorf("%s, client %s: %v, want %v", name, what, err, tt.want)
			}
			for _, other := range []error{witness.ErrContradicted, witness.ErrAhead, witness.ErrRefused, proof.ErrDiverged, proof.ErrNotVerified} {
				if !errors.Is(tt.want, other) && errors.Is(err, other) {
					t.Errorf("%s, client %s: %v wraps %v too", name, what, err, other)
				}
			}
		}
	}
	if _, err := c.Cosign(t.Context(), log.head(60), log.prove); err != nil {
		t.Errorf("a newer head after all that: %v", err)
	}
}

// Answers of witnesses that are out of order, or of whoever stands between.
func TestABadAnswerIsNoCosignature(t *testing.T) {
	log := newTree(t, 1, 60, noFork)
	s, stranger := open(t, options(t, log.verifyKey())), open(t, options(t, log.verifyKey()))
	good, _ := s.Answer(log.ask(0, 40))
	foreign, _ := stranger.Answer(log.ask(0, 40))
	late, _ := s.Answer(log.ask(40, 41))
	none := errors.New("none of the sentinels")
	for name, tt := range map[string]struct {
		status     int
		kind, text string
		want       error
	}{
		"good":                            {200, "", good, nil},
		"good among others":               {200, "", foreign + good, nil},
		"of another key of the same name": {200, "", foreign, proof.ErrNotVerified},
		"over another head":               {200, "", late, proof.ErrNotVerified},
		"empty":                           {200, "", "", proof.ErrNotVerified},
		"without its line end":            {200, "", strings.TrimSuffix(good, "\n"), proof.ErrNotVerified},
		"after an empty line":             {200, "", "more text\n\n" + good, proof.ErrNotVerified},
		"a page":                          {200, "text/html", "<html>", proof.ErrNotVerified},
		"the log's own signature":         {200, "", string(log.head(40)[strings.LastIndex(string(log.head(40)), "\n\n")+2:]), proof.ErrNotVerified},
		"too long":                        {200, "", strings.Repeat(foreign, 1000), none},
		"a redirect":                      {302, "", "", witness.ErrRefused},
		"bad request":                     {400, "", "", witness.ErrRefused},
		"forbidden":                       {403, "", "", witness.ErrRefused},
		"unknown":                         {404, "", "", witness.ErrRefused},
		"unprocessable, from size 0":      {422, "", "", witness.ErrRefused},
		"out of order":                    {500, "", "", none},
		"too many":                        {429, "", "", none},
		"a conflict of no type":           {409, "text/plain", "7\n", none},
		"a conflict with another size":    {409, "text/x.tlog.size", "7\n", none},
		"a conflict with the same size":   {409, "text/x.tlog.size", "0\n", none},
		"a conflict with no size":         {409, "text/x.tlog.size", "-1\n", none},
		"a conflict with a larger size":   {409, "text/x.tlog.size", "41\n", witness.ErrAhead},
		"a conflict of the head's size":   {409, "text/x.tlog.size; charset=utf-8", "40\n", witness.ErrContradicted},
	} {
		var asked int
		url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked++; r.URL.Path != "/add-checkpoint" {
				t.Errorf("%s: the client asked for %s", name, r.URL.Path)
			}
			w.Header().Set("Content-Type", tt.kind)
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(tt.status)
			io.WriteString(w, tt.text)
		}))
		lines, err := newClient(t, url, keyOf(t, s)).Cosign(t.Context(), log.head(40), log.prove)
		switch {
		case tt.want == nil && (err != nil || string(lines) != good):
			t.Errorf("%s: %q, %v, want %q", name, lines, err, good)
		case tt.want == nil:
		case err == nil || lines != nil:
			t.Errorf("%s: taken for a cosignature: %q", name, lines)
		case !errors.Is(tt.want, none) && !errors.Is(err, tt.want):
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		case errors.Is(tt.want, none) && (errors.Is(err, witness.ErrContradicted) || errors.Is(err, witness.ErrRefused) || errors.Is(err, witness.ErrAhead) || errors.Is(err, proof.ErrNotVerified)):
			t.Errorf("%s: %v, want an error after which to ask again", name, err)
		}
		if limit := map[bool]int{true: 1, false: 3}[strings.HasPrefix(name, "a conflict of no type")]; asked > limit {
			t.Errorf("%s: asked %d times", name, asked)
		}
	}
}

// Witnesses older than July 2026 answer another root for the remembered size
// with 409, and need not say the size.
func TestAConflictThatCannotBeOneOfSizesIsAContradiction(t *testing.T) {
	log := newTree(t, 1, 5, noFork)
	s := open(t, options(t, log.verifyKey()))
	for _, text := range []string{"5\n", "", "root\n"} {
		asked := 0
		url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked++; asked <= 2 {
				s.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "text/x.tlog.size")
			w.WriteHeader(http.StatusConflict)
			io.WriteString(w, text)
		}))
		c := newClient(t, url, keyOf(t, s))
		for range 2 {
			if _, err := c.Cosign(t.Context(), log.head(5), log.prove); err != nil {
				t.Fatal(err)
			}
			asked = 1
		}
		asked = 2
		if _, err := c.Cosign(t.Context(), log.head(5), log.prove); !errors.Is(err, witness.ErrContradicted) {
			t.Errorf("%q: %v, want ErrContradicted", text, err)
		}
	}
}

// A signature over a text that goes on after the head is none over the head.
func TestACosignatureOverALongerTextIsNone(t *testing.T) {
	log := newTree(t, 1, 5, noFork)
	signer, err := proof.NewCosigner("witness.example/w1", private(9), clock)
	if err != nil {
		t.Fatal(err)
	}
	key, _ := proof.ParseVerifyKey(proof.CosignerKey("witness.example/w1", private(9).Public().(ed25519.PublicKey)))
	head := proof.FormatHead(origin, 5, log.root(5))
	for _, more := range []string{"", "\nmore text\n"} {
		signed, err := note.Sign(&note.Note{Text: head + more}, signer)
		if err != nil {
			t.Fatal(err)
		}
		url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Write(signed[len(head)+1:])
		}))
		lines, err := newClient(t, url, key).Cosign(t.Context(), log.head(5), log.prove)
		if (err == nil) != (more == "") {
			t.Errorf("signed %q: %q, %v", head+more, lines, err)
		}
	}
}

func TestAWitnessThatHangsIsGivenUp(t *testing.T) {
	log := newTree(t, 1, 5, noFork)
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	s := open(t, options(t, log.verifyKey()))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := newClient(t, server.URL, keyOf(t, s)).Cosign(ctx, log.head(5), log.prove); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
}

func TestErrorsDoNotSayTheURL(t *testing.T) {
	log := newTree(t, 1, 5, noFork)
	key := keyOf(t, open(t, options(t)))
	for _, url := range []string{"http://user:canary@127.0.0.1:1/", "http://127.0.0.1:1/?token=canary", "canary", "ftp://canary/", "http://127.0.0.1:1/#canary", "http://[canary"} {
		if _, err := witness.NewClient(url, key, nil); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", url, err)
		}
	}
	if _, err := witness.NewClient("http://127.0.0.1:1", log.verifyKey(), nil); err == nil {
		t.Error("a key that does not cosign was taken")
	}
	_, err := newClient(t, "http://127.0.0.1:1/canary", key).Cosign(t.Context(), log.head(5), log.prove)
	if err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(fmt.Sprint(err), "witness.example/w1") {
		t.Errorf("got %v", err)
	}
}
