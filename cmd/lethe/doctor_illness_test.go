package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/jobs/api"
	"lethe/jobs/queue/queuetest"
	"lethe/store"
)

// certificate writes one that ends then.
func (c *clinic) certificate(ends time.Time) string {
	c.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: ends.Add(-time.Hour), NotAfter: ends}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		c.t.Fatal(err)
	}
	path := filepath.Join(c.dir, "cert.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// An illness is a fault that is planted, and what must be said of it.
type illness struct {
	check, level, what, fix string
	plant                   func(*clinic, *ward)
}

func illnesses() []illness {
	space := func(r room) func(*clinic, *ward) {
		return func(_ *clinic, p *ward) { p.roomAt = func(string) (room, bool) { return r, true } }
	}
	files := func(n uint64) func(*clinic, *ward) {
		return func(_ *clinic, p *ward) { p.openFiles = func() uint64 { return n } }
	}
	task := func(state string) func(*clinic, *ward) {
		return func(c *clinic, _ *ward) {
			c.served()
			c.sql(`UPDATE outbox SET state = '` + state + `', next_at = 1, queued_at = 1`)
		}
	}
	cert := func(left time.Duration) func(*clinic, *ward) {
		return func(c *clinic, p *ward) { p.config.TLS = &TLSConfig{Cert: c.certificate(time.Now().Add(left))} }
	}
	const weak, broken = api.LevelWeak, api.LevelBroken
	return []illness{
		{"stores", broken, "store assistant has 1 problem", "lethe stores check", func(c *clinic, _ *ward) { _ = os.Remove(c.config().Stores[0].Vectors) }},
		{"stores", broken, "history.diary: not in the data map", "lethe stores check", func(c *clinic, _ *ward) {
			db := sqlx.MustOpen("sqlite3", c.config().Stores[0].History)
			db.MustExec(`CREATE TABLE diary (id TEXT PRIMARY KEY, user_id TEXT, words TEXT)`)
			_ = db.Close()
		}},
		{"queue", broken, "does not answer", "start Redis", func(_ *clinic, p *ward) { p.config.Queue = "redis://lethe:hunter2@127.0.0.1:1" }},
		{"queue", broken, "evicts", "redis.conf", func(c *clinic, p *ward) {
			p.config.Queue = Secret(queuetest.Redis(c.t, "--maxmemory-policy", "allkeys-lru").URL())
		}},
		{"ledger", weak, "no ledger yet", "lethe serve", func(c *clinic, _ *ward) { c.remove(ledgerFile) }},
		{"ledger", broken, "damaged", "newest backup", func(c *clinic, _ *ward) {
			path := filepath.Join(c.data(), ledgerFile)
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err == nil {
				_, err = f.WriteAt(make([]byte, 3*4096), 8*4096)
			}
			if err != nil || f.Close() != nil {
				c.t.Fatal(err)
			}
		}},
		{"log", broken, "missing", "lethe log import", func(c *clinic, p *ward) {
			// the ledger of another run of the same log would be behind; here the anchor is ahead
			behind := c.copied(c.t)
			r := start(c.t, behind.config(), nil)
			_ = r.submit(api.Submission{Selector: store.Selector{UserID: "x"}, Grace: time.Hour})
			r.stop()
			p.config.Anchors = []AnchorConfig{{File: behind.anchor}}
		}},
		{"log", broken, "broken", "lethe log", func(c *clinic, _ *ward) {
			c.sql(`DROP TRIGGER audit_entry_update`, `UPDATE audit_entry SET body = CAST(replace(CAST(body AS TEXT), 'lethe', 'lethf') AS BLOB) WHERE idx = 1`)
		}},
		{"log", weak, "keeps no head yet", "newest head", func(c *clinic, _ *ward) { _ = os.Remove(c.anchor) }},
		{"log", broken, "a backup that was put back", "lethe log import", func(c *clinic, p *ward) {
			c.sql(`PRAGMA application_id = 1819568226`)
			c.remove(logHeadFile)
			p.config.Anchors = nil
		}},
		{"keys", broken, "the log's key is gone", "put it back", func(c *clinic, _ *ward) { c.remove(logKeyFile, logKeyFile+publicSuffix) }},
		{"keys", broken, "open to others", "chmod 700", func(c *clinic, _ *ward) { _ = os.Chmod(filepath.Join(c.data(), keysFolder), 0o755) }},
		{"keys", broken, "1 open request cannot be carried out", "lethe cancel", func(c *clinic, _ *ward) { c.remove(keysFolder + "/seal/" + c.waiting) }},
		{"keys", broken, "1 hold stands of which nobody knows", "lethe hold release", func(c *clinic, _ *ward) { c.remove(keysFolder + "/seal/" + c.hold) }},
		{"running", weak, "nobody serves", "lethe serve", func(*clinic, *ward) {}},
		{"running", broken, "no worker has taken", "role worker", task("queued")},
		{"running", weak, "nobody rings", "role scheduler", task("ready")},
		{"backup", weak, "no backup", "lethe backup", func(c *clinic, _ *ward) { c.remove(backupFile) }},
		{"backup", weak, "4 days old", "lethe backup", func(_ *clinic, p *ward) { p.now = p.now.Add(4*24*time.Hour + time.Minute) }},
		{"disk", broken, "read-only", "written to", space(room{free: 1 << 40, readOnly: true})},
		{"disk", broken, "left to grow", "make room", space(room{free: 1 << 20})},
		{"disk", weak, "cannot be rewritten", "make room", func(c *clinic, p *ward) {
			if err := os.Truncate(c.config().Stores[0].History, 200<<20); err != nil {
				c.t.Fatal(err)
			}
			space(room{free: 100 << 20})(c, p)
		}},
		{"disk", broken, "more files", "remove small files", space(room{free: 1 << 40, inodes: 10, counts: true})},
		{"certificates", broken, "tls.cert expired", "new certificate", cert(-time.Minute)},
		{"certificates", weak, "tls.cert expires", "new certificate", cert(20 * 24 * time.Hour)},
		{"certificates", broken, "holds no certificate", "PEM", func(c *clinic, p *ward) {
			p.config.QueueTLS = &QueueTLS{CA: filepath.Join(c.data(), logKeyFile)}
		}},
		{"time_zones", broken, "calendar", "zone", func(_ *clinic, p *ward) { p.config.Regime = "none-such" }},
		{"open_files", broken, "only 64", "LimitNOFILE", files(64)},
		{"open_files", weak, "only 512", "LimitNOFILE", files(512)},
	}
}
