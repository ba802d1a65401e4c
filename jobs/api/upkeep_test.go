package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"lethe/jobs/api"
)

// An upkeep is what the service says of itself and of its ledger.
type upkeep struct {
	fail    error
	content io.Reader // of the backup; nil for a small one
	bytes   int64
	sent    int
	closed  int
	wait    chan struct{} // a check-up waits for it
	begun   chan struct{}
}

func (u *upkeep) doctor(context.Context) (api.Checkup, error) {
	if u.wait != nil {
		close(u.begun)
		<-u.wait
	}
	return api.Checkup{Level: api.LevelOK, Findings: []api.Finding{}}, u.fail
}

func (u *upkeep) backup(context.Context) (*api.Backup, error) {
	text := []byte("SQLite format 3")
	content, n := u.content, u.bytes
	if content == nil {
		content, n = bytes.NewReader(text), int64(len(text))
	}
	digest := sha256.Sum256(text)
	return &api.Backup{Content: closing{content, u}, Bytes: n, SHA256: digest[:], Sent: func() { u.sent++ }}, u.fail
}

type closing struct {
	io.Reader
	u *upkeep
}

func (c closing) Close() error { c.u.closed++; return nil }

// client returns a client, and what ends the server and waits for all that it does.
func (u *upkeep) client(t *testing.T) (c *api.Client, stop func()) {
	t.Helper()
	h := open(t, func(o *api.Options) { o.Doctor, o.Backup = u.doctor, u.backup })
	c, err := api.NewClient(h.server.URL, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, h.server.Close
}

// Half a backup must not look like a whole one, and only a whole one counts.
func TestABackupIsSentWholeOrNotAtAll(t *testing.T) {
	u := &upkeep{}
	c, _ := u.client(t)
	b, err := c.Backup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(b.Content)
	if digest := sha256.Sum256(text); err != nil || int64(len(text)) != b.Bytes || !bytes.Equal(digest[:], b.SHA256) {
		t.Errorf("%q, %v, want what %d bytes hash to", text, err, b.Bytes)
	}
	_ = b.Content.Close()
	for name, broken := range map[string]*upkeep{
		"too short": {content: strings.NewReader("SQLite"), bytes: 400 << 10},
		"breaks":    {content: io.MultiReader(bytes.NewReader(make([]byte, 300<<10)), iotest.ErrReader(errors.New("disk"))), bytes: 400 << 10},
	} {
		c, stop := broken.client(t)
		b, err := c.Backup(t.Context())
		if err == nil {
			_, err = io.ReadAll(b.Content)
			_ = b.Content.Close()
		}
		stop()
		if err == nil || broken.sent > 0 || broken.closed != 1 {
			t.Errorf("%s: %v, sent %d, closed %d", name, err, broken.sent, broken.closed)
		}
	}
}

// What is wrong with a copy is for the service's log.
func TestABackupThatCannotBeMadeSaysSoAndNoMore(t *testing.T) {
	c, _ := (&upkeep{fail: errors.New("canary of row 7")}).client(t)
	_, err := c.Backup(t.Context())
	if p, ok := errors.AsType[*api.Problem](err); !ok || p.Status != http.StatusServiceUnavailable || p.Code != "not_made" || strings.Contains(p.Error(), "canary") {
		t.Errorf("%v", err)
	}
}

func TestOneCheckupOrBackupAtATime(t *testing.T) {
	u := &upkeep{wait: make(chan struct{}), begun: make(chan struct{})}
	c, _ := u.client(t)
	done := make(chan error, 1)
	go func() {
		_, err := c.Doctor(t.Context())
		done <- err
	}()
	<-u.begun
	_, err := c.Backup(t.Context())
	if p, ok := errors.AsType[*api.Problem](err); !ok || p.Status != http.StatusServiceUnavailable || p.Code != "busy" || p.RetryAfter == 0 {
		t.Errorf("a second one: %v", err)
	}
	close(u.wait)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if b, err := c.Backup(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	} else {
		_ = b.Content.Close()
	}
}
