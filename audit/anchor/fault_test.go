package anchor_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lethe/audit"
	"lethe/audit/anchor"
)

// Whatever a server answers, a fault is never "nothing was ever kept", and no
// error tells a secret.
func TestAServerThatGoesWrongIsAnError(t *testing.T) {
	answer := func(status int, body string, header ...string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			w.Write([]byte(body))
		}
	}
	for kind, open := range map[string]func(t *testing.T) (*keeper, audit.Anchor){
		"HTTP": func(t *testing.T) (*keeper, audit.Anchor) {
			k, url := httpKeeper(t)
			return k, newHTTP(t, anchor.HTTPOptions{Put: url + "/" + canary, TokenFile: file(t, "token", canary)})
		},
		"S3": func(t *testing.T) (*keeper, audit.Anchor) {
			k, url := s3Keeper(t)
			return k, newS3(t, s3Options(t, url))
		},
	} {
		for name, fault := range map[string]struct {
			do       func(http.ResponseWriter)
			readOnly bool // only a Load minds
		}{
			"out of order":    {answer(500, canary), false},
			"busy":            {answer(503, canary), false},
			"forbidden":       {answer(403, canary), false},
			"an odd code":     {answer(403, "<Error><Code>"+canary+"</Code></Error>"), false},
			"a long code":     {answer(403, "<Error><Code>canary"+strings.Repeat("x", 100)+"</Code></Error>"), false},
			"gone":            {answer(410, canary), false},
			"a redirect":      {answer(302, "", "Location", "/elsewhere"), false},
			"a redirect, 307": {answer(307, "", "Location", "/elsewhere"), false},
			"partial content": {answer(206, string(head(1))), false},
			"no content":      {answer(204, ""), true},
			"cut":             {answer(200, string(head(1))[:40], "Content-Length", "500"), true},
			"cut at a line":   {answer(200, string(head(1)), "Content-Length", "500"), true},
			"too large":       {answer(200, strings.Repeat(string(head(1)), 1000)), true},
			"hung up":         {func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, false},
			"accepted":        {answer(202, ""), false},
		} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				k, a := open(t)
				if err := a.Store(t.Context(), head(1)); err != nil {
					t.Fatal(err)
				}
				k.setFault(fault.do)
				asked := k.requests()
				got, err := a.Load(t.Context())
				if err == nil {
					t.Errorf("Load: %q and no error", got)
				}
				serr := a.Store(t.Context(), head(2))
				if serr == nil && !fault.readOnly {
					t.Error("Store: no error")
				}
				if n := k.requests() - asked; n > 4 { // the transport repeats a GET on a connection that broke
					t.Errorf("%d requests for two calls", n)
				}
				wantClean(t, a, err, serr)
				if strings.Contains(fmt.Sprint(err, serr), "canaryx") {
					t.Error("what the server says is repeated at length")
				}
			})
		}
	}
}

func TestAWrongTokenIsAnError(t *testing.T) {
	k, url := httpKeeper(t)
	for name, path := range map[string]string{
		"wrong": file(t, "token", "wrong-"+canary), "empty": file(t, "token", ""), "missing": filepath.Join(t.TempDir(), "none"),
		"two lines": file(t, "token", canary+"\n"+canary), "large": file(t, "token", strings.Repeat(canary, 1000)), "none": "",
	} {
		a := newHTTP(t, anchor.HTTPOptions{Put: url, TokenFile: path})
		_, err := a.Load(t.Context())
		serr := a.Store(t.Context(), head(1))
		if err == nil || serr == nil {
			t.Errorf("%s: %v, %v", name, err, serr)
		}
		wantClean(t, a, err, serr)
	}
	if k.kept != nil || k.requests() != 4 { // with the wrong token, and with none
		t.Errorf("something was kept, or asked for: %d requests", k.requests())
	}
	path := file(t, "token", "old")
	a := newHTTP(t, anchor.HTTPOptions{Put: url, TokenFile: path})
	if err := a.Store(t.Context(), head(1)); err == nil {
		t.Error("an old token was taken")
	}
	if err := os.WriteFile(path, []byte(canary), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.Store(t.Context(), head(1)); err != nil {
		t.Errorf("after the token was changed: %v", err)
	}
}

func TestAHeadIsReadFromAnotherURL(t *testing.T) {
	k, url := httpKeeper(t)
	_, other := httpKeeper(t)
	a := newHTTP(t, anchor.HTTPOptions{Put: url, Get: other, TokenFile: file(t, "token", canary)})
	if err := a.Store(t.Context(), head(1)); err != nil || k.kept == nil {
		t.Fatal(err)
	}
	if got, err := a.Load(t.Context()); got != nil || err != nil {
		t.Errorf("got %q, %v from a URL that has nothing", got, err)
	}
	if want := strings.TrimPrefix(url, "http://"); a.Name() != want {
		t.Errorf("the name is %s, want %s", a.Name(), want)
	}
}

func TestWrongCredentialsAreAnError(t *testing.T) {
	k, url := s3Keeper(t)
	for name, change := range map[string]func(*anchor.S3Options){
		"key ID":     func(o *anchor.S3Options) { o.KeyIDFile = file(t, "id", "OTHER") },
		"secret":     func(o *anchor.S3Options) { o.SecretFile = file(t, "secret", "wrong-"+canary) },
		"no secret":  func(o *anchor.S3Options) { o.SecretFile = filepath.Join(t.TempDir(), "none") },
		"no session": func(o *anchor.S3Options) { o.SessionFile = filepath.Join(t.TempDir(), "none") },
		"region":     func(o *anchor.S3Options) { o.Region = "us-east-1" },
		"clock":      func(o *anchor.S3Options) { o.Now = func() time.Time { return clock().Add(time.Hour) } },
		"no bucket":  func(o *anchor.S3Options) { o.Bucket = "another" },
	} {
		o := s3Options(t, url)
		change(&o)
		a := newS3(t, o)
		got, err := a.Load(t.Context())
		serr := a.Store(t.Context(), head(1))
		if err == nil || serr == nil {
			t.Errorf("%s: %q, %v, %v", name, got, err, serr)
		}
		wantClean(t, a, err, serr)
	}
	if k.kept != nil {
		t.Error("something was kept")
	}
	for _, session := range []string{canary, ""} {
		o := s3Options(t, url)
		if session == "" {
			o.SessionFile = ""
		}
		if err := newS3(t, o).Store(t.Context(), head(1)); err != nil || k.session != session {
			t.Errorf("session token %q: %v, the service was given %q", session, err, k.session)
		}
	}
}

func TestEachHeadIsAVersionThatNobodyCanDelete(t *testing.T) {
	k, url := s3Keeper(t)
	o := s3Options(t, url)
	o.Retain = 90 * 24 * time.Hour
	a := newS3(t, o)
	for n := range 3 {
		if err := a.Store(t.Context(), head(n)); err != nil {
			t.Fatal(err)
		}
	}
	if k.versions != 3 || k.locked != "COMPLIANCE 2027-02-26T12:00:00Z" {
		t.Errorf("%d versions, the newest locked %q", k.versions, k.locked)
	}
	k.kept, k.deleted = nil, true
	if got, err := a.Load(t.Context()); err == nil {
		t.Errorf("an object that was deleted: %q, want an error", got)
	}
}

// What a disk that hangs was told is done when it is back, in order and as it
// was told, and nothing piles up meanwhile.
func TestADiskThatComesBackDoesWhatItWasTold(t *testing.T) {
	a := anchor.NewFile(filepath.Join(t.TempDir(), "head"))
	release := make(chan struct{})
	asked := a.Hang(release)
	told := head(1)
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if err := a.Store(ctx, told); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Store: %v, want the deadline", err)
		}
		cancel()
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("%d goroutines wait for the disk", n)
	}
	clear(told) // who gave up may use it again
	close(release)
	if got, err := a.Load(t.Context()); err != nil || !equal(got, head(1)) {
		t.Errorf("got %q, %v, want what was told", got, err)
	}
}

func TestWhatIsNoFileIsNotWaitedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := anchor.NewFile(path).Load(ctx); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a pipe: %v, want an error at once", err)
	}
}

func TestAFileThatIsLostIsNotNew(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mount", "head")
	a := anchor.NewFile(path)
	check := func(what string, wantErr bool) {
		t.Helper()
		if got, err := a.Load(t.Context()); (err != nil) != wantErr || got != nil {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	check("no folder", true)
	if err := a.Store(t.Context(), head(1)); err == nil {
		t.Error("a folder was made")
	}
	if err := os.WriteFile(filepath.Dir(path), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	check("a file in the folder's place", true)
	os.Remove(filepath.Dir(path))
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	check("a folder", false)
	if err := os.Symlink(filepath.Join(dir, "nowhere"), path); err != nil {
		t.Fatal(err)
	}
	check("a link that leads nowhere", true)
	os.Remove(path)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	check("a folder in the file's place", true)
	os.Remove(path)
	if err := a.Store(t.Context(), head(1)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o644 {
		t.Errorf("mode %v, %v, want 0644", info.Mode(), err)
	}
	if a.Name() != path {
		t.Errorf("the name is %s", a.Name())
	}
}

func TestOptionsThatCannotBeMeantAreRefused(t *testing.T) {
	for _, o := range []anchor.HTTPOptions{
		{},
		{Put: "canary"},
		{Put: "http://user:canary@x.example/"},
		{Put: "ftp://x.example/canary"},
		{Put: "http://[canary"},
		{Put: "http://x.example", Get: "http://user:canary@x.example/"},
		{Put: "http://x.example/#canary"},
	} {
		if _, err := anchor.NewHTTP(o); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	for name, change := range map[string]func(*anchor.S3Options){
		"endpoint":   func(o *anchor.S3Options) { o.Endpoint = "canary" },
		"user":       func(o *anchor.S3Options) { o.Endpoint = "https://user:canary@s3.example" },
		"path":       func(o *anchor.S3Options) { o.Endpoint = "https://s3.example/canary" },
		"query":      func(o *anchor.S3Options) { o.Endpoint = "https://s3.example?canary" },
		"region":     func(o *anchor.S3Options) { o.Region = "canary/" },
		"bucket":     func(o *anchor.S3Options) { o.Bucket = "canary/.." },
		"no key":     func(o *anchor.S3Options) { o.Key = "" },
		"dots":       func(o *anchor.S3Options) { o.Key = "canary/../x" },
		"two slashs": func(o *anchor.S3Options) { o.Key = "canary//x" },
		"space":      func(o *anchor.S3Options) { o.Key = "canary x" },
		"query key":  func(o *anchor.S3Options) { o.Key = "canary?x" },
		"no secret":  func(o *anchor.S3Options) { o.SecretFile = "" },
		"no id":      func(o *anchor.S3Options) { o.KeyIDFile = "" },
		"no clock":   func(o *anchor.S3Options) { o.Now = nil },
		"retain":     func(o *anchor.S3Options) { o.Retain = -1 },
	} {
		o := s3Options(t, "https://s3.example")
		change(&o)
		if _, err := anchor.NewS3(o); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
