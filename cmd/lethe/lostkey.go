package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// errLostKey says that a ledger is there whose log's key is not.
var errLostKey = errors.New("the log's key is gone")

// keyLost refuses a data folder whose ledger is there and whose log's key is
// not, so that none is made that would stand in the way of the right one when it
// is put back. The ledger is looked for first: on first use the key is made
// before it, maybe by another process at this moment.
func keyLost(dir string) error {
	info, err := os.Stat(filepath.Join(dir, ledgerFile))
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	} else if err != nil {
		return fmt.Errorf("look for the ledger: %w", err)
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
	return fmt.Errorf("%w: %s holds a ledger and no %s: put it and %s back from where they are kept", errLostKey, dir, logKeyFile, logKeyFile+publicSuffix)
}

// keyAlone reports whether there is a log's key and no ledger: somebody has put
// the key there for a first start, or the ledger is gone.
func keyAlone(dir string) bool {
	_, key := os.Stat(filepath.Join(dir, logKeyFile))
	_, ledger := os.Stat(filepath.Join(dir, ledgerFile))
	return key == nil && errors.Is(ledger, fs.ErrNotExist)
}
