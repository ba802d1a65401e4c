package proof_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func open(t testing.TB, text []byte, keys *proof.Policy) proof.Head {
	t.Helper()
	h, err := proof.OpenHead(text, keys)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// fetch publishes the tree of a size, all of its files made on demand.
func (l *tree) fetch(t testing.TB, size int, signer note.Signer) proof.Fetch {
	return func(path string) ([]byte, error) {
		if path == "checkpoint" {
			return l.checkpoint(t, size, signer), nil
		}
		tile, err := proof.ParseTilePath(path)
		if err == nil && tile.L == proof.EntriesLevel {
			return l.bundle(tile, size)
		}
		if err != nil || tile.N<<8+int64(tile.W) > int64(size)>>(8*tile.L) {
			return nil, fs.ErrNotExist
		}
		return tlog.ReadTileData(tile, l)
	}
}

func TestHeadsOfOneLogAreConsistent(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	keys := parseKeys(t, vkey)
	l := newTree(t, 300)
	var heads []proof.Head
	for n := range 301 {
		heads = append(heads, open(t, l.checkpoint(t, n, signer), keys))
	}
	for n := 1; n <= 300; n++ {
		for m := 1; m <= n; m += 1 + n/10 { // TestEveryPairUpTo300 has them all
			path, err := tlog.ProveTree(int64(n), int64(m), l)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(proof.Consistent(heads[m], heads[n], path), proof.Consistent(heads[n], heads[m], path)); err != nil {
				t.Fatalf("%d and %d: %v", m, n, err)
			}
		}
	}
	for _, m := range []int{0, 1, 7, 255, 256, 257, 299, 300} {
		if err := proof.ConsistentByTiles(heads[m], heads[300], l.fetch(t, 300, signer)); err != nil {
			t.Errorf("%d by tiles: %v", m, err)
		}
	}
}

func TestForksAreDivergence(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	keys := parseKeys(t, vkey)
	one, two := newTree(t, 40), newTree(t, 20)
	for i := range 20 { // another history from entry 20 on
		e := keyDestroyed()
		e.DestroyedAt += proof.Time(1000 + i)
		two.append(t, encode(t, e))
	}
	a, b := open(t, one.checkpoint(t, 40, signer), keys), open(t, two.checkpoint(t, 40, signer), keys)
	if err := proof.Consistent(a, b, nil); !errors.Is(err, proof.ErrDiverged) {
		t.Errorf("same size: err = %v, want ErrDiverged", err)
	}
	shorter := open(t, one.checkpoint(t, 30, signer), keys)
	if err := proof.ConsistentByTiles(shorter, b, two.fetch(t, 40, signer)); !errors.Is(err, proof.ErrDiverged) {
		t.Errorf("by tiles: err = %v, want ErrDiverged", err)
	}
	path, err := tlog.ProveTree(40, 30, two)
	if err != nil {
		t.Fatal(err)
	}
	if err := proof.Consistent(shorter, b, path); !errors.Is(err, proof.ErrNotVerified) || errors.Is(err, proof.ErrDiverged) {
		t.Errorf("by a path: err = %v, want ErrNotVerified", err)
	}
	// Tiles of the other history are not vouched for: that shows nothing.
	if err := proof.ConsistentByTiles(shorter, b, one.fetch(t, 40, signer)); !errors.Is(err, proof.ErrNotVerified) || errors.Is(err, proof.ErrDiverged) {
		t.Errorf("wrong tiles: err = %v, want ErrNotVerified", err)
	}
	gone := func(string) ([]byte, error) { return nil, fs.ErrNotExist }
	if err := proof.ConsistentByTiles(shorter, b, gone); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, proof.ErrNotVerified) {
		t.Errorf("no tiles: err = %v, want ErrNotExist", err)
	}
	if _, err := proof.CheckLog(a, two.fetch(t, 30, signer), keys); !errors.Is(err, proof.ErrNotVerified) {
		t.Errorf("a log rolled back: err = %v, want ErrNotVerified", err)
	}
	if _, err := proof.CheckLog(shorter, two.fetch(t, 40, signer), keys); !errors.Is(err, proof.ErrDiverged) {
		t.Errorf("a log rewritten: err = %v, want ErrDiverged", err)
	}
}

func TestHeadsOfTwoLogsAreNotCompared(t *testing.T) {
	s1, k1 := newKey(t, 1, origin)
	s2, k2 := newKey(t, 2, "log.example/other")
	l := newTree(t, 5)
	a, b := open(t, l.checkpoint(t, 5, s1), parseKeys(t, k1)), open(t, l.checkpoint(t, 4, s2), parseKeys(t, k2))
	if err := proof.Consistent(a, b, nil); !errors.Is(err, proof.ErrNotVerified) {
		t.Errorf("err = %v, want ErrNotVerified", err)
	}
}

func TestTilePathsAreThoseOfC2SP(t *testing.T) {
	for path, want := range map[string]tlog.Tile{
		"tile/0/000":                {H: 8, L: 0, N: 0, W: 256},
		"tile/1/x001/x234/067":      {H: 8, L: 1, N: 1234067, W: 256},
		"tile/0/x001/000.p/255":     {H: 8, L: 0, N: 1000, W: 255},
		"tile/entries/x001/001.p/1": {H: 8, L: -1, N: 1001, W: 1},
		"tile/63/999":               {H: 8, L: 63, N: 999, W: 256},
	} {
		got, err := proof.ParseTilePath(path)
		if err != nil || got != want || proof.TilePath(want) != path {
			t.Errorf("%s: got %+v, %v; %+v has path %s", path, got, err, want, proof.TilePath(want))
		}
	}
	for _, path := range []string{
		"", "tile", "tile/0", "tile/0/", "tile/0/0", "tile/0/0000", "tile/00/000", "tile/64/000", "tile/-1/000", "tile/+1/000",
		"tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/", "tile/0/x000/000", "tile/0/001/000", "tile/0/x001/x000",
		"tile/8/0/000", "tile/data/000", "tile/0/000/", "tile/0/-01", "../tile/0/000", "tile/0/" + strings.Repeat("x999/", 9) + "999",
	} {
		if got, err := proof.ParseTilePath(path); err == nil {
			t.Errorf("%q: got %+v, want an error", path, got)
		}
	}
}
