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
