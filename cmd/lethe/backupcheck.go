package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"lethe/audit"
	"lethe/audit/proof"
	"lethe/jobs/ledger"
)

// errDamaged says that a copy is no whole database. What is wrong in it is not told:
// it would name rows.
var errDamaged = errors.New("the copy is no whole SQLite database")

// examineBackup makes sure of a copy of a ledger, under the verifier keys that are
// believed: the database is whole, and its log hashes to its signed head.
func examineBackup(ctx context.Context, path, keys string) (b backup, err error) {
	db, err := readSQLite(path)
	if err != nil {
		return b, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	marked, err := ledger.Restored(ctx, db)
	if err != nil || !marked {
		return b, errors.Join(errDamaged, err)
	}
	var found []string
	if err := db.SelectContext(ctx, &found, `PRAGMA integrity_check(1)`); err != nil {
		return b, errors.Join(errDamaged, err)
	}
	if len(found) != 1 || found[0] != "ok" {
		return b, errDamaged
	}
	origin, _, _ := strings.Cut(keys, "+")
	l, err := audit.Open(ctx, db, audit.Options{Verifier: keys, Origin: origin})
	if err != nil {
		return b, fmt.Errorf("check the copy's log: %w", err)
	}
	report, err := guardedLog{l}.Check(ctx)
	if err != nil {
		return b, fmt.Errorf("check the copy's log: %w", err)
	}
	b.Origin, b.Entries, b.Root = origin, report.Size, report.Root.String()
	b.Bytes, b.SHA256, err = digestOf(path)
	return b, err
}

func digestOf(path string) (n int64, digest string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := sha256.New()
	n, err = io.Copy(h, f)
	return n, hex.EncodeToString(h.Sum(nil)), err
}

// isBackup reports whether a file is a copy of a ledger that lethe backup has made.
func isBackup(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	header := make([]byte, 72)
	if _, err := io.ReadFull(f, header); err != nil {
		return false
	}
	return strings.HasPrefix(string(header), "SQLite format 3\x00") && binary.BigEndian.Uint32(header[68:]) == ledger.BackupMark
}

// believedKeys returns the verifier keys that the log has had, by the files of the
// data folder, the one in force first.
func (c *Config) believedKeys() (string, error) {
	text, err := readSmallFile(filepath.Join(c.Data, logKeyFile+publicSuffix), 4096)
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w (the key is made when lethe serve first starts)", err)
	}
	if err != nil {
		return "", err
	}
	keys := strings.TrimSpace(string(text))
	former, err := c.keyFile().Retired()
	name, _, _ := strings.Cut(keys, "+")
	for _, verifier := range former {
		if strings.HasPrefix(verifier, name+"+") { // others were of logs before this one
			keys += "\n" + verifier
		}
	}
	if err == nil {
		_, err = proof.ParseKeys([]byte(keys))
	}
	return keys, err
}
