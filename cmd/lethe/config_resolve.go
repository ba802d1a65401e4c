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
	from(&c.Witnesses)
	if c.Stamps != nil {
		from(&c.Stamps.RootsFile)
	}
	if c.LogKeyAgent != nil {
		from(&c.LogKeyAgent.Socket)
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
		from(&s.AppDSNFile)
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
	set(&c.Ledger, flags.Ledger)
	if flags.Queue != "" {
		c.Queue, c.QueueFile = Secret(flags.Queue), ""
	}
}

func (c *Config) fillIn() {
	or := func(to *string, v string) {
		if *to == "" {
			*to = v
		}
	}
	or(&c.Listen, "127.0.0.1:8080")
	or(&c.Data, "lethe-data")
	or(&c.Ledger, ledgerSQLite)
	if c.SubjectKeyRetention == 0 {
		c.SubjectKeyRetention = Duration(720 * time.Hour)
	}
	if c.Queue == "" && c.QueueFile == "" {
		c.Queue = queueEmbedded
	}
	for i := range c.Stores {
		if s := &c.Stores[i]; s.Kind == KindMem0Postgres {
			or(&s.Table, "memories")
			or(&s.Entities, s.Table+"_entities")
		}
	}
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

func (c *Config) readQueueFile() error {
	if c.QueueFile == "" || c.Queue != "" {
		return nil // both given: check says so
	}
	text, err := readSmallFile(c.QueueFile, 4096)
	if err != nil {
		return fmt.Errorf("read queue_file: %w", err)
	}
	c.Queue = Secret(strings.TrimSpace(string(text)))
	return nil
}
