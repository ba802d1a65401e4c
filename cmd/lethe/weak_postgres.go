package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// A database is one on PostgreSQL that is written to.
type database struct {
	name     string // "the ledger", or "store NAME"
	loopback bool   // also a socket
	secure   bool   // by TLS alone, and only with the server that is meant
	asked    bool   // whether it answered: the rest is not known otherwise
	super    bool   // its user may do everything
	skew     time.Duration

	config *pgx.ConnConfig
}

// databasesOf reads the addresses. What cannot be read, others say.
func databasesOf(c Config) []database {
	var all []database
	add := func(name, dsn string) {
		config, err := pgx.ParseConfig(dsn)
		if err != nil {
			return
		}
		all = append(all, database{name: name, config: config, loopback: isLocalHost(config.Host), secure: isSecure(config)})
	}
	if dsn := c.postgres(); dsn != "" {
		add("the ledger", dsn)
	}
	for _, s := range c.Stores {
		if s.Kind != KindMem0Postgres && s.Driver != driverPostgres {
			continue
		}
		for _, path := range []string{s.DSNFile, s.AppDSNFile} {
			if text, err := readSmallFile(path, maxSecretFile); path != "" && err == nil {
				add("store "+s.Name, strings.TrimSpace(string(text)))
			}
		}
	}
	return all
}

func isLocalHost(host string) bool {
	ip := net.ParseIP(host)
	return strings.HasPrefix(host, "/") || host == "localhost" || ip != nil && ip.IsLoopback()
}

// isSecure reports whether every way to connect is by TLS with a server whose
// certificate is checked: sslmode verify-full or verify-ca.
func isSecure(c *pgx.ConnConfig) bool {
	secure := c.TLSConfig != nil && (!c.TLSConfig.InsecureSkipVerify || c.TLSConfig.VerifyPeerCertificate != nil)
	for _, f := range c.Fallbacks {
		secure = secure && f.TLSConfig != nil
	}
	return secure
}

// askDatabases asks each for what its address does not say.
func askDatabases(ctx context.Context, c Config) []database {
	all := databasesOf(c)
	for i := range all {
		all[i].ask(ctx)
	}
	return all
}

func (d *database) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, d.config)
	if err != nil {
		return // whoever needs it says so
	}
	defer func() { _ = conn.Close(ctx) }()
	var millis int64
	begun := time.Now()
	err = conn.QueryRow(ctx, `SELECT rolsuper, (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint FROM pg_roles WHERE rolname = current_user`).Scan(&d.super, &millis)
	if err != nil {
		return
	}
	d.asked = true
	d.skew = time.UnixMilli(millis).Sub(begun.Add(time.Since(begun) / 2)).Abs()
}

func lookPostgresTLS(ctx context.Context, s *surroundings) (found []weakness) {
	for _, d := range s.databases(ctx) {
		if !d.loopback && !d.secure {
			found = append(found, weakness{
				"the database of " + d.name + " is reached over the network without TLS that is checked",
				"add sslmode=verify-full&sslrootcert=FILE to its address",
			})
		}
	}
	return found
}

func lookPostgresRole(ctx context.Context, s *surroundings) (found []weakness) {
	for _, d := range s.databases(ctx) {
		if d.asked && d.super {
			found = append(found, weakness{
				"the database user of " + d.name + " is a superuser: it may do far more than Lethe needs",
				"make a user of its own with the rights that lethe stores check and the README name",
			})
		}
	}
	return found
}

// clockLimit is how far off this machine's clock may be: deadlines and leases
// are compared between machines.
const clockLimit = 2 * time.Second

func lookClock(ctx context.Context, s *surroundings) (found []weakness) {
	for _, d := range s.databases(ctx) {
		if d.asked && d.skew > clockLimit {
			found = append(found, weakness{
				fmt.Sprintf("the clocks of this machine and of the database of %s are %s apart", d.name, d.skew.Round(time.Second)),
				"run NTP on both",
			})
		}
	}
	return found
}
