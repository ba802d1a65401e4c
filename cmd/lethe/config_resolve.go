package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

const (
	queueEmbedded = "embedded"
	ledgerSQLite  = "sqlite"
	fileNone      = "none" // of a store's file: this installation has none
)

// Overrides are the flags that win over the file. Empty means not given.
type Overrides struct {
	Listen, Data, Ledger, Queue string
	Roles                       Roles

	Strict bool
}

// given reports whether the flag of that name was given.
func (o Overrides) given(name string) bool {
	switch name {
	case "listen":
		return o.Listen != ""
	case "data":
		return o.Data != ""
	case "ledger":
		return o.Ledger != ""
	case "queue":
		return o.Queue != ""
	case "roles":
		return true // there is no other way
	}
	return false
}

// resolve makes the file's relative paths start at dir, its folder.
func (c *Config) resolve(dir string) {
	from := func(p *string) {
		if *p != "" && *p != fileNone && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	from(&c.Data)
	from(&c.QueueFile)
	from(&c.LedgerFile)
	from(&c.Witnesses)
	if c.TLS != nil {
		for _, p := range c.TLS.paths() {
			from(p)
		}
	}
	if c.Stamps != nil {
		from(&c.Stamps.RootsFile)
	}
	if c.OIDC != nil {
		from(&c.OIDC.ClientSecretFile)
	}
	if c.LogKeyAgent != nil {
		from(&c.LogKeyAgent.Socket)
	}
	from(&c.QueuePasswordFile)
	if q := c.QueueSentinel; q != nil {
		from(&q.PasswordFile)
	}
	if q := c.QueueTLS; q != nil {
		for _, p := range []*string{&q.CA, &q.Cert, &q.Key} {
			from(p)
		}
	}
	if c.Webhooks != nil {
		for _, p := range c.Webhooks.paths() {
			from(p)
		}
	}
	if c.Traces != nil {
		for _, p := range c.Traces.paths() {
			from(p)
		}
	}
	for i := range c.Anchors {
		for _, p := range c.Anchors[i].paths() {
			from(p)
		}
	}
	for i := range c.Stores {
		s := &c.Stores[i]
		from(&s.Vectors)
		if s.Kind != KindMem0Postgres { // there it is a table
			from(&s.Entities)
		}
		from(&s.History)
		from(&s.DSNFile)
		from(&s.File)
		from(&s.AppDSNFile)
		from(&s.TokenFile)
	}
}

func (c *Config) override(flags Overrides) {
	set := func(to *string, v string) {
		if v != "" {
			*to = v
		}
	}
	set(&c.Listen, flags.Listen)
	set(&c.Data, flags.Data)
	c.Strict = c.Strict || flags.Strict
	if flags.Ledger != "" {
		c.Ledger, c.LedgerFile = Secret(flags.Ledger), ""
	}
	if flags.Queue != "" {
		c.Queue, c.QueueFile = Secret(flags.Queue), ""
	}
	c.Roles = flags.Roles
}

func (c *Config) fillIn() {
	or := func(to *string, v string) {
		if *to == "" {
			*to = v
		}
	}
	or(&c.Listen, "127.0.0.1:8080")
	or(&c.Data, "lethe-data")
	or(&c.Metrics, metricsToken)
	or(&c.Approval, approvalBeyond)
	if c.Ledger == "" && c.LedgerFile == "" {
		c.Ledger = ledgerSQLite
	}
	if c.SubjectKeyRetention == 0 {
		c.SubjectKeyRetention = Duration(720 * time.Hour)
	}
	c.Retention.fillIn()
	if c.Queue == "" && c.QueueFile == "" {
		c.Queue = queueEmbedded
	}
	for i := range c.Stores {
		if s := &c.Stores[i]; s.Kind == KindMem0Postgres {
			or(&s.Table, "memories")
			or(&s.Entities, s.Table+"_entities")
		}
	}
	if c.OIDC != nil {
		or(&c.OIDC.RolesClaim, oidcClaim)
	}
	if c.Rate == nil {
		c.Rate = &RateConfig{}
	}
	c.Rate.fillIn()
	if len(c.Stores) == 0 {
		c.Stores = []StoreConfig{ownStore(c.Data)}
	}
}

// ownStore is the memory store of a lethe that was told of none.
func ownStore(data string) StoreConfig {
	return StoreConfig{
		Name: "memories", Kind: KindMem0SQLite, Own: true,
		Vectors:  filepath.Join(data, "memories", "vector_store.db"),
		Entities: filepath.Join(data, "memories", "vector_store_entities.db"),
		History:  filepath.Join(data, "memories", "memory.db"),
	}
}

// A urlField is a URL that may stand in a file of its own.
type urlField struct {
	name    string
	url     *Secret
	file    *string
	problem func(url string) string
}

func (c *Config) urls() []urlField {
	return []urlField{
		{"ledger", &c.Ledger, &c.LedgerFile, ledgerProblem},
		{"queue", &c.Queue, &c.QueueFile, queueProblem},
	}
}

func (c *Config) readURLs() error {
	for _, u := range c.urls() {
		if *u.file == "" || *u.url != "" { // both given: check says so
			continue
		}
		text, err := readSmallFile(*u.file, 4096)
		if err != nil {
			return fmt.Errorf("read %s_file: %w", u.name, err)
		}
		*u.url = Secret(strings.TrimSpace(string(text)))
	}
	return nil
}

// postgres returns the address of the ledger's database, or "" for SQLite.
func (c *Config) postgres() string {
	if u := c.Ledger.Reveal(); isPostgres(u) {
		return u
	}
	return ""
}

// alone reports whether no other process may serve the ledger: what is in an
// embedded queue, no other process hears.
func (c *Config) alone() bool { return c.postgres() == "" || c.Queue == queueEmbedded }
