package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lethe/jobs/api"
)

const (
	leastRoom   = 64 << 20            // bytes that must be free wherever something is written
	leastInodes = 1000                // files that must be possible there
	soonExpired = 21 * 24 * time.Hour // that is left of a certificate
	fewFiles    = 1024                // open files: a service of many clients and stores needs more
	tooFewFiles = 128
)

// A room is what a file system has to offer.
type room struct {
	free, inodes uint64 // to this user: bytes, and files that can be made
	counts       bool   // whether inodes are counted at all
	readOnly     bool
}

// checkDisk: SQLite rewrites a database beside the old one, and needs the room of
// both; a journal may be as large.
func checkDisk(_ context.Context, p *ward) (found []api.Finding) {
	seen := map[string]bool{}
	look := func(what, file string) {
		dir := filepath.Dir(file)
		if file == "" || seen[file] || !exists(dir) {
			return
		}
		seen[file] = true
		found = append(found, roomFor(what, file, p.roomAt)...)
	}
	look("the ledger", filepath.Join(p.config.Data, ledgerFile))
	for i := range p.config.Stores {
		s := &p.config.Stores[i]
		for _, file := range s.files() {
			look("store "+s.Name, file)
		}
	}
	return found
}

// files are the SQLite files of a store.
func (c *StoreConfig) files() []string {
	var all []string
	if c.Kind == KindMem0SQLite {
		all = append(all, c.Vectors, c.Entities)
	}
	if c.Kind == KindTables && c.Driver == driverSQLite {
		if path, err := c.databasePath(); err == nil {
			all = append(all, path)
		}
	}
	if c.Kind == KindMem0SQLite || c.Kind == KindMem0Postgres {
		all = append(all, c.History)
	}
	var files []string
	for _, f := range all {
		if f != "" && f != fileNone {
			files = append(files, f)
		}
	}
	return files
}

func roomFor(what, file string, at func(dir string) (room, bool)) (found []api.Finding) {
	dir := filepath.Dir(file)
	r, ok := at(dir)
	if !ok {
		return nil
	}
	var size uint64
	if info, err := os.Stat(file); err == nil {
		size = uint64(max(info.Size(), 0))
	}
	need := max(2*size, leastRoom)
	switch {
	case r.readOnly:
		return []api.Finding{broken(what+" is on a file system that is mounted read-only: "+dir, "mount it so that it can be written to")}
	case r.free < leastRoom:
		found = append(found, broken(fmt.Sprintf("%s has %d MiB left to grow: %s", what, r.free>>20, dir), "make room, or move it to a larger disk"))
	case r.free < need:
		found = append(found, weak(fmt.Sprintf("%s cannot be rewritten for want of room, and so not be purged: %d MiB are free, %d needed: %s", what, r.free>>20, need>>20, dir), "make room, or move it to a larger disk"))
	}
	if r.counts && r.inodes < leastInodes {
		found = append(found, broken(fmt.Sprintf("%s is where only %d more files can be made: %s", what, r.inodes, dir), "remove small files there, or move it to another file system"))
	}
	return found
}

// checkCertificates reads the certificates in the files of the configuration.
func checkCertificates(_ context.Context, p *ward) (found []api.Finding) {
	files := map[string]string{}
	if t := p.config.TLS; t != nil {
		files["tls.cert"], files["tls.client_ca"] = t.Cert, t.ClientCA
	}
	if t := p.config.QueueTLS; t != nil {
		files["queue_tls.cert"], files["queue_tls.ca"] = t.Cert, t.CA
	}
	for _, field := range []string{"tls.cert", "tls.client_ca", "queue_tls.cert", "queue_tls.ca"} {
		if path := files[field]; path != "" {
			found = append(found, expiry(field, path, p.now)...)
		}
	}
	return found
}

// expiry looks at each certificate of a file; the first that ends is the one that
// counts.
func expiry(field, path string, now time.Time) []api.Finding {
	text, err := readSmallFile(path, maxEvidenceFile)
	if err != nil {
		return []api.Finding{broken(field+" cannot be read: "+path, "give a file in PEM that this user may read")}
	}
	var first time.Time
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && (first.IsZero() || c.NotAfter.Before(first)) {
			first = c.NotAfter
		}
	}
	day := first.UTC().Format(time.DateOnly)
	switch {
	case first.IsZero():
		return []api.Finding{broken(field+" holds no certificate: "+path, "give a file in PEM")}
	case first.Before(now):
		return []api.Finding{broken(field+" expired on "+day+": "+path, "put a new certificate there; the service takes it up by itself")}
	case first.Before(now.Add(soonExpired)):
		return []api.Finding{weak(field+" expires on "+day+": "+path, "put a new certificate there; the service takes it up by itself")}
	}
	return nil
}

// checkZones: the binary has the time zones with it; a name may be wrong for this
// version.
func checkZones(_ context.Context, p *ward) []api.Finding {
	if _, err := p.config.clock(); err != nil {
		return []api.Finding{broken("the calendar of a law cannot be read: "+err.Error(), "mend zone, holidays and regimes in the configuration")}
	}
	return nil
}

// checkOpenFiles: each connection and each database is one.
func checkOpenFiles(_ context.Context, p *ward) []api.Finding {
	const fix = "ulimit -n 65536, or LimitNOFILE=65536 for systemd"
	switch n := p.openFiles(); {
	case n == 0:
		return nil // it is not known
	case n < tooFewFiles:
		return []api.Finding{broken(fmt.Sprintf("only %d files may be open at once", n), fix)}
	case n < fewFiles:
		return []api.Finding{weak(fmt.Sprintf("only %d files may be open at once", n), fix)}
	}
	return nil
}
