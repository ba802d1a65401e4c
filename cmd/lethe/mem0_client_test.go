package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	neturl "net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"lethe/jobs"
	"lethe/jobs/api/apitest"
	mem0door "lethe/jobs/api/mem0"
	"lethe/store/mem0"
)

// node is a folder with Mem0's client and the script that drives it.
func node(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{".npmrc", "package.json", "package-lock.json", "client.mjs"} {
		if err := os.WriteFile(filepath.Join(dir, name), readFile(t, filepath.Join("testdata/mem0ai", name)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := exec.LookPath("npm"); err != nil {
		t.Fatal("npm is missing: .ci/need npm installs it, or says how")
	}
	install := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund")
	install.Dir = dir
	if said, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, said)
	}
	return dir
}

// A mem0World is what the script is told of; see testdata/mem0ai/client.mjs.
type mem0World struct {
	One      string         `json:"one"`
	Linked   string         `json:"linked"`
	Batch    []string       `json:"batch"`
	User     string         `json:"user"`
	Metadata map[string]any `json:"metadata"`
	Entity   string         `json:"entity"`
}

// newMem0World adds to files that the real Mem0 has written the memories of a
// person with a thousand of them, each of which the other places know as well, and
// those of another that must stay.
func newMem0World(t *testing.T, c mem0.SQLiteConfig) mem0World {
	t.Helper()
	w := mem0World{
		One: "b5499845-d7dc-4348-9868-65766b998d47", Linked: "828f3a48-d16a-4c5b-9d9e-1b113a25d25a", // alice's
		User: "bob", Metadata: map[string]any{"channel": "email", "tier": 3.0}, Entity: "carol",
	}
	memories := []mem0.Memory{
		{UserID: "erin", Text: "stays, for its tier is text", Metadata: map[string]any{"channel": "email", "tier": "3"}},
		{UserID: "erin", Text: "stays, for it is another channel", Metadata: map[string]any{"channel": "chat", "tier": 3}},
		{UserID: "Bob", Text: "stays, for this is another Bob"},
	}
	for i := range 1000 {
		m := mem0.Memory{ID: uuid.NewString(), UserID: "dave", Text: fmt.Sprintf("dave likes thing %d", i)}
		if i%20 == 0 {
			m.Entities = []string{fmt.Sprintf("thing %d", i)}
		}
		memories = append(memories, m)
		w.Batch = append(w.Batch, m.ID)
	}
	write(t, c, memories...)
	return w
}

// takes reports whether the script erases a memory.
func (w mem0World) takes(id string, payload map[string]any) bool {
	switch payload["user_id"] {
	case "dave", w.User, w.Entity:
		return true
	}
	for key, value := range w.Metadata {
		if fmt.Sprintf("%T %v", payload[key], payload[key]) != fmt.Sprintf("%T %v", value, value) {
			return id == w.One || id == w.Linked
		}
	}
	return true
}

// memoriesOf reads the payloads of an installation's memories, by ID.
func memoriesOf(t *testing.T, c mem0.SQLiteConfig) map[string]map[string]any {
	t.Helper()
	db := sqlx.MustOpen("sqlite3", "file:"+c.Vectors+"?mode=ro&_busy_timeout=10000")
	defer db.Close()
	var rows []struct{ ID, Payload string }
	if err := db.Select(&rows, `SELECT id, payload FROM vectors`); err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]any{}
	for _, r := range rows {
		payload := map[string]any{}
		if err := json.Unmarshal([]byte(r.Payload), &payload); err != nil {
			t.Fatal(err)
		}
		all[r.ID] = payload
	}
	return all
}

// TestMem0sOwnClientErasesThroughLethe runs the real client of the Mem0 Platform,
// unchanged but for its host, against the real service on files that the real Mem0
// has written, and looks for what it erased in every place and every certificate.
func TestMem0sOwnClientErasesThroughLethe(t *testing.T) {
	t.Parallel()
	dir := node(t)
	files := realMem0(t, filepath.Join(t.TempDir(), "m"))
	world := newMem0World(t, files)
	data := filepath.Join(t.TempDir(), "data")
	token, secret := newToken(t, data, jobs.RoleAdmin)
	c := configFor(data, queueEmbedded, configured("assistant", files))
	c.LogOrigin = "" // the first token has made the log's key
	r := startLogging(t, c, nil, slog.New(slog.DiscardHandler))
	before, rows := memoriesOf(t, files), rowsOf(t, files)

	text, err := json.Marshal(world)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "world.json"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	between, seen := documented(t, r)
	script := exec.CommandContext(t.Context(), "node", "client.mjs", "world.json")
	script.Dir = dir
	script.Env = append(os.Environ(), "LETHE_MEM0="+between+mem0door.Prefix, "LETHE_TOKEN_FILE="+token, "HOME="+dir)
	said, err := script.CombinedOutput()
	t.Logf("\n%s", said)
	if err != nil {
		t.Fatalf("client.mjs: %v", err)
	}
	_, requests, ok := strings.Cut(string(said), "\nrequests ")
	if ids := strings.Fields(requests); !ok || len(ids) != 6 {
		t.Fatalf("filed were %q", requests)
	} else {
		world.certified(t, r, secret, ids)
	}
	asPython(t, between, secret)
	for _, operation := range seen.Operations() {
		if strings.Contains(operation, " "+mem0door.Prefix+"/") && seen.Calls(operation) == 0 {
			t.Errorf("nothing here calls %s", operation)
		}
	}
	r.stop()
	world.gone(t, files, before, rows)
	if left := telemetryOf(dir); len(left) > 0 {
		t.Errorf("the client keeps what its telemetry needs: %v", left)
	}
}

// gone compares the memories before and after, and looks in every row of every
// table for what was erased.
func (w mem0World) gone(t *testing.T, files mem0.SQLiteConfig, before map[string]map[string]any, rows map[string]string) {
	t.Helper()
	after, left := memoriesOf(t, files), rowsOf(t, files)
	erased := 0
	for id, payload := range before {
		_, there := after[id]
		switch taken := w.takes(id, payload); {
		case taken && there:
			t.Errorf("still there: memory %s", id)
		case !taken && !cmp.Equal(payload, after[id]):
			t.Errorf("gone or changed, and nobody asked for it: memory %s", id)
		case taken:
			erased++
			for key, row := range left {
				if strings.Contains(key, id) || strings.Contains(row, id) {
					t.Errorf("memory %s is still named in: %s", id, key)
				}
			}
		}
	}
	for key, row := range left {
		for _, who := range []string{"dave", w.User, w.Entity} {
			if strings.Contains(row, fmt.Sprintf(`"user_id\":\"%s\"`, who)) || strings.Contains(row, "user_id="+who) {
				t.Errorf("%s is still named in: %s", who, key)
			}
		}
	}
	counts := func(rows map[string]string) map[string]int {
		n := map[string]int{}
		for key := range rows {
			n[strings.Join(strings.Fields(key)[:2], " ")]++
		}
		return n
	}
	t.Logf("%d of %d memories erased\nrows before %v\nrows after  %v", erased, len(before), counts(rows), counts(left))
	for _, place := range []string{"vector_store.db vectors", "vector_store_entities.db vectors", "memory.db memory_history", "memory.db messages"} {
		if counts(left)[place] >= counts(rows)[place] || counts(left)[place] == 0 {
			t.Errorf("%s: %d rows before, %d after", place, counts(rows)[place], counts(left)[place])
		}
	}
}

// certified has lethe verify check the certificate of each request.
func (w mem0World) certified(t *testing.T, r *running, token string, ids []string) {
	t.Helper()
	r.client = r.asks(token)
	key, err := r.client.Key(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, id := range ids {
		done := r.completed(id)
		request, err := r.client.Request(t.Context(), id)
		if err != nil || request.Origin != jobs.OriginMem0 {
			t.Errorf("%s: origin %q, %v", id, request.Origin, err)
		}
		path := filepath.Join(dir, id)
		text, err := r.client.Certificate(t.Context(), id)
		if err == nil {
			err = os.WriteFile(path, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		var out, talk bytes.Buffer
		if code := run(t.Context(), []string{"verify", path, "--key", key}, nil, &out, &talk); code != 0 {
			t.Errorf("lethe verify: %d: %s%s", code, &out, &talk)
		}
		t.Logf("certificate of %s: %s", id, said(done.Stores[0]))
	}
}

// documented puts a proxy in front of a service that compares whatever it answers
// with the document that it serves.
func documented(t *testing.T, r *running) (url string, d *apitest.Document) {
	t.Helper()
	d = servedDocument(t, r)
	target, err := neturl.Parse(r.s.URL())
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) }}
	front := httptest.NewServer(d.Watch(proxy, func(err error) { t.Errorf("not as documented: %v", err) }))
	t.Cleanup(front.Close)
	return front.URL, d
}

// asPython makes calls as Mem0's Python client writes them (mem0/client/main.py, by
// way of httpx): with what it adds to them, and where it does not write what it is
// given. None of them may erase anything that is left.
func asPython(t *testing.T, url, token string) {
	t.Helper()
	for _, tt := range []struct {
		name, call, body string
		status           int
		says             string
	}{
		{"the key is tried, with an account", "GET /v1/ping/?org_id=o&project_id=p", "", 200, `"user_email":"lethe"`},
		{"the key is tried", "GET /v1/ping/", "", 200, `"user_email":"lethe"`},
		{"delete(), with the account that older ones add", "DELETE /v1/memories/" + uuid.Nil.String() + "/?org_id=lethe&project_id=lethe", "", 404, "Memory not found!"},
		{"delete_all(user_id=…, metadata={…}), which is no JSON", "DELETE /v1/memories/?user_id=alice&metadata=%7B%27channel%27%3A%20%27chat%27%7D", "", 400, "json.dumps"},
		{"delete_all(), with the account alone", "DELETE /v1/memories/?org_id=lethe&project_id=lethe", "", 400, "At least one filter"},
		{"delete_all(user_id=None), which is left out", "DELETE /v1/memories/", "", 400, "At least one filter"},
		{"delete_all(user_id=[…]), which is given twice", "DELETE /v1/memories/?user_id=a&user_id=b", "", 400, "once"},
		{"batch_delete([]) ", "DELETE /v1/batch/", `{"memories":[]}`, 400, "one memory at least"},
		{"batch_delete([ID]), which has to be dicts", "DELETE /v1/batch/", `{"memories":["` + uuid.NewString() + `"]}`, 400, "memories"},
		{"delete_users() and reset(), which list them first", "GET /v1/entities/", "", 405, "only deletes"},
		{"delete_users(user_id='a/b'), which is not escaped", "DELETE /v2/entities/user/a/b/", "", 405, "only deletes"},
		{"delete_users(user_id='a?b'), which is not escaped", "DELETE /v2/entities/user/a?b/", "", 400, "not known"},
		{"delete_users(user_id='alice#2'), whose end httpx keeps to itself", "DELETE /v2/entities/user/alice", "", 400, "cut short"},
		{"the self-hosted server's: one", "DELETE /memories/" + uuid.Nil.String(), "", 404, "not found"},
		{"the self-hosted server's: by filter", "DELETE /memories?user_id=nobody", "", 200, "All relevant memories deleted"},
		{"the self-hosted server's: no filter", "DELETE /memories", "", 400, "At least one identifier"},
		{"the self-hosted server's: an entity", "DELETE /entities/user/nobody", "", 200, "Entity deleted"},
		{"the self-hosted server's: reset", "POST /reset", "", 400, "never erases everything"},
	} {
		method, target, _ := strings.Cut(tt.call, " ")
		ask, err := http.NewRequestWithContext(t.Context(), method, url+mem0door.Prefix+target, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		ask.Header.Set("Authorization", "Token "+token)
		ask.Header.Set("User-Agent", "python-httpx/0.28.1")
		if tt.body != "" {
			ask.Header.Set("Content-Type", "application/json")
		}
		answer, err := http.DefaultClient.Do(ask)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		if err := errors.Join(err, answer.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode != tt.status || !strings.Contains(string(text), tt.says) {
			t.Errorf("%s: %d %s, want %d %s", tt.name, answer.StatusCode, text, tt.status, tt.says)
		}
		t.Logf("%s: %d %s", tt.name, answer.StatusCode, text)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// telemetryOf returns the files that the client has left in its home for the sake
// of its telemetry.
func telemetryOf(home string) (left []string) {
	_ = filepath.WalkDir(filepath.Join(home, ".mem0"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			left = append(left, path)
		}
		return nil
	})
	return left
}
