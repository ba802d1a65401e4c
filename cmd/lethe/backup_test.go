package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"lethe/audit/audittest"
	"lethe/audit/durable"
	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/jobs/ledger"
	"lethe/store"
	"lethe/store/mem0"
)

// lethe runs one command line.
func lethe(t testing.TB, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, talk bytes.Buffer
	status = run(context.WithoutCancel(t.Context()), args, strings.NewReader(""), &out, &talk)
	return status, out.String(), talk.String()
}

// backedUp makes a backup of a data folder, and returns its path.
func backedUp(t testing.TB, data string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ledger.backup")
	if status, _, talk := lethe(t, "backup", file, "--data", data); status != 0 {
		t.Fatalf("status %d: %s", status, talk)
	}
	return file
}

func people(names ...string) (list []mem0.Memory) {
	for _, name := range names {
		list = append(list, mem0.Memory{ID: "m-" + name, UserID: name, Text: "canary-" + name + " likes tea"})
	}
	return list
}

// The copy is of one moment, although requests are taken in and carried out while it is
// made; it holds no name and no key.
func TestABackupIsMadeWhileTheServiceWrites(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	names := []string{"canary-alice", "canary-bob", "canary-carol", "canary-dora"}
	r := start(t, configFor(data, queueEmbedded, configured("assistant", newMem0(t, filepath.Join(t.TempDir(), "m"), people(names...)...))), nil)
	r.completed(r.forget(names[0]))
	var group sync.WaitGroup
	group.Go(func() {
		for _, name := range names[1:] {
			r.completed(r.forget(name))
		}
	})
	waiting := r.submit(api.Submission{Selector: store.Selector{UserID: "canary-waiting"}, Grace: time.Hour})
	var files []string
	for range 3 {
		files = append(files, backedUp(t, data))
	}
	group.Wait()
	files = append(files, backedUp(t, data))
	var sizes []int64
	for _, file := range files {
		config := Config{Data: data}
		keys, err := config.believedKeys()
		if err != nil {
			t.Fatal(err)
		}
		b, err := examineBackup(t.Context(), file, keys)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, b.Entries)
		info, err := os.Stat(file)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		holdsNoSecret(t, file, data, names, waiting)
	}
	if last := sizes[len(sizes)-1]; last < int64(2*len(names)) || sizes[0] > last {
		t.Errorf("logs of %v entries", sizes)
	}
	if n, ok := lastBackup(data); !ok || n.Entries != sizes[len(sizes)-1] || time.Since(n.At) > patience {
		t.Errorf("noted: %+v, %v", n, ok)
	}
	if text := scraped(t, r); !strings.Contains(text, "\nlethe_backup_last_success_timestamp_seconds 1.") {
		t.Error("the metric is not there")
	}
}

// holdsNoSecret makes sure of what is not in a backup.
func holdsNoSecret(t *testing.T, file, data string, names []string, waiting string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, "canary-waiting", "likes tea") {
		if bytes.Contains(text, []byte(name)) {
			t.Errorf("the backup names %s", name)
		}
	}
	keys := 0
	for path, key := range bytesUnder(t, filepath.Join(data, keysFolder)) {
		if keys++; bytes.Contains(text, key) {
			t.Errorf("the backup holds the key %s", filepath.Base(filepath.Dir(path)))
		}
	}
	secret, err := os.ReadFile(filepath.Join(data, logKeyFile))
	if err != nil || bytes.Contains(text, bytes.TrimSpace(secret)) {
		t.Errorf("the backup holds the log's key, or it cannot be read: %v", err)
	}
	if !exists(filepath.Join(data, keysFolder, "seal", waiting)) || keys < 3 {
		t.Errorf("%d keys were looked for", keys)
	}
}

func scraped(t *testing.T, r *running) string {
	t.Helper()
	_, text := ask(t, http.DefaultClient, "GET", r.s.URL()+"/metrics", "")
	return text
}

// quietLedger makes a data folder that nobody serves.
func quietLedger(t testing.TB) (data string) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	if status, _, talk := lethe(t, "token", "create", "--role", "admin", "--name", "first", "--data", data); status != 0 {
		t.Fatal(talk)
	}
	return data
}

func TestABackupOverwritesNothingThatIsNone(t *testing.T) {
	t.Parallel()
	data, dir := quietLedger(t), t.TempDir()
	file := filepath.Join(dir, "copy")
	made := backedUp(t, data)
	for name, text := range map[string]string{"text": "mine", "database": "SQLite format 3\x00" + strings.Repeat("x", 4096), "empty": ""} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, flags := range [][]string{nil, {"--force"}} {
			if status, _, talk := lethe(t, append([]string{"backup", file, "--data", data}, flags...)...); status != 1 || !strings.Contains(talk, file) {
				t.Errorf("%s %v: status %d: %s", name, flags, status, talk)
			}
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != text {
			t.Errorf("%s: now %.40q, %v", name, got, err)
		}
	}
	for _, bad := range []string{filepath.Join(data, "copy"), filepath.Join(data, keysFolder, "copy"), filepath.Join(data, ledgerFile), filepath.Join(dir, "none", "copy"), "/dev/null"} {
		if status, _, _ := lethe(t, "backup", bad, "--data", data, "--force"); status != 1 {
			t.Errorf("%s: status %d", bad, status)
		}
	}
	if status, _, talk := lethe(t, "backup", made, "--data", data); status != 1 || !strings.Contains(talk, "--force") {
		t.Errorf("an earlier backup, without --force: status %d: %s", status, talk)
	}
	status, out, talk := lethe(t, "backup", made, "--data", data, "--force", "--json")
	var b backup
	if err := json.Unmarshal([]byte(out), &b); status != 0 || err != nil || b.File != made || b.Bytes == 0 || len(b.SHA256) != 64 {
		t.Errorf("an earlier backup, with --force: status %d: %s%s", status, out, talk)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestOfABackupThatFailsNothingIsLeft(t *testing.T) {
	t.Parallel()
	data := quietLedger(t)
	t.Run("given up", func(t *testing.T) {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		err := durable.Fill(filepath.Join(dir, "copy"), false, 0o600, func(tmp string) error {
			cancel()
			return ledger.Backup(ctx, data, tmp, nil)
		})
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		isEmpty(t, dir)
	})
	t.Run("damaged", func(t *testing.T) { // as a disk that lies would do it
		tmp := filepath.Join(t.TempDir(), "copy")
		if err := errors.Join(os.WriteFile(tmp, nil, 0o600), ledger.Backup(t.Context(), data, tmp, nil)); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(tmp, os.O_RDWR, 0)
		if err == nil {
			_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, 16<<10), 8<<10)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		keys, err := (&Config{Data: data}).believedKeys()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := examineBackup(t.Context(), tmp, keys); err == nil {
			t.Error("a damaged copy is found good")
		}
	})
	t.Run("another's key", func(t *testing.T) {
		keys, err := (&Config{Data: quietLedger(t)}).believedKeys()
		if err != nil {
			t.Fatal(err)
		}
		if b, err := examineBackup(t.Context(), backedUp(t, data), keys); err == nil && b.Entries > 0 {
			t.Errorf("a copy of another log is found good: %+v", b)
		}
	})
	t.Run("the disk is full", func(t *testing.T) {
		dir := t.TempDir()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
			t.Skipf("needs root, to mount a small file system: %v", err)
		}
		t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
		if status, _, talk := lethe(t, "backup", filepath.Join(dir, "copy"), "--data", data); status != 1 || !strings.Contains(talk, "full") {
			t.Errorf("status %d: %s", status, talk)
		}
		isEmpty(t, dir)
	})
}

func isEmpty(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if path != dir {
			t.Errorf("left behind: %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// What a service that was killed left of a copy is gone with its next start.
func TestACopyThatAKillLeftBehindIsRemoved(t *testing.T) {
	t.Parallel()
	data := quietLedger(t)
	left := filepath.Join(data, durable.TmpPrefix+"1234")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load("", Overrides{Data: data, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := openService(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if exists(left) {
		t.Error("it is still there")
	}
}

// Somebody between the server and us could change what is downloaded.
func TestADownloadThatIsNotWhatWasSentIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, configFor(filepath.Join(dir, "data"), queueEmbedded, configured("assistant", newMem0(t, filepath.Join(dir, "m")))), nil)
	target, err := url.Parse(r.s.URL())
	if err != nil {
		t.Fatal(err)
	}
	honest := ""
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) },
		ModifyResponse: func(answer *http.Response) error {
			if digest := answer.Header.Get("Repr-Digest"); digest != "" && honest == "" {
				answer.Header.Set("Repr-Digest", "sha-256=:"+strings.Repeat("A", 43)+"=:")
			}
			return nil
		},
	}
	between := httptest.NewServer(proxy)
	t.Cleanup(between.Close)
	file := filepath.Join(dir, "copy")
	if status, _, talk := lethe(t, "backup", file, "--server", between.URL); status != 1 || !strings.Contains(talk, "not what was sent") || exists(file) {
		t.Errorf("another digest: status %d: %s", status, talk)
	}
	honest = "yes"
	if status, _, talk := lethe(t, "backup", file, "--server", between.URL); status != 0 || !exists(file) {
		t.Errorf("an honest proxy: status %d: %s", status, talk)
	}
}

// An admin may download it, and nobody else.
func TestABackupThroughTheServerIsForAnAdmin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	r := start(t, configFor(data, queueEmbedded, configured("assistant", newMem0(t, filepath.Join(dir, "m"), people("alice")...))), nil)
	r.completed(r.forget("alice"))
	file := filepath.Join(dir, "copy")
	for _, role := range []jobs.Role{jobs.RoleAdmin, jobs.RoleAuditor, jobs.RoleApprover, jobs.RoleSubmitter} {
		token := filepath.Join(dir, string(role)+".token")
		status, out, talk := lethe(t, "token", "create", "--role", string(role), "--name", "t", "--data", data)
		if err := os.WriteFile(token, []byte(out), 0o600); err != nil || status != 0 {
			t.Fatal(err, talk)
		}
		status, out, talk = lethe(t, "backup", file+"-"+string(role), "--server", r.s.URL(), "--token-file", token)
		if role != jobs.RoleAdmin {
			if status != 1 || !strings.Contains(talk, "role") || exists(file+"-"+string(role)) {
				t.Errorf("%s: status %d: %s", role, status, talk)
			}
			continue
		}
		keys, err := (&Config{Data: data}).believedKeys()
		if err != nil {
			t.Fatal(err)
		}
		b, err := examineBackup(t.Context(), file+"-admin", keys)
		if status != 0 || err != nil || b.Entries < 2 || !strings.Contains(out, b.SHA256) {
			t.Errorf("status %d: %s%s%v", status, out, talk, err)
		}
	}
	if n, ok := lastBackup(data); !ok || n.Entries == 0 {
		t.Error("the server has not noted it")
	}
	if left, _ := filepath.Glob(filepath.Join(data, durable.TmpPrefix+"*")); len(left) > 0 {
		t.Errorf("left in the data folder: %v", left)
	}
}

func TestALedgerInPostgreSQLIsLeftToItsOwnTools(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := configFor(filepath.Join(dir, "data"), queueEmbedded, configured("assistant", newMem0(t, filepath.Join(dir, "m"))))
	c.Ledger = Secret(audittest.Schema(t))
	path := writeConfig(t, "ledger_file: dsn\n")
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "dsn"), []byte(c.Ledger), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, c, nil)
	for _, where := range [][]string{{"--config", path}, {"--server", r.s.URL()}} {
		status, _, talk := lethe(t, append([]string{"backup", filepath.Join(dir, "copy")}, where...)...)
		if status != 1 || !strings.Contains(talk, "pg_dump") || !strings.Contains(talk, "deploy/OPERATIONS.md") || exists(filepath.Join(dir, "copy")) {
			t.Errorf("%s: status %d: %s", where[0], status, talk)
		}
	}
}
