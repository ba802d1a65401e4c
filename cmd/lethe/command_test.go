package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
)

func TestEveryHelpEndsInItsExitStatuses(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		var out bytes.Buffer
		status := run(t.Context(), append(strings.Fields(cmd.CommandPath())[1:], "--help"), nil, &out, io.Discard)
		if i := strings.LastIndex(out.String(), "\nExit status:"); status != 0 || i < 0 || strings.Count(out.String()[i+1:], "\n\n") > 0 {
			t.Errorf("%s --help: status %d, does not end in its exit statuses:\n%s", cmd.CommandPath(), status, &out)
		}
		for _, below := range cmd.Commands() {
			walk(below)
		}
	}
	walk(newRoot(&console{stdin: nil, stdout: io.Discard, stderr: io.Discard}))
}

func TestMetadataValuesHaveTheTypeTheyAreWrittenWith(t *testing.T) {
	number := func(s string) store.Value {
		v, err := store.NumberValue(s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for text, want := range map[string]store.Value{
		"3": number("3"), "3.0": number("3"), "-1e2": number("-100"),
		"true": store.BoolValue(true), "false": store.BoolValue(false),
		`"3"`: store.StringValue("3"), `"a\"b"`: store.StringValue(`a"b`),
		"gold": store.StringValue("gold"), "True": store.StringValue("True"), "null": store.StringValue("null"),
		"03": store.StringValue("03"), "0x1": store.StringValue("0x1"), " 3": store.StringValue(" 3"), "3\n": store.StringValue("3\n"),
		"1_0": store.StringValue("1_0"), "NaN": store.StringValue("NaN"), `"a`: store.StringValue(`"a`), `"a" b`: store.StringValue(`"a" b`),
		"[1]": store.StringValue("[1]"), "{}": store.StringValue("{}"), "a=b": store.StringValue("a=b"),
	} {
		if got, err := metadataValue(text); err != nil || got != want {
			t.Errorf("metadataValue(%q) = %#v, %v, want %#v", text, got, err, want)
		}
	}
	if _, err := metadataValue("1e999"); err == nil {
		t.Error("a number that no float64 can hold is accepted")
	}
}

func TestIDsAreOneALine(t *testing.T) {
	read := func(text string) (ids []string, err error) {
		err = eachID(strings.NewReader(text), func(id string) bool { ids = append(ids, id); return true })
		return ids, err
	}
	ids, err := read("\ufeffa\r\n\nb c\n\n d")
	if err != nil || fmt.Sprintf("%q", ids) != `["a" "b c" " d"]` {
		t.Errorf("ids = %q, %v", ids, err)
	}
	for text, want := range map[string]string{
		"":                               "has no IDs",
		"\n\n":                           "has no IDs",
		"a\n*\n":                         "line 2 must not be a wildcard",
		"a\n \n":                         "line 2 must not be empty or blank",
		"a\n" + strings.Repeat("x", 600): "line 2 must be at most 512 bytes",
		strings.Repeat("x", 5000):        "line 1 is too long",
		"a\x00b":                         "line 1 must not have control",
	} {
		if _, err := read(text); err == nil || !strings.Contains(err.Error(), want) || exitStatus(err) != exitUsage {
			t.Errorf("%.20q: %v, want a usage error with %q", text, err, want)
		}
	}
}

// A flaky server accepts what it is sent, but its answer is lost at first.
func flaky(t *testing.T, losses int) (url string, seen func() (keys, bodies map[string]int)) {
	keys, bodies := map[string]int{}, map[string]int{}
	calls := 0
	var mu sync.Mutex // an aborted answer reaches the client before its handler is done
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost {
			_, _ = io.WriteString(w, `{"id":"1","status":"completed","stores":[]}`)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		keys[r.Header.Get("Idempotency-Key")]++
		bodies[fmt.Sprintf("%x", sha256.Sum256(body))]++
		if calls++; calls <= losses {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"id":"1","status":"received","stores":[]}`)
	}))
	t.Cleanup(server.Close)
	return server.URL, func() (map[string]int, map[string]int) {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(keys), maps.Clone(bodies)
	}
}

func TestLostAnswerIsAskedForAgainUnderOneKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ids")
	if err := os.WriteFile(file, []byte("a\nb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, who := range [][]string{{"--user-id", "alice", "--metadata", "b=1", "--metadata", "a=2"}, {"--ids-file", file}} {
		url, seen := flaky(t, 2)
		var out, talk bytes.Buffer
		status := run(t.Context(), append([]string{"submit", "--wait", "--server", url}, who...), nil, &out, &talk)
		keys, bodies := seen()
		if status != exitDone || out.String() != "1\n" {
			t.Errorf("%s: status %d, answer %q, talk %q", who[0], status, &out, &talk)
		}
		if len(keys) != 1 || keys[""] != 0 || len(bodies) != 1 {
			t.Errorf("%s: sent keys %v and bodies %v, want one of each three times", who[0], keys, bodies)
		}
	}
}

func TestLostAnswerIsNotAskedForAgainIfThatIsNotSafe(t *testing.T) {
	for name, args := range map[string][]string{
		"no key":       {"submit", "--user-id", "alice"},
		"IDs on stdin": {"submit", "--wait", "--ids-file", "-"},
	} {
		url, seen := flaky(t, 1)
		var talk bytes.Buffer
		status := run(context.Background(), append(args, "--server", url), strings.NewReader("a\n"), io.Discard, &talk)
		if keys, _ := seen(); status != exitError || len(keys) != 1 {
			t.Errorf("%s: status %d, keys %v, talk %q", name, status, keys, &talk)
		}
		if name != "no key" && !strings.Contains(talk.String(), "repeat it with --idempotency-key") {
			t.Errorf("%s: does not say how to go on: %q", name, &talk)
		}
	}
}

func TestStatusSaysWhatARequestNeeds(t *testing.T) {
	for _, tt := range []struct {
		http   int
		body   string
		status int
	}{
		{200, `{"id":"1","status":"erasing","stores":[]}`, exitDone},
		{200, `{"id":"1","status":"` + string(jobs.Held) + `","stores":[]}`, exitHeld},
		{200, `{"id":"1","status":"` + string(jobs.AwaitingApproval) + `","stores":[]}`, exitHeld},
		{404, `{}`, exitNotFound},
		{401, `{}`, exitError},
		{422, `{}`, exitUsage},
		{503, `{}`, exitError},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(tt.http)
			_, _ = io.WriteString(w, tt.body)
		}))
		if got := run(t.Context(), []string{"status", "1", "--server", server.URL}, nil, io.Discard, io.Discard); got != tt.status {
			t.Errorf("%d %s: exit status %d, want %d", tt.http, tt.body, got, tt.status)
		}
		server.Close()
	}
}

func TestPlainProgressIsALineAChange(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out)
	for _, r := range []api.Request{
		{Status: jobs.Planning},
		{Status: jobs.Planning},
		{Status: jobs.Erasing, Stores: []api.StoreProgress{{Found: 10, Erased: 3}}},
		{Status: jobs.Erasing, Stores: []api.StoreProgress{{Found: 10, Erased: 4}}},
		{Status: jobs.Completed, Stores: []api.StoreProgress{{Found: 10, Erased: 9, Held: 1}}},
	} {
		p.show(r)
	}
	p.stop()
	if want := "planning\nerasing, 3 of 10 IDs\ncompleted, 10 of 10 IDs\n"; out.String() != want {
		t.Errorf("progress = %q, want %q", &out, want)
	}
}

func TestCertificateFileIsWholeOrNotThere(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "c")
	for _, text := range []string{"first", "second"} {
		if err := writeFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	info, _ := os.Stat(file)
	left, _ := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || string(got) != "second" || info.Mode().Perm() != 0o644 || len(left) > 0 {
		t.Errorf("file = %q, mode %v, %v; left behind %v", got, info.Mode(), err, left)
	}
	if err := writeFile(filepath.Join(dir, "none", "c"), nil, 0o600); err == nil {
		t.Error("a folder that is not there is no error")
	}
}

// Whoever has root must not lose /dev/null to a certificate.
func TestDevicesAndPipesAreWrittenToAndNotReplaced(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0) // so that nobody waits for anybody
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := writeFile(name, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(name)
	if err != nil || info.Mode().Type() != os.ModeNamedPipe {
		t.Fatalf("%v, %v: the pipe is gone", info, err)
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(f, got); err != nil || string(got) != "text" {
		t.Errorf("%q, %v", got, err)
	}
}
