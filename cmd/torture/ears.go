//go:build torture

package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// ears are receivers of webhooks, on loopback addresses of their own: of one
// receiver the service would make others wait.
type ears struct {
	addresses []string
	servers   []*http.Server
	key       []byte

	mu    sync.Mutex
	heard map[string]string // what was said first, by its ID
	first map[string][]news // of each request, in the order heard
	took  int
	bad   []error
}

// news are what a webhook says.
type news struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Data struct {
		Request string `json:"request"`
		Status  string `json:"status"`
		Seq     int    `json:"seq"`
	} `json:"data"`
}

// earsAtOnce is how many receivers a case has.
const earsAtOnce = 4

// listen makes the receivers of a case, and says to the asks where they are.
func (c *kase) listen(b *book) (*ears, error) {
	e := &ears{key: []byte(newToken(c.rng) + newToken(c.rng)), heard: map[string]string{}, first: map[string][]news{}}
	for i := range earsAtOnce {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.%d:0", 2+i))
		if err != nil {
			e.close()
			return nil, fmt.Errorf("listen for webhooks: %w", err)
		}
		s := &http.Server{Handler: e, ReadHeaderTimeout: patience}
		e.addresses, e.servers = append(e.addresses, l.Addr().String()), append(e.servers, s)
		go func() { _ = s.Serve(l) }()
	}
	n := 0
	for _, a := range b.asks {
		if a.notify {
			a.tellTo = "http://" + e.addresses[n%earsAtOnce] + "/told"
			n++
		}
	}
	return e, nil
}

// configured writes the secret, and returns the lines of a configuration.
func (e *ears) configured(dir string) (string, error) {
	path := filepath.Join(dir, "webhook.secret")
	err := os.WriteFile(path, []byte("whsec_"+base64.StdEncoding.EncodeToString(e.key)+"\n"), 0o600)
	var hosts, ports []string
	for _, a := range e.addresses {
		host, port, _ := net.SplitHostPort(a)
		hosts, ports = append(hosts, fmt.Sprintf("%q", "http://"+host)), append(ports, port)
	}
	return fmt.Sprintf("webhooks: {secret_file: %s, allow_private: true, allow_hosts: [%s], ports: [%s]}\n", path, strings.Join(hosts, ", "), strings.Join(ports, ", ")), err
}

func (e *ears) close() {
	for _, s := range e.servers {
		_ = s.Close()
	}
}

// ServeHTTP hears one webhook. A few are not taken the first time.
func (e *ears) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return // the sender has died
	}
	id, at := r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp")
	mac := hmac.New(sha256.New, e.key)
	mac.Write([]byte(id + "." + at + "." + string(body)))
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	var said news
	err = json.Unmarshal(body, &said)
	e.mu.Lock()
	defer e.mu.Unlock()
	was, again := e.heard[id]
	switch {
	case err != nil || id == "" || said.ID != id || said.Type != "request.status":
		e.bad = append(e.bad, fmt.Errorf("a webhook cannot be read: %w", err))
	case r.Header.Get("webhook-signature") != want:
		e.bad = append(e.bad, fmt.Errorf("webhook %s: its signature is not right", id))
	case again && was != string(body):
		e.bad = append(e.bad, fmt.Errorf("webhook %s says something else the second time:\n    was  %s\n    is   %s", id, was, body))
	case !again:
		e.heard[id] = string(body)
		e.first[said.Data.Request] = append(e.first[said.Data.Request], said)
		if e.took++; e.took%40 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
}

// all waits until nobody is left to be told.
func (e *ears) all(ctx context.Context, h *house) error {
	r, err := h.records()
	if err != nil {
		return err
	}
	defer r.Close()
	for began := time.Now(); ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		n, err := r.count(ctx, `SELECT COUNT(*) FROM notices`)
		if err == nil && n == 0 {
			h.measure("all told once nothing goes wrong", time.Since(began))
			return nil
		}
		if time.Since(began) > stretched(liveLimit) {
			return fmt.Errorf("%w: %d webhooks are not sent after %s (%w)", errUnfinished, n, time.Since(began).Round(time.Second), err)
		}
	}
	return ctx.Err()
}

// judge makes sure that of each request every change was told, in order, to the
// last, and of no other.
func (e *ears) judge(o *oracle) {
	e.mu.Lock()
	defer e.mu.Unlock()
	o.bad = append(o.bad, e.bad...)
	known := map[string]bool{}
	for _, a := range o.book.asks {
		heard := e.first[a.id]
		known[a.id] = true
		if !a.notify {
			if len(heard) > 0 {
				o.wrong("request %s: somebody was told of it whom nobody named", a.id)
			}
			continue
		}
		for i, n := range heard {
			if n.Data.Seq != i+1 {
				o.wrong("request %s: webhook %d came as number %d", a.id, n.Data.Seq, i+1)
			}
		}
		switch {
		case len(heard) < 2:
			o.wrong("request %s: NOT TOLD: %d webhooks", a.id, len(heard))
		case a.ended && heard[len(heard)-1].Data.Status != string(a.last.Status):
			o.wrong("request %s: the last webhook says %s, it is %s", a.id, heard[len(heard)-1].Data.Status, a.last.Status)
		}
		if _, err := os.Stat(filepath.Join(o.dir, "data", "keys", "notify", a.id)); a.ended && !errors.Is(err, os.ErrNotExist) {
			o.wrong("request %s has ended and all is told, and the key that hid where is still there (%v)", a.id, err)
		}
	}
	spelled := spellings(o.world.token)
	for id, text := range e.heard {
		o.scan("webhook "+id, text, spelled)
	}
	ids := make([]string, 0, len(e.first))
	for id := range e.first {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		if !known[id] {
			o.wrong("a webhook is about request %s, which nobody made", id)
		}
	}
}
