//go:build torture

package main

// #include "disk.h"
// #include <stdlib.h>
import "C"

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"unsafe"
)

// What can go wrong with a disk, as SQLite's result codes.
const (
	diskFull     = 13           // SQLITE_FULL
	diskNoWrite  = 10 | 3<<8    // SQLITE_IOERR_WRITE
	diskNoSync   = 10 | 4<<8    // SQLITE_IOERR_FSYNC
	diskSector   = 512          // what is written whole or not at all
	onlySyncs    = C.disk_sync  // for fail
	onlyWrites   = C.disk_write // for fail
	anyOperation = 0            // for fail
)

// A disk has a cache that does not outlive a power cut. It sees all that SQLite
// does with the files of one folder, through the driver that the ledger uses.
type disk struct {
	number C.int
	dir    string
	base   map[string][]byte // what the files held at first, which is safe
}

var installDisk = sync.OnceValue(func() error { //nolint:gochecknoglobals // SQLite has one list of them
	if C.disk_install() != 0 {
		return errors.New("SQLite does not take the lab's disk")
	}
	return nil
})

// newDisk watches dir from now on. SQLite must have no file of it open.
func newDisk(dir string) (*disk, error) {
	if err := installDisk(); err != nil {
		return nil, err
	}
	d := &disk{dir: dir, base: map[string][]byte{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Type().IsRegular() {
			if d.base[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
				return nil, err
			}
		}
	}
	path := C.CString(dir)
	defer C.free(unsafe.Pointer(path))
	if d.number = C.disk_attach(path); d.number < 0 {
		return nil, errors.New("too many disks")
	}
	return d, nil
}

func (d *disk) close() { C.disk_detach(d.number) }

// count is how many operations there have been.
func (d *disk) count() int { return int(C.disk_count(d.number)) }

// fail makes the operations of one kind fail, times of them, from the at-th
// operation of all on. It returns how many failed of what was said before.
func (d *disk) fail(at, times, code, only int) int {
	return int(C.disk_fail(d.number, C.longlong(at), C.int(times), C.int(code), C.int(only)))
}

// A change is one operation as it was seen.
type change struct {
	kind  int
	file  string
	at    int64
	bytes []byte
}

// changes returns all operations.
func (d *disk) changes() []change {
	list := make([]change, d.count())
	for i := range list {
		op := C.disk_get(d.number, C.longlong(i))
		list[i] = change{
			kind: int(op.kind), file: filepath.Base(C.GoString(C.disk_path(d.number, op.file))),
			at: int64(op.at), bytes: C.GoBytes(op.bytes, op.size),
		}
	}
	return list
}

// cut writes into dir what a power cut after the first n changes leaves. What a
// file's last sync covers is there. Of what came after, any part may be:
// each sector with the odds given, whatever its neighbours and those before it.
// A disk that lies has no syncs.
func (d *disk) cut(all []change, n int, dir string, odds float64, lies bool, rng *rand.Rand) error {
	synced := map[string]int{}
	for i, c := range all[:n] {
		if c.kind == C.disk_sync && !lies {
			synced[c.file] = i
		}
	}
	files := map[string][]byte{}
	for name, text := range d.base {
		files[name] = append([]byte(nil), text...)
	}
	for i, c := range all[:n] {
		safe := i < synced[c.file]
		switch c.kind {
		case C.disk_write:
			files[c.file] = written(files[c.file], c, safe, odds, rng)
		case C.disk_truncate:
			if text := files[c.file]; (safe || rng.Float64() < odds) && int64(len(text)) > c.at {
				files[c.file] = text[:c.at]
			}
		case C.disk_delete:
			if rng.Float64() < odds {
				delete(files, c.file)
			}
		}
	}
	for name, text := range files {
		if filepath.Ext(name) == ".db-shm" || name == "ledger.lock" {
			continue // shared memory, which is no file of a disk
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return fmt.Errorf("after the cut: %w", err)
		}
	}
	return nil
}

// written returns text after a write of which all sectors, or any, came through.
func written(text []byte, c change, safe bool, odds float64, rng *rand.Rand) []byte {
	for from := 0; from < len(c.bytes); {
		at := int(c.at) + from
		to := min(len(c.bytes), from+diskSector-at%diskSector)
		if safe || rng.Float64() < odds {
			if grow := at + to - from - len(text); grow > 0 {
				text = append(text, make([]byte, grow)...)
			}
			copy(text[at:], c.bytes[from:to])
		}
		from = to
	}
	return text
}
