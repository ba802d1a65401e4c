package proof_test

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"lethe/audit/proof"
)

// bundle is a tile of entries.
func (l *tree) bundle(tile tlog.Tile, size int) (b []byte, err error) {
	first := int(tile.N) << proof.TileHeight
	if first+tile.W > size {
		return nil, fs.ErrNotExist
	}
	for _, body := range l.bodies[first : first+tile.W] {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(body))), body...)
	}
	return b, nil
}

// With the log at hand a certificate is said to be superseded, or not, or that this
// cannot be told: never that it is not when an entry that nobody showed says so.
func TestACertificateThatWasSupersededIsSaidToBe(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	const size = 700
	plain, l := newTree(t, size), newTree(t, 600)
	l.append(t, encode(t, &proof.Superseded{Header: proof.Header{Origin: origin}, RequestID: requestID, SupersededBy: otherID, SupersededAt: noon, Reason: "came-back"}))
	for len(l.bodies) < size {
		e := keyDestroyed()
		e.DestroyedAt += proof.Time(len(l.bodies))
		l.append(t, encode(t, e))
	}
	const bundle = "tile/entries/002.p/188"
	hide := func(fetch proof.Fetch, with func([]byte) ([]byte, error)) proof.Fetch {
		return func(path string) ([]byte, error) {
			b, err := fetch(path)
			if path == bundle && err == nil {
				return with(b)
			}
			return b, err
		}
	}
	true700 := l.fetch(t, size, signer)
	for name, c := range map[string]struct {
		of    *tree
		fetch proof.Fetch
		says  string
	}{
		"superseded":       {l, true700, "superseded YES, 2026-11-22T12:00:00Z (came-back), by request " + otherID},
		"not":              {plain, plain.fetch(t, size, signer), "superseded no, by none of the log's entries up to its 700"},
		"not by then":      {l, l.fetch(t, 600, signer), "superseded no, by none of the log's entries up to its 600"},
		"entries withheld": {l, hide(true700, func([]byte) ([]byte, error) { return nil, fs.ErrNotExist }), "superseded CANNOT TELL: the log's entries cannot be read"},
		"an entry of others": {l, hide(true700, func(b []byte) ([]byte, error) {
			return bytes.Replace(b, []byte("came-back"), []byte("gone-away"), 1), nil
		}), "superseded CANNOT TELL: the entries there are not"},
		"cut short": {l, hide(true700, func(b []byte) ([]byte, error) { return b[:len(b)/3], nil }), "superseded CANNOT TELL: the entries there are not"},
		"empty":     {l, hide(true700, func([]byte) ([]byte, error) { return nil, nil }), "superseded CANNOT TELL"},
		"too long":  {l, hide(true700, func([]byte) ([]byte, error) { return make([]byte, proof.MaxBundle+1), nil }), "superseded CANNOT TELL: the log's entries cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			cert := write(t, filepath.Join(t.TempDir(), "c"), c.of.certificate(t, 3, 30, signer).Text())
			again := write(t, filepath.Join(t.TempDir(), "d"), c.of.certificate(t, 3, 500, signer).Text())
			status := proof.RunVerify("lethe-verify", []string{cert, again, "--key", vkey, "--log", "http://log.example/log"}, func(string) proof.Fetch { return c.fetch }, &out, &out)
			if status != 0 || strings.Count(out.String(), c.says) != 2 {
				t.Errorf("status %d, want twice %q\n%s", status, c.says, &out)
			}
		})
	}
}

// Beyond so many entries nobody reads them all, and that is said.
func TestOfALogTooLargeToBeReadThatIsSaid(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	l := newTree(t, 5)
	body := encode(t, keyDestroyed())
	for len(l.bodies) < 5+1<<16 {
		h, err := tlog.StoredHashes(int64(len(l.bodies)), body, l)
		if err != nil {
			t.Fatal(err)
		}
		l.bodies, l.hashes = append(l.bodies, body), append(l.hashes, h...)
	}
	var out bytes.Buffer
	cert := write(t, filepath.Join(t.TempDir(), "c"), l.certificate(t, 3, 4, signer).Text())
	status := proof.RunVerify("lethe-verify", []string{cert, "--key", vkey, "--log", "http://log.example/log"}, func(string) proof.Fetch { return l.fetch(t, len(l.bodies), signer) }, &out, &out)
	if status != 0 || !strings.Contains(out.String(), "superseded CANNOT TELL: the log has more than 65536 entries") {
		t.Errorf("status %d\n%s", status, &out)
	}
}
