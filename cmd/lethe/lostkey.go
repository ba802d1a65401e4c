package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lethe/jobs/ledger"
)

// errLostKey says that a ledger is there whose log's key is not.
var errLostKey = errors.New("the log's key is gone")

// keyLost refuses a data folder whose ledger is there and whose log's key is
// not, so that none is made that would stand in the way of the right one when it
// is put back. The ledger is looked for first: on first use the key is made
// before it, maybe by another process at this moment.
func (c *Config) keyLost(ctx context.Context) error {
	dir := c.Data
	begun, err := c.ledgerBegun(ctx)
	if err != nil || !begun {
		return err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look for the log's key: %w", err)
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), logKeyFile) { // what is left of it says better what to do
			return nil
		}
	}
	return fmt.Errorf("%w: there is a ledger, and %s holds no %s: put it and %s back from where they are kept", errLostKey, dir, logKeyFile, logKeyFile+publicSuffix)
}

// keyAlone reports whether there is a log's key and no ledger: somebody has put
// the key there for a first start, or the ledger is gone.
func (c *Config) keyAlone(ctx context.Context) (bool, error) {
	if _, err := os.Stat(filepath.Join(c.Data, logKeyFile)); err != nil {
		return false, nil
	}
	if c.postgres() != "" { // of processes that start at once, one makes the key
		begun, err := ledger.Begun(ctx, c.postgres())
		return !begun, err
	}
	_, err := os.Stat(filepath.Join(c.Data, ledgerFile))
	return errors.Is(err, fs.ErrNotExist), nil
}

// ledgerBegun reports whether there is a ledger that has a log.
func (c *Config) ledgerBegun(ctx context.Context) (bool, error) {
	if c.postgres() != "" {
		return ledger.Begun(ctx, c.postgres())
	}
	info, err := os.Stat(filepath.Join(c.Data, ledgerFile))
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for the ledger: %w", err)
	}
	return true, nil
}
