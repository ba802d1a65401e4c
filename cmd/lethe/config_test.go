package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lethe/jobs"
)

func writeConfig(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lethe.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigWithoutAFileIsANewcomers(t *testing.T) {
	c, err := Load("", Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Stores) != 1 || !c.Stores[0].Own || !filepath.IsAbs(c.Data) || c.Stores[0].Vectors != filepath.Join(c.Data, "memories", "vector_store.db") {
		t.Errorf("stores = %+v, want the one that lethe keeps itself", c.Stores)
	}
	if c.Listen != "127.0.0.1:8080" || c.Queue.Reveal() != queueEmbedded || time.Duration(c.SubjectKeyRetention) != 720*time.Hour {
		t.Errorf("defaults = %q, %q, %v", c.Listen, c.Queue.Reveal(), time.Duration(c.SubjectKeyRetention))
	}
}

const goodConfig = `# what a privacy team would write
listen: 127.0.0.1:9000
data: state
queue_file: queue-url
subject_key_retention: 10d
log_origin: erasure.example.com/log
log_key_agent: {socket: agent.sock, key: log-2026}
stores:
  - {name: assistant, kind: mem0-sqlite, vectors: v.db, entities: none, history: /h/memory.db, purge: "22:30-04:00", backups_until: 30d, replicas_until: 90m}
  - {name: second, kind: mem0-sqlite, vectors: w.db, entities: e.db, history: none, purge: off}
`

func TestConfigPathsAreMeantFromItsFolder(t *testing.T) {
	path := writeConfig(t, goodConfig)
	dir := filepath.Dir(path)
	if err := os.WriteFile(filepath.Join(dir, "queue-url"), []byte("redis://:hunter2@127.0.0.1/0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, Overrides{Listen: "localhost:1"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "localhost:1" || c.Data != filepath.Join(dir, "state") || c.Queue.Reveal() != "redis://:hunter2@127.0.0.1/0" {
		t.Errorf("listen, data, queue = %q, %q, %q", c.Listen, c.Data, c.Queue.Reveal())
	}
	if f := c.keyFile(); f.Socket != filepath.Join(dir, "agent.sock") || c.LogKeyAgent.Key != "log-2026" {
		t.Errorf("key file %+v, agent %+v", f, c.LogKeyAgent)
	}
	s := c.Stores[0]
	if s.Vectors != filepath.Join(dir, "v.db") || s.Entities != "" || s.History != "/h/memory.db" || s.Own {
		t.Errorf("store = %+v", s)
	}
	if time.Duration(s.BackupsUntil) != 720*time.Hour || time.Duration(s.ReplicasUntil) != 90*time.Minute || c.Stores[1].ReplicasUntil != 0 || time.Duration(c.SubjectKeyRetention) != 240*time.Hour {
		t.Errorf("durations = %v, %v", time.Duration(s.BackupsUntil), time.Duration(c.SubjectKeyRetention))
	}
	if !c.Stores[1].Purge.Off() {
		t.Error("purge: off is not off")
	}
}

func TestConfigFaultsSayWhereAndWhat(t *testing.T) {
	const store = "stores:\n  - {name: a, kind: mem0-sqlite, vectors: v.db, entities: e.db, history: h.db"
	const server = "stores: [{name: a, kind: mem0-server, token_file: t, "
	for _, tt := range []struct{ name, text, want string }{
		{"unknown key", "listen: 127.0.0.1:1\nlisten_on: x\n", "lethe.yaml:2:1: listen_on: is not a key"},
		{"key twice", "data: a\ndata: b\n", "lethe.yaml:2:1: syntax: mapping key \"data\" already defined at [1:1]"},
		{"other case", "Data: a\n", "lethe.yaml:1:1: Data: is not a key"},
		{"no rows", "limits: {max_rows: 0}\n", "lethe.yaml:1:20: limits.max_rows: must be at least 1; to have every request approved, say approval: always"},
		{"fewer than no rows", store + ", limits: {max_rows: -3}}\n", "stores[0].limits.max_rows: must be at least 1"},
		{"no fraction", "limits: {max_fraction: 0}\n", "limits.max_fraction: must be above 0 and at most 1"},
		{"more than all", "limits: {max_fraction: 1.01}\n", "limits.max_fraction: must be above 0 and at most 1"},
		{"no number", "limits: {max_fraction: .nan}\n", "limits.max_fraction: must be above 0 and at most 1"},
		{"a fraction of rows", "limits: {max_rows: 0.5}\n", "lethe.yaml:1:20: limits.max_rows: must be a whole number"},
		{"from no row", "limits: {fraction_from: 0}\n", "limits.fraction_from: must be at least 1"},
		{"tolerance", "limits: {tolerance: -0.1}\n", "limits.tolerance: must be from 0, which tolerates no change, to 1"},
		{"more tolerance", store + ", limits: {tolerance: 2}}\n", "stores[0].limits.tolerance: must be from 0"},
		{"unknown limit", "limits: {rows: 5}\n", "lethe.yaml:1:10: limits.rows: is not a key"},
		{"approval", "approval: never\n", "lethe.yaml:1:11: approval: must be beyond-limits or always"},
		{"platform without url", "stores:\n  - name: a\n    kind: mem0-platform\n    token_file: t\n", "stores[0].url: must be a URL such as https://api.mem0.ai"},
		{"platform in the clear", "stores: [{name: a, kind: mem0-platform, token_file: t, url: \"http://api.mem0.ai\"}]\n", "stores[0].url: must be an https URL"},
		{"url of a file", store + ", url: \"https://x.example\"}\n", "stores[0].url: is for stores behind an API alone"},
		{"token of tables", "stores: [{name: a, kind: tables, driver: sqlite3, file: f, token_file: t}]\n", "stores[0].token_file: is for stores behind an API alone"},
		{"rate of a database", "stores: [{name: a, kind: mem0-postgres, dsn_file: d, history: none, rate: 5}]\n", "stores[0].rate: is for stores behind an API alone"},
		{"api without url", "stores: [{name: a, kind: mem0-server, token_file: t}]\n", "stores[0].url: must be a URL"},
		{"api without key", "stores: [{name: a, kind: mem0-server, url: \"https://x.example\"}]\n", "stores[0].token_file: must be the path of a file"},
		{"key in the clear", server + "url: \"http://x.example\"}]\n", "stores[0].url: must be an https URL"},
		{"key in the url", server + "url: \"https://SECRET@x.example\"}]\n", "stores[0].url: must be a URL without user"},
		{"slow", server + "url: \"https://x.example\", rate: 0.5}]\n", "stores[0].rate: must be from 1 to 10000"},
		{"endless", server + "url: \"https://x.example\", rate: .nan}]\n", "stores[0].rate: must be from 1 to 10000"},
		{"burst", server + "url: \"https://x.example\", burst: -1}]\n", "stores[0].burst: must be from 1 to 10000"},
		{"purge behind an API", server + "url: \"https://x.example\", purge: always}]\n", "stores[0].purge: must be off"},
		{"file behind an API", server + "url: \"https://x.example\", history: h.db}]\n", "stores[0].history: is not for mem0-server"},
		{"unknown kind", "stores: [{name: a, kind: pinecone}]\n", "stores[0].kind: must be mem0-sqlite, mem0-postgres, mem0-server, mem0-platform or tables"},
		{"bad name", "stores: [{name: A b, kind: mem0-sqlite, vectors: v, entities: e, history: h}]\n", "lethe.yaml:1:17: stores[0].name: must be 1 to 63"},
		{"name twice", store + "}\n  - {name: a, kind: mem0-sqlite, vectors: w, entities: e, history: h}\n", "lethe.yaml:3:12: stores[1].name: is taken"},
		{"forgotten file", "stores:\n  - name: a\n    kind: mem0-sqlite\n    vectors: v.db\n    history: h.db\n", "stores[0].entities: must be the path"},
		{"purge", store + ", purge: \"25:00-26:00\"}\n", "lethe.yaml:2:87: stores[0].purge: must be always, off, or a window"},
		{"purge of a server", "stores: [{name: a, kind: mem0-postgres, dsn_file: d, history: none, purge: always}]\n", "stores[0].purge: must be off, rewrite, or rewrite with a window"},
		{"retention", "subject_key_retention: 30 days\n", "lethe.yaml:1:24: subject_key_retention: must be a duration such as 36h"},
		{"record kept too short", "retention: {requests: 30d}\n", "lethe.yaml:1:23: retention.requests: must be at least 90d"},
		{"record kept for nothing", "retention: {requests: 0s}\n", "must be a duration such as 1096d, or off"},
		{"record gone before its key", "subject_key_retention: 200d\nretention: {requests: 100d}\n", "not less than subject_key_retention"},
		{"notice kept too long", "retention: {webhooks: 91d}\n", "retention.webhooks: must be from 1d to 90d"},
		{"replicas", store + ", replicas_until: soon}\n", "lethe.yaml:2:96: stores[0].replicas_until: must be a duration"},
		{"negative", "subject_key_retention: -3h\n", "must be a duration"},
		{"public", "listen: 0.0.0.0:80\n", "lethe.yaml:1:9: listen: must be a loopback address such as 127.0.0.1:8080, or come with tls"},
		{"every address", "listen: :80\n", "listen: must be a loopback address"},
		{"a name", "listen: lethe.example:80\n", "listen: must be a loopback address"},
		{"tls without a certificate", "listen: :80\ntls: {key: k}\n", "lethe.yaml:2:6: tls.cert: must be the path"},
		{"tls without a key", "tls: {cert: c}\n", "tls.key: must be the path"},
		{"tls off without why", "listen: :80\ntls: {off: true}\n", "tls.off: must be behind-proxy"},
		{"tls off and on", "tls: {off: behind-proxy, cert: c, key: k}\n", "tls.off: must stand alone"},
		{"tls of old", "tls: {cert: c, key: k, min: \"1.1\"}\n", "tls.min: must be"},
		{"metrics", "metrics: everybody\n", "metrics: must be token or open"},
		{"no port", "listen: 127.0.0.1\n", "listen: must be an address with a port"},
		{"postgres", "ledger: postgres://u:hunter2%@h/db\n", "ledger: must be sqlite, or the URL of a PostgreSQL database"},
		{"both ledgers", "ledger: sqlite\nledger_file: l\n", "ledger_file: give either ledger or ledger_file"},
		{"queue", "queue: hunter2\n", "lethe.yaml:1:8: queue: must be embedded, or the URL"},
		{"both queues", "queue: embedded\nqueue_file: q\n", "queue_file: give either queue or queue_file"},
		{"origin", "log_origin: https://x.example\n", "log_origin: must be a URL without its scheme"},
		{"alias", "data: &a x\nlisten: *a\n", "lethe.yaml:1:7: data: anchors and aliases are not accepted"},
		{"two documents", "data: a\n---\ndata: b\n", "one YAML document"},
		{"wrong type", "stores: hunter2\n", "lethe.yaml:1:9: stores: value is of the wrong type"},
		{"list of text", "listen: [hunter2]\n", "value is of the wrong type"},
		{"a value for a key", "data: x\n\"redis://:hunter2@h/0\": y\n", "lethe.yaml:2:1: is not a key that lethe knows"},
		{"a value for a key of a part", "limits: {\"hunter2@\": y}\n", "lethe.yaml:1:10: limits: is not a key"},
		{"key twice", "\":hunter2@\": x\n\":hunter2@\": y\n", "lethe.yaml:2:1: syntax: mapping key already defined at [1:1]"},
		{"converted", "limits: {max_rows: !!bool hunter2}\n", "lethe.yaml:1:"},
		{"not a mapping", "hunter2\n", "lethe.yaml:1:1: "},
		{"syntax", "data: [a\n", "lethe.yaml:1:"},
		{"too large", "data: " + strings.Repeat("a", maxConfigBytes), "larger than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Load(writeConfig(t, tt.text), Overrides{})
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %q\nwant it to have %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error repeats a value: %q", err)
			}
		})
	}
}

func TestConfigNamesEveryFaultAtOnce(t *testing.T) {
	_, err := Load(writeConfig(t, "listen: 0.0.0.0:80\nledger: oracle\n"), Overrides{Queue: "x"})
	for _, want := range []string{"listen:", "ledger:", "--queue must be"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want it to name %s too", err, want)
		}
	}
}

func TestPurgeWindowGoesOverMidnight(t *testing.T) {
	p, err := parsePurgeRule("22:30-04:00")
	if err != nil {
		t.Fatal(err)
	}
	at := func(h, m int) time.Time { return time.Date(2026, 11, 22, h, m, 0, 0, time.Local) }
	for _, tt := range []struct {
		t    time.Time
		want bool
	}{{at(22, 29), false}, {at(22, 30), true}, {at(0, 0), true}, {at(3, 59), true}, {at(4, 0), false}, {at(12, 0), false}} {
		if got := p.Allows(tt.t); got != tt.want {
			t.Errorf("Allows(%s) = %v, want %v", tt.t.Format("15:04"), got, tt.want)
		}
	}
	if !(PurgeRule{}).Allows(at(12, 0)) {
		t.Error("the zero rule forbids, want always")
	}
}

func TestEmptyConfigIsTheDefault(t *testing.T) {
	for _, text := range []string{"", "# nothing yet\n", "stores:\n"} {
		if _, err := Load(writeConfig(t, text), Overrides{}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestRegimesAreTheLawsAndTheOffices(t *testing.T) {
	good := "zone: Europe/Berlin\nholidays: [de-be, 2026-12-24]\nregime: lgpd\nregimes:\n" +
		"  - {name: lgpd, days: 15, zone: America/Sao_Paulo, holidays: [br]}\n  - {name: ccpa, zone: America/New_York, holidays: []}\n"
	c, err := Load(writeConfig(t, good), Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	clock, err := c.clock()
	if err != nil {
		t.Fatal(err)
	}
	received := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for name, want := range map[string]string{
		"gdpr": "2026-12-28T23:59:59+01:00", // the 24th is the office's, 25 to 27 are everyone's
		"ccpa": "2027-01-08T23:59:59-05:00",
		"lgpd": "2026-12-09T23:59:59-03:00",
	} {
		r, known := clock.Regime(name)
		if got := r.Due(received).Format(time.RFC3339); !known || got != want {
			t.Errorf("%s: due %s, want %s", name, got, want)
		}
	}
	if clock.Default != "lgpd" {
		t.Errorf("the default is %s", clock.Default)
	}
	for name, row := range map[string]struct{ text, says string }{
		"a wrong zone":             {"zone: Berlin\n", "zone: must be a time zone"},
		"the machine's zone":       {"zone: Local\n", "zone: must be a time zone"},
		"wrong holidays":           {"holidays: [de, prussia]\n", "codes of "},
		"an unknown default":       {"regime: lgpd\n", "regime: the default regime is none of ccpa, gdpr"},
		"no period":                {"regimes: [{name: lgpd}]\n", "regimes[0]: must have one of months, days and business_days"},
		"two periods":              {"regimes: [{name: lgpd, days: 1, months: 1}]\n", "regimes[0]: must have one of"},
		"a law made longer":        {"regimes: [{name: gdpr, months: 6}]\n", "regimes[0]: the periods of gdpr and ccpa are the law's"},
		"twice":                    {"regimes: [{name: a, days: 1}, {name: a, days: 2}]\n", "regimes[1]: is given twice"},
		"a code that is none":      {"exemptions: [because of John]\n", "exemptions: must be codes"},
		"a reason that is none":    {"extensions: [\"\"]\n", "extensions: must be codes"},
		"a regime's wrong zone":    {"regimes: [{name: a, days: 1, zone: x}]\n", "must be a time zone"},
		"a regime's wrong holiday": {"regimes: [{name: a, days: 1, holidays: [x]}]\n", "regimes[0]: holidays must be"},
	} {
		_, err := Load(writeConfig(t, row.text), Overrides{})
		if err == nil || !strings.Contains(err.Error(), row.says) || strings.Contains(err.Error(), "John") || strings.Contains(err.Error(), "prussia") {
			t.Errorf("%s: err = %v, want %q", name, err, row.says)
		}
	}
}

func TestLimitsOfAStoreReplaceThoseForAll(t *testing.T) {
	const store = "stores:\n  - {name: a, kind: mem0-sqlite, vectors: v.db, entities: e.db, history: h.db"
	for text, want := range map[string]jobs.Rules{
		store + "}\n": {Limits: jobs.DefaultLimits(), Stores: map[string]jobs.Limits{}},
		"approval: always\nlimits: {max_rows: 7, tolerance: 0}\n" + store + ", limits: {max_fraction: 1, fraction_from: 3}}\n": {
			Always: true, Limits: jobs.Limits{MaxRows: 7, MaxFraction: 0.25, FractionFrom: 1000},
			Stores: map[string]jobs.Limits{"a": {MaxRows: 7, MaxFraction: 1, FractionFrom: 3}},
		},
	} {
		c, err := Load(writeConfig(t, text), Overrides{})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, c.rules(), cmpopts.IgnoreUnexported(jobs.Rules{})); d != "" {
			t.Errorf("%s: -want +got\n%s", text, d)
		}
	}
}
