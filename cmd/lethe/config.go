package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// A Config is what lethe is told about its surroundings, in a YAML file given
// by --config. A flag of the same name wins over the file, the file over the
// default. Relative paths in the file are meant from the file's own folder;
// those in flags from the working directory. Durations are written as in Go
// ("36h", "90m") or in days ("30d").
//
// An unknown key, a key given twice and a key that this version does not act
// on are errors: what is written here and not done would be a lie.
type Config struct {
	// listen: the address of the HTTP server. Any other than a loopback address
	// needs tls, and an admin's token in the ledger before the first start.
	// Default 127.0.0.1:8080.
	Listen string `yaml:"listen"`

	// tls: how the HTTP server is reached safely. Default none, which is for
	// loopback addresses alone.
	TLS *TLSConfig `yaml:"tls"`

	// metrics: who may read /metrics. "token" wants the token of an auditor or an
	// admin, but on a loopback address; "open" wants none. Default token.
	Metrics string `yaml:"metrics"`

	// drain_delay: how long a process that was told to end (SIGTERM) goes on, with
	// /readyz saying 503, before it lets go of its door and its tasks: as long as a
	// load balancer needs to notice, such as 5s. At most 5m. The stop takes up to
	// 10 s more. Default 0s.
	DrainDelay Duration `yaml:"drain_delay"`

	// data: the folder for all that lethe keeps: the ledger with the log, the
	// log's key, the keys of requests. Default lethe-data in the working
	// directory. With a PostgreSQL ledger it holds the keys alone, and all
	// processes of that ledger must have the same one: on several machines, a
	// folder of a file server that they share (NFS version 4, mounted "hard").
	Data string `yaml:"data"`

	// ledger: where the book of requests and the log are kept. "sqlite" keeps
	// them in the data folder, for one process. postgres://user@host/database
	// names a database of PostgreSQL 13 or newer, for any number: its primary,
	// reached directly and not through a pooler, and a user who may make tables
	// in its schema. Default sqlite.
	Ledger Secret `yaml:"ledger"`

	// ledger_file: the path of a file that holds the URL, instead of ledger, so
	// that its password stands neither here nor in a process list.
	LedgerFile string `yaml:"ledger_file"`

	// queue: what wakes the workers. "embedded" needs no other software;
	// redis://host:6379/0 names a Redis server, redis-sentinel://h1:26379,h2:26379/mymaster
	// the one that sentinels name (?db=N for another database),
	// redis-cluster://h1:6379,h2:6379 a Redis Cluster; with rediss they are reached
	// by TLS. Nothing personal is ever put there. Default embedded.
	Queue Secret `yaml:"queue"`

	// queue_file: the path of a file that holds the URL, instead of queue, so
	// that its password stands neither here nor in a process list.
	QueueFile string `yaml:"queue_file"`

	// queue_password_file: the path of a file that holds the password alone; the
	// user, if any, stands in the URL: redis://lethe@host:6379.
	QueuePasswordFile string `yaml:"queue_password_file"`

	// queue_sentinel: what sentinels ask for. See QueueSentinel.
	QueueSentinel *QueueSentinel `yaml:"queue_sentinel"`

	// queue_tls: how to reach what is rediss. See QueueTLS.
	QueueTLS *QueueTLS `yaml:"queue_tls"`

	// stores: the places that keep memories. Without any, lethe uses a memory
	// store of its own in the data folder, so that a newcomer sees it work.
	Stores []StoreConfig `yaml:"stores"`

	// policies: what is erased by the clock. See PolicyConfig.
	Policies []PolicyConfig `yaml:"policies"`

	// limits: how much one request may erase without a second person. A plan beyond
	// them waits, in the status awaiting_approval. See LimitsConfig.
	Limits *LimitsConfig `yaml:"limits"`

	// approval: which plans a second person has to approve: "beyond-limits", or
	// "always". Default beyond-limits.
	Approval string `yaml:"approval"`

	// log_origin: the name of the log, as it stands in every signed head and in
	// the public key: a schema-less URL such as erasure.example.com/log. It
	// cannot change once the log has been made. Without one, lethe makes one
	// up when it makes the log.
	LogOrigin string `yaml:"log_origin"`

	// log_key_agent: the ssh-agent that keeps the log's key, instead of a file in
	// the data folder. While it is away, nothing is appended. Default none.
	LogKeyAgent *AgentConfig `yaml:"log_key_agent"`

	// anchors: where the newest signed head of the log is kept outside the
	// ledger, besides the file log.head in the data folder. A ledger that was
	// put back to an older state is found by them, and by nothing else.
	// Default none.
	Anchors []AnchorConfig `yaml:"anchors"`

	// witnesses: the path of a policy file (C2SP tlog-policy). The witnesses
	// that it names with a URL are asked to cosign each new head, and
	// certificates carry their cosignatures. Default none.
	Witnesses string `yaml:"witnesses"`

	// stamps: the authority that time stamps the newest head, once a day.
	// Default none.
	Stamps *StampConfig `yaml:"stamps"`

	// regime: the law under which a request is answered that names none. One of
	// gdpr, ccpa and regimes. Default gdpr.
	Regime string `yaml:"regime"`

	// regimes: further laws, and what is different here of gdpr and ccpa. See
	// RegimeConfig.
	Regimes []RegimeConfig `yaml:"regimes"`

	// zone: the time zone by whose calendar days are counted, that of the office
	// which answers, such as Europe/Berlin. Default that of the law:
	// Europe/Brussels for gdpr, America/Los_Angeles for ccpa, UTC for others.
	Zone ZoneName `yaml:"zone"`

	// holidays: days besides Saturdays and Sundays that are no working days:
	// codes of countries and regions, such as de or de-be, and dates such as
	// 2026-12-24. Default none: a deadline may then be early by a holiday, and is
	// never late. A code that is none is answered with all there are.
	Holidays []string `yaml:"holidays"`

	// exemptions: codes of one's own, besides art17-3-a and the others that are
	// built in, for which a request or a part of it may be refused.
	Exemptions []string `yaml:"exemptions"`

	// extensions: codes of one's own, besides complexity, number and the others
	// that are built in, for which a period may be extended.
	Extensions []string `yaml:"extensions"`

	// oidc: the OpenID provider through which people sign in to the web page.
	// Default none: they sign in with a token.
	OIDC *OIDCConfig `yaml:"oidc"`

	// subject_key_retention: how long after its end a request's subject key is
	// kept. The key opens the subject commitment in the log, and is destroyed
	// then. Default 720h.
	SubjectKeyRetention Duration `yaml:"subject_key_retention"`

	// suppression: how it is recognized that what was erased has come back. See
	// SuppressionConfig.
	Suppression *SuppressionConfig `yaml:"suppression"`

	// retention: how long what is left of Lethe's own work is kept. See
	// RetentionConfig.
	Retention RetentionConfig `yaml:"retention"`

	// strict: what to do when a store has a table or column that looks personal
	// and is neither mapped nor waived, at the start or later. false: say so in
	// the logs and in the metric lethe_store_unmapped, and go on. true: do not
	// start; and a job of that store waits, with the note "schema", until the
	// map is right. Default false. serve --strict is the same.
	Strict bool `yaml:"strict"`

	// rate: how often one caller may ask. See RateConfig.
	Rate *RateConfig `yaml:"rate"`

	// webhooks: who may be told when the status of a request changes. Default
	// nobody, and a request with a notify_url is refused.
	Webhooks *WebhooksConfig `yaml:"webhooks"`

	// traces: where the work on requests is traced to, by OpenTelemetry. Default
	// nowhere, unless OTEL_EXPORTER_OTLP_ENDPOINT is set. See TracesConfig.
	Traces *TracesConfig `yaml:"traces"`

	// Roles are what this process does, by its flag alone, for the file is the
	// same for all. None given means all of them.
	Roles Roles `yaml:"-"`
}

// A StoreConfig says how to reach one Store.
type StoreConfig struct {
	// name: how requests, certificates and metrics call the store. Lower-case
	// letters, digits, dots, dashes and underscores, at most 63; unique.
	Name string `yaml:"name"`

	// kind: what the store is. "mem0-sqlite" is Mem0 on SQLite files,
	// "mem0-postgres" is Mem0's self-hosted server on PostgreSQL (pgvector) with
	// its SQLite history file, "mem0-server" is the same server reached through its
	// REST API, for those who cannot reach its database: certificates then say
	// "erased", never "verified". "mem0-platform" is Mem0's hosted service, reached
	// through its API: certificates say "verified", and name what the API hides.
	// "tables" is any tables of one SQLite file or one
	// PostgreSQL database, as driver, places and waived say.
	Kind string `yaml:"kind"`

	// undated: what becomes of rows of somebody who was forgotten that do not say
	// when they were made, when a watch or a replay finds them: "notice" counts them
	// and leaves them, "erase" takes them for what has come back. A row with a
	// random ID (UUID version 4 or 7) that was itself erased has always come back.
	// Default notice.
	Undated string `yaml:"undated"`

	// driver: for tables, "sqlite3" or "postgres".
	Driver string `yaml:"driver"`

	// file: for tables with driver sqlite3, the database file.
	File string `yaml:"file"`

	// places: for tables, where personal data is. See PlaceConfig.
	Places []PlaceConfig `yaml:"places"`

	// waived: for tables, what need not be erased, each with the reason:
	// {audit_trail: "legal obligation", "orders.copy_trigger": "counts only"}.
	// A key is a table (or view), a column as TABLE.COLUMN, a trigger as
	// TABLE.TRIGGER, or on PostgreSQL another schema as SCHEMA.*.
	Waived Waivers `yaml:"waived"`

	// vectors: for mem0-sqlite, the SQLite file of the memories (Mem0's
	// vector_store.db).
	Vectors string `yaml:"vectors"`

	// dsn_file: for mem0-postgres, and for tables with driver postgres, the path
	// of a file that holds the address of the database, such as
	// postgres://user:password@host/postgres. It must be the primary. The user
	// needs SELECT, DELETE and UPDATE on Mem0's two tables, SELECT and DELETE on
	// the tables of places. With driver sqlite3, instead of file: a file that
	// holds the path of the database file, meant from its own folder.
	DSNFile string `yaml:"dsn_file"`

	// app_dsn_file: for mem0-postgres, the path of a file that holds the address
	// of the server's own database (mem0_app). Its table request_logs keeps the
	// paths of requests, with the IDs of users and memories in them; rows that
	// name who is forgotten are erased. The user needs SELECT and DELETE on it.
	// Default none: those rows stay until Mem0 itself prunes them.
	AppDSNFile string `yaml:"app_dsn_file"`

	// table: for mem0-postgres, the table of the memories (Mem0's collection
	// name). Default memories.
	Table string `yaml:"table"`

	// entities: for mem0-sqlite, the SQLite file of the entities, or "none" if
	// this installation has no such file. It may not be left out: what is
	// forgotten here would be forgotten in every erasure. For mem0-postgres, the
	// table of the entities, or "none". Default there: TABLE_entities.
	Entities string `yaml:"entities"`

	// history: the SQLite file of the history and the raw messages, or "none".
	History string `yaml:"history"`

	// purge: when the files may be rewritten so that no bytes of erased rows
	// are left in them. "always", "off" (certificates then say "verified",
	// never "purged"), or a daily window in local time such as "02:00-05:00".
	// Default always.
	//
	// On PostgreSQL it is "off", "rewrite", or "rewrite 02:00-05:00" for a
	// daily window. DELETE leaves bytes in PostgreSQL's files, and so does its
	// plain VACUUM. With rewrite, lethe runs VACUUM (FULL) on the mapped tables,
	// which locks each for as long as it takes (with an HNSW index minutes, for
	// that is built anew), and needs their ownership and room for a copy. Then
	// it reads their files, if the server lets it, and only then certificates
	// say "purged". Default there: off.
	Purge PurgeRule `yaml:"purge"`

	// backups_until: how long backups of this store may still hold what was
	// erased, such as 30d. It stands in every certificate as an exclusion.
	// Default none.
	BackupsUntil Duration `yaml:"backups_until"`

	// replicas_until: how long replicas of this store may lag and still hold
	// what was erased, such as 1h. It stands in every certificate as an
	// exclusion, beside that of the backups. Default none.
	ReplicasUntil Duration `yaml:"replicas_until"`

	// wal_until: on PostgreSQL, how long the server's write-ahead log and
	// its archive may still hold what was erased, such as 7d. It stands in every
	// certificate as an exclusion. Default none: the certificate then names the
	// log without an end.
	WALUntil Duration `yaml:"wal_until"`

	// limits: of this store alone, in place of the limits for all; what is not said
	// here is as it is there. Rows of stores without limits of their own count
	// together against max_rows. See LimitsConfig.
	Limits *LimitsConfig `yaml:"limits"`

	// url: for mem0-platform and mem0-server, where the API is, such as
	// https://api.mem0.ai; https, or http on a loopback address.
	URL string `yaml:"url"`

	// token_file: for mem0-platform and mem0-server, the path of a file that holds
	// the API's key: one that may delete. On a mem0-server who is selected by app_id or metadata alone can be found with
	// an admin's key only. It is read whenever the store is opened.
	TokenFile string `yaml:"token_file"`

	// rate: for mem0-platform and mem0-server, how many calls a second the API gets
	// at most from one process, from 1 to 10000. Default 10 for mem0-platform, 100
	// for mem0-server.
	CallRate float64 `yaml:"rate"`

	// burst: for mem0-platform and mem0-server, how many calls the API gets at once after a rest.
	// Default twice the rate.
	Burst int `yaml:"burst"`

	// Own marks the memory store that lethe made for itself because none was
	// configured: its files are created if they are missing.
	Own bool `yaml:"-"`
}

// KindMem0SQLite is the kind of a store that is Mem0 on SQLite files.
const KindMem0SQLite = "mem0-sqlite"

// KindMem0Postgres is the kind of a store that is Mem0 on PostgreSQL.
const KindMem0Postgres = "mem0-postgres"

// KindTables is the kind of a store that is any SQL tables.
const KindTables = "tables"

// Load reads the file at path, or no file if path is empty, puts the flags on
// top and fills in the defaults. The Config returned has been checked and its
// paths are absolute. An error names every field at fault, with line and column in
// the file, and what to do about it; it never repeats a value that may be
// secret.
func Load(path string, flags Overrides) (Config, error) {
	var (
		c   Config
		doc document
		dir string
	)
	if path != "" {
		var err error
		if doc, err = readDocument(path); err != nil {
			return Config{}, err
		}
		if err := doc.decode(&c); err != nil {
			return Config{}, err
		}
		dir = filepath.Dir(path)
	}
	here, err := os.Getwd()
	if err != nil {
		return Config{}, fmt.Errorf("resolve paths: %w", err)
	}
	c.resolve(dir)
	c.override(flags)
	c.fillIn()
	c.resolve(here) // all are absolute now
	if err := c.readURLs(); err != nil {
		return Config{}, err
	}
	if err := c.readQueuePassword(); err != nil {
		return Config{}, err
	}
	if err := c.check(doc, flags); err != nil {
		return Config{}, err
	}
	for i := range c.Stores {
		c.Stores[i].dropNone()
	}
	return c, nil
}
