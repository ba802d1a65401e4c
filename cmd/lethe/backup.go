package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"lethe/audit/durable"
	"lethe/jobs/ledger"
)

var (
	errLedgerElsewhere = errors.New("the ledger is in PostgreSQL, which backs it up itself: pg_dump --format=custom --file=FILE DATABASE, " +
		`or a base backup with an archive of the write-ahead log; see "Backups of Lethe itself" in deploy/OPERATIONS.md`)
	errNoBackup   = errors.New("it is there, and is no backup of a ledger: give another name")
	errBesideSelf = errors.New("it would stand in the data folder, and be lost with it: give a path on another disk, or another machine's")
)

const backupLong = `Copies the ledger, with the log in it, to FILE: one consistent SQLite database of
one moment, also while the service runs. Before FILE gets its name it is checked:
the database whole, every entry of the log hashed again up to the signed head. FILE
has mode 0600, and is there whole or not at all. What is there already is not
overwritten; with --force an earlier backup is.

FILE names nobody: selectors and IDs of open requests are sealed in it, under keys in
the folder "keys", which are destroyed one by one as requests end. So neither those
keys nor the log's are in FILE, and must not be kept with it. Keep once, offline and
apart from the backups: log.key, log.key.pub and keys/secret. Keep nowhere: the rest
of "keys". A request that was open when all of that was lost must be asked for again.

The log does not go on from a backup that was put back until it is shown that
nothing came after it: by log.head, an anchor, or lethe log import. The steps are in
deploy/OPERATIONS.md, "Backups of Lethe itself".

A ledger in PostgreSQL is not copied: its own tools do that.

Without --config and --data the copy is made by the server and downloaded, which an
admin may; the server needs room for a copy in its data folder.`

func backupCommand(c *console) *cobra.Command {
	var (
		s             source
		force, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the ledger to a file, also while the service runs",
		Long:  backupLong,
		Example: `  lethe backup --config lethe.yaml /backup/lethe-$(date +%F).db
  lethe backup --force --data ./lethe-data /mnt/elsewhere/ledger.backup
  lethe backup --server https://erasure.example.com --token-file admin.token ledger.backup`,
		Args:        wants("FILE"),
		Annotations: map[string]string{exitNote: exitSection(exitUnverified)},
	}
	s.remote.add(cmd)
	cmd.Flags().StringVar(&s.config, "config", "", "copy the ledger that `FILE` names, not through the server")
	cmd.Flags().StringVar(&s.data, "data", "", "copy the ledger in the data folder `DIR`, not through the server")
	cmd.Flags().BoolVar(&force, "force", false, "take the place of an earlier backup of that name")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		b, err := c.backUp(cmd.Context(), &s, args[0], force)
		if err != nil {
			return err
		}
		if asJSON {
			return c.answerJSON(b)
		}
		c.answer("%s: %d bytes, sha256 %s; log of %d entries, root %s\n", b.File, b.Bytes, b.SHA256, b.Entries, b.Root)
		return nil
	}
	return cmd
}

// A backup is a copy of a ledger that was made and checked.
type backup struct {
	File    string    `json:"file"`
	Bytes   int64     `json:"bytes"`
	SHA256  string    `json:"sha256"`
	Origin  string    `json:"log"`     // the log's name
	Entries int64     `json:"entries"` // in the log
	Root    string    `json:"root"`
	At      time.Time `json:"at"` // when it was begun: what came later may not be in it
}

// backUp makes one.
func (c *console) backUp(ctx context.Context, s *source, file string, force bool) (b backup, err error) {
	fill := s.download
	if s.direct() {
		config, err := Load(s.config, Overrides{Data: s.data})
		if err != nil {
			return b, err
		}
		if config.postgres() != "" {
			return b, errLedgerElsewhere
		}
		if standsIn(config.Data, file) {
			return b, fmt.Errorf("back up to %s: %w", file, errBesideSelf)
		}
		fill = config.copyLedger
	}
	if err := mayStand(file, force); err != nil {
		return b, fmt.Errorf("back up to %s: %w", file, err)
	}
	bar := newMeter(c.stderr)
	defer bar.stop()
	err = durable.Fill(file, force, 0o600, func(tmp string) error {
		b, err = fill(ctx, tmp, bar)
		return err
	})
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%w: --force takes the place of an earlier backup", err)
	}
	if err != nil {
		return b, fmt.Errorf("back up to %s: %w", file, err)
	}
	b.File = file
	if s.direct() { // else the server has noted it
		if err := noteBackup(s, b); err != nil {
			c.talk("the backup is good; that it was made could not be noted in the data folder: %v\n", err)
		}
	}
	return b, nil
}

// copyLedger fills tmp with a checked copy of the ledger in the data folder.
func (c *Config) copyLedger(ctx context.Context, tmp string, bar *meter) (backup, error) {
	at := time.Now()
	if _, err := os.Stat(filepath.Join(c.Data, ledgerFile)); err != nil {
		return backup{}, fmt.Errorf("open the ledger: %w", err)
	}
	keys, err := c.believedKeys()
	if err != nil {
		return backup{}, fmt.Errorf("find the log's key: %w", err)
	}
	if err := ledger.Backup(ctx, c.Data, tmp, bar.pages); err != nil {
		return backup{}, err
	}
	bar.say("checking")
	b, err := examineBackup(ctx, tmp, keys)
	b.At = at.UTC()
	return b, err
}

// mayStand says why a file of that name must not be made.
func mayStand(file string, force bool) error {
	info, err := os.Lstat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !force:
		return fmt.Errorf("%w: --force takes the place of an earlier backup", fs.ErrExist)
	case !info.Mode().IsRegular() || !isBackup(file):
		return errNoBackup
	}
	return nil
}

// standsIn reports whether a file would stand in a folder or below it.
func standsIn(dir, file string) bool {
	folder, err := os.Stat(dir)
	if err != nil {
		return false
	}
	at, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return false
	}
	if real, err := filepath.EvalSymlinks(at); err == nil {
		at = real
	}
	for {
		if info, err := os.Stat(at); err == nil && os.SameFile(info, folder) {
			return true
		}
		up := filepath.Dir(at)
		if up == at {
			return false
		}
		at = up
	}
}
