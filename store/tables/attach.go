package tables

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"
	"github.com/mattn/go-sqlite3"

	"lethe/store"
)

// A connector opens connections to all files of a map at once.
type connector struct {
	files  []File
	mode   string // "rw" or "ro"; never one that creates a file
	busyMS int
}

// Connect implements driver.Connector.
func (c connector) Connect(context.Context) (driver.Conn, error) {
	d := &sqlite3.SQLiteDriver{ConnectHook: c.attach}
	return d.Open(c.uri(c.files[0].Path))
}

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return &sqlite3.SQLiteDriver{} }

func (c connector) uri(path string) string {
	u := url.URL{Scheme: "file", Path: path}
	return fmt.Sprintf("%s?mode=%s&_busy_timeout=%d&_txlock=deferred", u.String(), c.mode, c.busyMS)
}

// attach adds the other files to a new connection and prepares each of them.
// An attached file opens with the mode of its own URI.
func (c connector) attach(conn *sqlite3.SQLiteConn) error {
	for _, f := range c.files[1:] {
		uri, _, _ := strings.Cut(c.uri(f.Path), "&")
		if _, err := conn.Exec("ATTACH ? AS "+quote(f.Name), []driver.Value{uri}); err != nil {
			return err
		}
	}
	// Temporary tables hold IDs: they stay in memory.
	pragmas := []string{"PRAGMA temp_store=MEMORY", "PRAGMA trusted_schema=OFF", "PRAGMA foreign_keys=OFF"}
	for i, f := range c.files {
		s := schemaName(i, f)
		pragmas = append(pragmas, "PRAGMA "+s+".secure_delete=ON", "PRAGMA "+s+".synchronous=EXTRA")
		if c.mode == "rw" {
			pragmas = append(pragmas, "PRAGMA "+s+".cache_size=-16384")
		}
	}
	_, err := conn.Exec(strings.Join(pragmas, ";"), nil)
	return err
}

func (c connector) open() *sqlx.DB { return sqlx.NewDb(sql.OpenDB(c), "sqlite3") }

// schemaName is how statements name the i-th file: SQLite calls the first one
// of a connection main, whatever it is.
func schemaName(i int, f File) string {
	if i == 0 {
		return "main"
	}
	return quote(f.Name)
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// resolve follows symbolic links and refuses one file under two names. What is
// not there, or is not a SQLite file, may be put right: the store is away.
func resolve(files []File) ([]File, error) {
	var out []File
	var seen []os.FileInfo
	for _, f := range files {
		path, info, err := sqliteFile(f.Path)
		if err != nil {
			return nil, fmt.Errorf("%w: %s file: %w", store.ErrUnavailable, f.Name, err)
		}
		for i := range seen {
			if os.SameFile(seen[i], info) {
				return nil, fmt.Errorf("%w: %s and %s are the same file", store.ErrRefused, out[i].Name, f.Name)
			}
		}
		seen = append(seen, info)
		out = append(out, File{f.Name, path})
	}
	return out, nil
}

func sqliteFile(path string) (string, os.FileInfo, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", nil, err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", nil, err
	}
	if !info.Mode().IsRegular() {
		return "", nil, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	magic := []byte("SQLite format 3\x00")
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(f, head); err != nil || !bytes.Equal(head, magic) {
		return "", nil, errors.New("not a SQLite database")
	}
	return path, info, nil
}

// coded reduces an error of SQLite to its code, and passes others on.
func coded(err error) error {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return err
	}
	return codeError{e.Code, e.ExtendedCode}
}

type codeError struct {
	code     sqlite3.ErrNo
	extended sqlite3.ErrNoExtended
}

func (e codeError) Error() string { return fmt.Sprintf("sqlite: %s (%d)", e.code.Error(), e.extended) }

// Is makes errors that opening the file anew may tell more about those of a
// store that is away: the file cannot be opened, read, or written to.
func (e codeError) Is(target error) bool {
	away := []sqlite3.ErrNo{sqlite3.ErrCantOpen, sqlite3.ErrIoErr, sqlite3.ErrNotADB, sqlite3.ErrPerm, sqlite3.ErrReadonly}
	return target == store.ErrUnavailable && slices.Contains(away, e.code)
}

// locked reports whether err says that another connection is in the way.
func locked(err error) bool {
	var e sqlite3.Error
	if errors.As(err, &e) {
		return e.Code == sqlite3.ErrBusy || e.Code == sqlite3.ErrLocked
	}
	var c codeError
	return errors.As(err, &c) && (c.code == sqlite3.ErrBusy || c.code == sqlite3.ErrLocked)
}
