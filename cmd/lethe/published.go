package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"lethe/audit"
	"lethe/audit/proof"
)

// A publishedLog is a log as anyone can read it: a signed head, tiles and
// bundles of entries (C2SP tlog-tiles). Nothing of it is believed that the
// head does not vouch for.
type publishedLog struct {
	fetch proof.Fetch
	keys  *proof.Policy
}

// readPublished returns the log that is published there, as one command sees it:
// under one head. A server that answers with another head each time would be
// checked under one, and have another kept as the pin.
func readPublished(fetch proof.Fetch, keys *proof.Policy) *publishedLog {
	var head []byte
	return &publishedLog{keys: keys, fetch: func(path string) ([]byte, error) {
		if path != "checkpoint" {
			return fetch(path)
		}
		if head == nil {
			text, err := fetch(path)
			if err != nil {
				return nil, err
			}
			head = text
		}
		return head, nil
	}}
}

const bundleWidth = 1 << proof.TileHeight

func (p *publishedLog) Checkpoint(context.Context) ([]byte, error) {
	text, err := p.fetch("checkpoint")
	if err != nil {
		return nil, fmt.Errorf("read the log's checkpoint: %w", err)
	}
	return text, nil
}

func (p *publishedLog) head(ctx context.Context) (proof.Head, error) {
	text, err := p.Checkpoint(ctx)
	if err != nil {
		return proof.Head{}, err
	}
	return proof.OpenHead(text, p.keys)
}

// Check reads every entry and computes the root anew.
func (p *publishedLog) Check(ctx context.Context) (audit.Report, error) {
	h, err := p.head(ctx)
	if err != nil {
		return audit.Report{}, err
	}
	report := audit.Report{Size: h.Size, Root: h.Root, Heads: 1, Kinds: make(map[string]int)}
	open := map[string]bool{} // requests that were accepted and have not ended
	var roots []tlog.Hash     // of whole subtrees, the largest first: one for each bit of the size so far
	for n := int64(0); n < h.Size; n += bundleWidth {
		if err := ctx.Err(); err != nil {
			return report, err
		}
		bodies, err := p.bundle(n/bundleWidth, h.Size)
		if err != nil {
			return report, err
		}
		for i, body := range bodies {
			e, err := proof.Decode(body)
			if err != nil {
				return report, fmt.Errorf("%w: entry %d: %w", proof.ErrNotVerified, n+int64(i), err)
			}
			report.Kinds[e.Kind()]++
			request := strings.TrimSuffix(e.ID(), "/"+e.Kind())
			switch e.Kind() {
			case proof.KindAccepted:
				open[request] = true
			case proof.KindCompleted, proof.KindCancelled, proof.KindRejected, proof.KindSuperseded:
				delete(open, request)
			}
			roots = grow(roots, n+int64(i), tlog.RecordHash(body))
		}
	}
	report.Open = len(open)
	if root := fold(roots); root != h.Root {
		return report, fmt.Errorf("%w: the entries do not give the root of the signed head, size %d", proof.ErrNotVerified, h.Size)
	}
	return report, nil
}

// grow adds leaf number n to the subtrees (RFC 6962, section 2.1): every
// trailing 1 of n is a whole subtree that the new one completes.
func grow(roots []tlog.Hash, n int64, leaf tlog.Hash) []tlog.Hash {
	for ; n&1 == 1; n >>= 1 {
		leaf = tlog.NodeHash(roots[len(roots)-1], leaf)
		roots = roots[:len(roots)-1]
	}
	return append(roots, leaf)
}

func fold(roots []tlog.Hash) tlog.Hash {
	if len(roots) == 0 {
		empty, _ := tlog.TreeHash(0, nil) // never fails
		return empty
	}
	root := roots[len(roots)-1]
	for i := len(roots) - 2; i >= 0; i-- {
		root = tlog.NodeHash(roots[i], root)
	}
	return root
}

// bundle returns the entries of bundle n of a log of that size.
func (p *publishedLog) bundle(n, size int64) ([][]byte, error) {
	width := min(bundleWidth, size-n*bundleWidth)
	path := proof.TilePath(tlog.Tile{H: proof.TileHeight, L: proof.EntriesLevel, N: n, W: int(width)})
	b, err := p.fetch(path)
	if err != nil {
		return nil, fmt.Errorf("read entries: %w", err)
	}
	bodies := make([][]byte, 0, width)
	for range width {
		if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
			return nil, fmt.Errorf("%w: %s is cut short", proof.ErrNotVerified, path)
		}
		end := 2 + int(binary.BigEndian.Uint16(b))
		bodies, b = append(bodies, b[2:end]), b[end:]
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("%w: %s has more in it than its name says", proof.ErrNotVerified, path)
	}
	return bodies, nil
}

// CheckPin compares the log with a head that was kept elsewhere.
func (p *publishedLog) CheckPin(_ context.Context, text []byte) error {
	old, err := proof.OpenHead(text, p.keys)
	if err != nil {
		return fmt.Errorf("check pin: %w", err)
	}
	if _, err := proof.CheckLog(old, p.fetch, p.keys); err != nil {
		return fmt.Errorf("check pin: %w", err)
	}
	return nil
}

// Consistent compares two heads with one another and with the log.
func (p *publishedLog) Consistent(ctx context.Context, a, b []byte) error {
	var heads [2]proof.Head
	for i, text := range [][]byte{a, b} {
		h, err := proof.OpenHead(text, p.keys)
		if err != nil {
			return fmt.Errorf("compare heads: %w", err)
		}
		heads[i] = h
	}
	if heads[0].Size == heads[1].Size {
		if err := proof.Consistent(heads[0], heads[1], nil); err != nil {
			return fmt.Errorf("compare heads: %w", err)
		}
	}
	return errors.Join(p.CheckPin(ctx, a), p.CheckPin(ctx, b))
}

// Tail returns the newest n entries, each compared with its hash in the tree.
func (p *publishedLog) Tail(ctx context.Context, n int) ([]audit.Line, error) {
	h, err := p.head(ctx)
	if err != nil {
		return nil, err
	}
	var lines []audit.Line
	hashes := h.Hashes(p.fetch)
	from := max(0, h.Size-int64(n))
	for at := from - from%bundleWidth; at < h.Size; at += bundleWidth {
		bodies, err := p.bundle(at/bundleWidth, h.Size)
		if err != nil {
			return nil, err
		}
		for i, body := range bodies {
			idx := at + int64(i)
			if idx < from {
				continue
			}
			want, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, idx)})
			if err != nil {
				return nil, fmt.Errorf("read the hash of entry %d: %w", idx, err)
			}
			e, err := proof.Decode(body)
			if err != nil || want[0] != tlog.RecordHash(body) {
				return nil, fmt.Errorf("%w: entry %d is not the one that the head covers", proof.ErrNotVerified, idx)
			}
			lines = append(lines, audit.Line{Index: idx, Entry: e})
		}
	}
	return lines, nil
}

// Export copies the log, the checkpoint last, and checks it on the way. A copy
// that the log is not a continuation of is left as it is.
func (p *publishedLog) Export(ctx context.Context, dir string) error {
	earlier, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err == nil {
		err = p.CheckPin(ctx, earlier)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("export log: the copy that is there: %w", err)
	}
	h, err := p.head(ctx)
	if err != nil {
		return err
	}
	tiles := tlog.NewTiles(proof.TileHeight, 0, h.Size)
	for _, t := range tiles {
		wanted := []tlog.Tile{t}
		if t.L == 0 { // bundles are cut like the tiles of their hashes
			wanted = append(wanted, tlog.Tile{H: t.H, L: proof.EntriesLevel, N: t.N, W: t.W})
		}
		for _, one := range wanted {
			if err := p.copyTile(dir, proof.TilePath(one)); err != nil {
				return fmt.Errorf("export log: %w", err)
			}
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // to be published
		return fmt.Errorf("export log: %w", err)
	}
	if err := writeFile(filepath.Join(dir, "checkpoint"), h.Note, 0o644); err != nil {
		return err
	}
	exported := &publishedLog{keys: p.keys, fetch: folder(dir)}
	if _, err = exported.Check(ctx); err != nil {
		return err
	}
	return checkTiles(h, exported.fetch, tiles)
}

// checkTiles checks what Check does not read. To read one hash of a tile is to
// check the tile.
func checkTiles(h proof.Head, fetch proof.Fetch, tiles []tlog.Tile) error {
	hashes := h.Hashes(fetch)
	for some := range slices.Chunk(tiles, 1024) {
		indexes := make([]int64, len(some))
		for i, t := range some {
			indexes[i] = tlog.StoredHashIndex(t.L*t.H, t.N<<t.H)
		}
		if _, err := hashes.ReadHashes(indexes); err != nil {
			return fmt.Errorf("%w: export log: the tiles are not those of the signed head: %w", proof.ErrNotVerified, err)
		}
	}
	return nil
}

func (p *publishedLog) copyTile(dir, path string) error {
	b, err := p.fetch(path)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	to := filepath.Join(dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil { //nolint:gosec // to be published
		return err
	}
	return writeFile(to, b, 0o644)
}

// folder returns a Fetch for a log that was exported to dir.
func folder(dir string) proof.Fetch {
	return func(path string) ([]byte, error) { return os.ReadFile(filepath.Join(dir, filepath.FromSlash(path))) }
}
