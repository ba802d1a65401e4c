package proof

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// TileHeight is the height of the tiles of a log (C2SP tlog-tiles): 256 hashes
// wide.
const TileHeight = 8

// EntriesLevel is the level of tiles that are bundles of entries.
const EntriesLevel = -1

// A Fetch returns one file of a tiled log, given its path below the log's
// prefix, such as "checkpoint" or "tile/0/x001/234". Its error wraps
// [fs.ErrNotExist] if there is no such file.
type Fetch func(path string) ([]byte, error)

// TilePath returns the path of a tile of height [TileHeight] as C2SP
// tlog-tiles spells it, which is without the height.
func TilePath(t tlog.Tile) string {
	level := "entries"
	if t.L != EntriesLevel {
		level = strconv.Itoa(t.L)
	}
	n := fmt.Sprintf("%03d", t.N%1000)
	for rest := t.N / 1000; rest > 0; rest /= 1000 {
		n = fmt.Sprintf("x%03d/%s", rest%1000, n)
	}
	path := "tile/" + level + "/" + n
	if t.W < 1<<TileHeight {
		path += fmt.Sprintf(".p/%d", t.W)
	}
	return path
}

// ParseTilePath reverses [TilePath] and refuses any other spelling.
func ParseTilePath(path string) (tlog.Tile, error) {
	bad := errors.New("not the path of a tile")
	t := tlog.Tile{H: TileHeight, W: 1 << TileHeight}
	rest, ok := strings.CutPrefix(path, "tile/")
	level, rest, found := strings.Cut(rest, "/")
	if !ok || !found {
		return tlog.Tile{}, bad
	}
	var err error
	if t.L = EntriesLevel; level != "entries" {
		if t.L, err = strconv.Atoi(level); err != nil || t.L < 0 || t.L > 63 {
			return tlog.Tile{}, bad
		}
	}
	rest, width, partial := strings.Cut(rest, ".p/")
	if partial {
		if t.W, err = strconv.Atoi(width); err != nil || t.W < 1 || t.W >= 1<<TileHeight {
			return tlog.Tile{}, bad
		}
	}
	// Five groups of three digits stay far below overflow in N<<TileHeight.
	if len(rest) > len("x000/x000/x000/x000/000") {
		return tlog.Tile{}, bad
	}
	digits := strings.NewReplacer("x", "", "/", "").Replace(rest)
	if t.N, err = strconv.ParseInt(digits, 10, 64); err != nil || t.N < 0 || TilePath(t) != path {
		return tlog.Tile{}, bad
	}
	return t, nil
}

// Hashes reads the hashes of the tree under h from its tiles. Every hash is
// checked against h before it is used, so the tiles need not be trusted.
func (h Head) Hashes(fetch Fetch) tlog.HashReader {
	return h.hashes(&tiles{fetch: fetch})
}

func (h Head) hashes(t *tiles) tlog.HashReader {
	return tlog.TileHashReader(tlog.Tree{N: h.Size, Hash: h.Root}, t)
}

// tiles implements [tlog.TileReader]. It keeps the last error, to tell a tile
// that could not be had from one that is wrong.
type tiles struct {
	fetch Fetch
	err   error
}

func (*tiles) Height() int                     { return TileHeight }
func (*tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t *tiles) ReadTiles(want []tlog.Tile) ([][]byte, error) {
	all := make([][]byte, len(want))
	for i, tile := range want {
		if all[i], t.err = t.read(tile); t.err != nil {
			return nil, t.err
		}
	}
	return all, nil
}

func (t *tiles) read(tile tlog.Tile) ([]byte, error) {
	width := tile.W * tlog.HashSize
	b, err := t.fetch(TilePath(tile))
	// A partial tile may be gone once the full one is there.
	if errors.Is(err, fs.ErrNotExist) && tile.W < 1<<TileHeight {
		tile.W = 1 << TileHeight
		b, err = t.fetch(TilePath(tile))
	}
	if err != nil {
		return nil, fmt.Errorf("read tile: %w", err)
	}
	if len(b) != tile.W*tlog.HashSize {
		return nil, fmt.Errorf("read tile: %w: not as long as its name says", ErrNotVerified)
	}
	return b[:width], nil
}
