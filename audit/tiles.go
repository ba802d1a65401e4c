package audit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/tlog"
)

// Cache headers of what the log publishes (C2SP tlog-tiles, APIs): the
// checkpoint changes, tiles never do.
const (
	cacheNever   = "no-cache"
	cacheForever = "public, max-age=31536000, immutable"
)

// tile returns the bytes of a tile or of a bundle of entries, or an error
// wrapping [ErrNotFound] if a log of this size has none like it.
func (l *Log) tile(ctx context.Context, q querier, t tlog.Tile, size int64) ([]byte, error) {
	level := max(t.L, 0) // bundles are cut like level 0; above 7 a shift would pass 63 bits
	if level > 7 || t.N<<proof.TileHeight+int64(t.W) > size>>(proof.TileHeight*level) {
		return nil, ErrNotFound
	}
	if t.L != proof.EntriesLevel {
		return tlog.ReadTileData(t, l.reader(ctx, q))
	}
	bodies, err := l.bodies(ctx, q, t.N<<proof.TileHeight, int64(t.W))
	if err != nil {
		return nil, err
	}
	if len(bodies) != t.W {
		return nil, fmt.Errorf("%w: an entry of bundle %d is missing", ErrBroken, t.N)
	}
	var bundle []byte
	for _, b := range bodies {
		bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(b))) // Encode bounds it
		bundle = append(bundle, b...)
	}
	return bundle, nil
}

// Export writes the log as files that any static server can publish: the
// checkpoint, tiles and bundles of entries (C2SP tlog-tiles). Files of an
// earlier export are kept; the checkpoint is replaced last, so a reader never
// sees one that the tiles do not cover. An earlier export that the log is not a
// continuation of is left as it is, for it may be the only copy of what the log
// has lost; errors are those of [Log.CheckPin].
func (l *Log) Export(ctx context.Context, dir string) error {
	if err := l.export(ctx, dir); err != nil {
		return fmt.Errorf("export log: %w", err)
	}
	return nil
}

func (l *Log) export(ctx context.Context, dir string) error {
	earlier, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err == nil {
		err = l.CheckPin(ctx, earlier)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the copy that is there: %w", err)
	}
	h, err := l.Head(ctx)
	if err != nil {
		return err
	}
	tiles := tlog.NewTiles(proof.TileHeight, 0, h.Size)
	for _, t := range tiles {
		if t.L == 0 { // bundles are cut like the tiles of their hashes
			t.L = proof.EntriesLevel
			tiles = append(tiles, t)
		}
	}
	for _, t := range tiles {
		path := filepath.Join(dir, filepath.FromSlash(proof.TilePath(t)))
		if _, err := os.Stat(path); err == nil {
			continue
		}
		b, err := l.tile(ctx, l.db, t, h.Size)
		if err != nil {
			return fmt.Errorf("%s: %w", proof.TilePath(t), err)
		}
		if err := replaceFile(path, b); err != nil {
			return err
		}
	}
	return replaceFile(filepath.Join(dir, "checkpoint"), h.Note)
}

// replaceFile makes a file appear whole or not at all.
func replaceFile(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, b, 0o644); err != nil { //nolint:gosec // to be published
		return err
	}
	return os.Rename(tmp, path)
}

// Handler serves GET /log/checkpoint and GET /log/tile/…, as C2SP tlog-tiles
// says, and GET /log/keys, which is what [Log.Keys] returns. What is not there, and what never can be, is 404.
func (l *Log) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /log/checkpoint", func(w http.ResponseWriter, r *http.Request) {
		b, err := l.Checkpoint(r.Context())
		publish(w, b, err, "text/plain; charset=utf-8", cacheNever)
	})
	mux.HandleFunc("GET /log/keys", func(w http.ResponseWriter, r *http.Request) {
		b, err := l.Keys(r.Context())
		publish(w, b, err, "text/plain; charset=utf-8", cacheNever)
	})
	mux.HandleFunc("GET /log/tile/{path...}", func(w http.ResponseWriter, r *http.Request) {
		b, err := l.published(r.Context(), strings.TrimPrefix(r.URL.EscapedPath(), "/log/"))
		publish(w, b, err, "application/octet-stream", cacheForever)
	})
	return mux
}

func (l *Log) published(ctx context.Context, path string) ([]byte, error) {
	t, err := proof.ParseTilePath(path)
	if err != nil {
		return nil, ErrNotFound
	}
	size, err := l.Size(ctx)
	if err != nil {
		return nil, err
	}
	return l.tile(ctx, l.db, t, size)
}

func publish(w http.ResponseWriter, b []byte, err error, contentType, cache string) {
	switch {
	case errors.Is(err, ErrNotFound):
		http.Error(w, "not in the log", http.StatusNotFound)
		return
	case err != nil: // nothing of it is for strangers; the log's own check tells
		http.Error(w, "the log cannot be read", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", cache)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(b) // the client has gone: nobody is left to tell
}
