package main

import (
	"context"
	"os"
	"path/filepath"
)

// lookKeyFiles: a file with a secret that others may read is no secret. A group
// that may read it is somebody's choice.
func lookKeyFiles(_ context.Context, s *surroundings) (found []weakness) {
	for _, f := range secretFiles(s.config) {
		info, err := os.Stat(f.path)
		if f.path == "" || err != nil || info.Mode().Perm()&0o027 == 0 {
			continue
		}
		found = append(found, weakness{f.field + " can be read by others, or changed by its group: " + f.path, "chmod 600 " + f.path})
	}
	return found
}

type secretFile struct{ field, path string }

// secretFiles lists every file with a secret in it.
func secretFiles(c Config) []secretFile {
	all := []secretFile{
		{"the log's key", filepath.Join(c.Data, logKeyFile)},
		{"the key folder", filepath.Join(c.Data, keysFolder)},
		{"ledger_file", c.LedgerFile},
		{"queue_file", c.QueueFile},
		{"queue_password_file", c.QueuePasswordFile},
	}
	if c.QueueTLS != nil {
		all = append(all, secretFile{"queue_tls.key", c.QueueTLS.Key})
	}
	if c.TLS != nil {
		all = append(all, secretFile{"tls.key", c.TLS.Key})
	}
	if w := c.Webhooks; w != nil {
		all = append(all, secretFile{"webhooks.secret_file", w.SecretFile})
		for _, e := range w.Endpoints {
			all = append(all, secretFile{"webhooks.endpoints.url_file", e.URLFile})
		}
	}
	for i := range c.Anchors {
		a := &c.Anchors[i]
		all = append(all, secretFile{"anchors.token_file", a.TokenFile})
		if a.S3 != nil {
			all = append(all, secretFile{"anchors.s3.secret_file", a.S3.SecretFile}, secretFile{"anchors.s3.session_file", a.S3.SessionFile})
		}
	}
	for _, s := range c.Stores {
		all = append(all, secretFile{"stores." + s.Name + ".app_dsn_file", s.AppDSNFile}, secretFile{"stores." + s.Name + ".token_file", s.TokenFile})
		if s.Driver != driverSQLite { // there it holds a path
			all = append(all, secretFile{"stores." + s.Name + ".dsn_file", s.DSNFile})
		}
	}
	return all
}

// lookDataFolder: it holds the ledger, the log and the keys.
func lookDataFolder(_ context.Context, s *surroundings) []weakness {
	info, err := os.Stat(s.config.Data)
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	return []weakness{{"the data folder is open to other users of this machine: " + s.config.Data, "chmod 700 " + s.config.Data}}
}
