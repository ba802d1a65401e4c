package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/audit/audittest"
	"lethe/jobs/queue"
)

// strong are surroundings in which nothing is weak.
func strong(t *testing.T) *surroundings {
	t.Helper()
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(filepath.Join(data, keysFolder), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"data/log.key", "secret", "dsn", "tls.key"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("postgres://lethe@db.example/x?sslmode=verify-full"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &surroundings{
		config: Config{
			Listen: "0.0.0.0:8443", Data: data, TLS: &TLSConfig{Cert: "c", Key: filepath.Join(dir, "tls.key")}, Ledger: "postgres://lethe:hunter2@db.example/lethe?sslmode=verify-full",
			Queue: "rediss://lethe:hunter2@redis.example", Anchors: []AnchorConfig{{File: "/elsewhere/head"}},
			Webhooks: &WebhooksConfig{SecretFile: filepath.Join(dir, "secret")},
			Stores:   []StoreConfig{{Name: "app", Kind: KindTables, Driver: driverPostgres, DSNFile: filepath.Join(dir, "dsn")}},
		},
		tokens: func(context.Context) (int, error) { return 1, nil },
		redis: func(context.Context) (queue.Facts, error) {
			return queue.Facts{TLS: true, Password: true, User: "lethe", AppendLog: "1", Eviction: "noeviction"}, nil
		},
		databases: func(context.Context) []database {
			return []database{{name: "the ledger", secure: true, asked: true, skew: time.Second}}
		},
		uid: 1000,
	}
}

func facts(f queue.Facts) func(*surroundings) {
	return func(s *surroundings) { s.redis = func(context.Context) (queue.Facts, error) { return f, nil } }
}

func oneDatabase(d database) func(*surroundings) {
	return func(s *surroundings) { s.databases = func(context.Context) []database { return []database{d} } }
}

func TestEachWeaknessIsFoundAndNothingElse(t *testing.T) {
	for name, l := range strong(t).weaknesses(t.Context()) {
		if len(l) > 0 {
			t.Errorf("strong: %s: %v", name, l)
		}
	}
	chmod := func(mode os.FileMode, path func(*surroundings) string) func(*surroundings) {
		return func(s *surroundings) {
			if err := os.Chmod(path(s), mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	seen := map[string]bool{}
	for _, tt := range []struct {
		check string // "" for none
		do    func(*surroundings)
	}{
		{"open", func(s *surroundings) { s.tokens = func(context.Context) (int, error) { return 0, nil } }},
		{"", func(s *surroundings) {
			s.tokens = func(context.Context) (int, error) { return 0, nil }
			s.config.Roles = Roles{roleWorker}
		}},
		{"listener_tls", func(s *surroundings) { s.config.TLS = &TLSConfig{Off: tlsBehindProxy} }},
		{"", func(s *surroundings) { s.config.TLS, s.config.Listen = nil, "127.0.0.1:8080" }},
		{"redis_password", facts(queue.Facts{TLS: true, AppendLog: "1"})},
		{"redis_password", facts(queue.Facts{TLS: true, Password: true, AppendLog: "1"})},
		{"redis_password", facts(queue.Facts{TLS: true, Password: true, User: "default", AppendLog: "1"})},
		{"", facts(queue.Facts{Loopback: true, AppendLog: "1"})},
		{"", facts(queue.Facts{Embedded: true})},
		{"redis_tls", facts(queue.Facts{Password: true, User: "lethe", AppendLog: "1"})},
		{"redis_durability", facts(queue.Facts{Loopback: true, AppendLog: "0"})},
		{"redis_durability", facts(queue.Facts{Loopback: true, AppendLog: "1", Eviction: "allkeys-lru"})},
		{"redis_durability", facts(queue.Facts{Loopback: true, Refused: true})},
		{"postgres_tls", oneDatabase(database{name: "the ledger", asked: true})},
		{"", oneDatabase(database{name: "the ledger", loopback: true})},
		{"postgres_role", oneDatabase(database{name: "store app", secure: true, asked: true, super: true})},
		{"clock", oneDatabase(database{name: "store app", secure: true, asked: true, skew: 3 * time.Second})},
		{"key_files", chmod(0o644, func(s *surroundings) string { return filepath.Join(s.config.Data, "log.key") })},
		{"key_files", chmod(0o644, func(s *surroundings) string { return s.config.Webhooks.SecretFile })},
		{"key_files", chmod(0o620, func(s *surroundings) string { return s.config.Stores[0].DSNFile })},
		{"key_files", chmod(0o604, func(s *surroundings) string { return s.config.TLS.Key })},
		{"", chmod(0o640, func(s *surroundings) string { return s.config.TLS.Key })},
		{"data_folder", chmod(0o755, func(s *surroundings) string { return s.config.Data })},
		{"log_outside", func(s *surroundings) { s.config.Anchors = nil }},
		{"", func(s *surroundings) { s.config.Anchors, s.config.Witnesses = nil, "policy" }},
		{"core_dumps", func(s *surroundings) { s.coreLimit = 1 }},
		{"core_dumps", func(s *surroundings) { s.traceback = "crash" }},
		{"root", func(s *surroundings) { s.uid = 0 }},
	} {
		s := strong(t)
		tt.do(s)
		seen[tt.check] = true
		for name, l := range s.weaknesses(t.Context()) {
			if want := name == tt.check; (len(l) == 1) != want || len(l) > 1 {
				t.Errorf("%q: %s: %v", tt.check, name, l)
			}
			for _, w := range l {
				if w.What == "" || w.Fix == "" || strings.Contains(w.What+w.Fix, "hunter") {
					t.Errorf("%s: %+v", name, w)
				}
			}
		}
	}
	for _, l := range looks() {
		if !seen[l.name] {
			t.Errorf("%s is not tested", l.name)
		}
	}
}

func TestWhatAnAddressSaysOfADatabase(t *testing.T) {
	for dsn, want := range map[string][2]bool{ // loopback, secure
		"postgres://u:hunter2@db.example/x":                         {false, false}, // prefer, the default
		"postgres://u:hunter2@db.example/x?sslmode=disable":         {false, false},
		"postgres://u:hunter2@db.example/x?sslmode=allow":           {false, false},
		"postgres://u:hunter2@db.example/x?sslmode=require":         {false, false}, // with anybody
		"postgres://u:hunter2@db.example/x?sslmode=verify-ca":       {false, true},
		"postgres://u:hunter2@db.example/x?sslmode=verify-full":     {false, true},
		"postgres://u:hunter2@127.0.0.1/x?sslmode=disable":          {true, false},
		"postgres://u:hunter2@localhost/x?sslmode=disable":          {true, false},
		"postgres://u:hunter2@/x?host=/var/run/postgresql":          {true, false},
		"postgres://u:hunter2@[::1]:5432/x?sslmode=disable":         {true, false},
		"postgres://u:hunter2@localhost.example/x?sslmode=disable":  {false, false},
		"postgres://u:hunter2@127.0.0.1.example/x?sslmode=disable":  {false, false},
		"postgresql://u:hunter2@10.0.0.1/lethe?sslmode=verify-full": {false, true},
	} {
		all := databasesOf(Config{Ledger: Secret(dsn)})
		if len(all) != 1 || all[0].loopback != want[0] || all[0].secure != want[1] {
			t.Errorf("%s: %+v, want %v", dsn, all, want)
		}
	}
}

func TestADatabaseIsAskedWhoItsUserIsAndWhatTimeItIs(t *testing.T) {
	server := audittest.Start(t)
	c := Config{Ledger: Secret(server.DSN("lethe", "postgres"))}
	all := askDatabases(t.Context(), c)
	if len(all) != 1 || !all[0].asked || !all[0].super || all[0].skew > clockLimit || !all[0].loopback {
		t.Errorf("asked as the superuser: %+v", all)
	}
}

// The self-check speaks once, at the start, in the log and in a metric, and keeps
// nothing from starting.
func TestTheStartSaysWhatIsWeak(t *testing.T) {
	var logs bytes.Buffer
	c := configFor(t.TempDir(), queueEmbedded, configured("assistant", newMem0(t, t.TempDir())))
	s, err := openService(t.Context(), c, slog.New(slog.NewJSONHandler(&logs, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, want := range []string{`"check":"open"`, `"check":"log_outside"`, `"fix":"give anchors`} {
		if strings.Count(logs.String(), want) != 1 {
			t.Errorf("%s stands %d times in %s", want, strings.Count(logs.String(), want), logs.String())
		}
	}
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var checks []string
	for _, f := range families {
		if f.GetName() != "lethe_weaknesses" {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetGauge().GetValue() > 0 {
				checks = append(checks, m.GetLabel()[0].GetValue())
			}
		}
	}
	if !slices.Contains(checks, "open") || !slices.Contains(checks, "log_outside") || slices.Contains(checks, "redis_tls") {
		t.Errorf("the metric names %v", checks)
	}
}
