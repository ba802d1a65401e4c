package tables_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"lethe/store/tables"
)

const (
	pageBytes = 8192
	rowBytes  = 44 // not a multiple of 8: there is padding
)

// heapPage is a page as a rewrite makes it, with n rows.
func heapPage(n int) []byte {
	p := make([]byte, pageBytes)
	upper := pageBytes
	for i := range n {
		upper -= 48
		binary.LittleEndian.PutUint32(p[24+4*i:], uint32(upper)|1<<15|rowBytes<<17)
		row := p[upper : upper+rowBytes]
		for j := range row {
			row[j] = 'x'
		}
		binary.LittleEndian.PutUint32(row[4:], 0)       // nobody deleted it
		binary.LittleEndian.PutUint16(row[20:], 0x0900) // xmin committed, xmax invalid
	}
	binary.LittleEndian.PutUint32(p[4:], 1000) // position in the log
	binary.LittleEndian.PutUint16(p[12:], uint16(24+4*n))
	binary.LittleEndian.PutUint16(p[14:], uint16(upper))
	binary.LittleEndian.PutUint16(p[16:], pageBytes)
	binary.LittleEndian.PutUint16(p[18:], pageBytes|4)
	return p
}

// deleted marks the last row of a heapPage of three.
func deleted(p []byte, by uint32, mask uint16) {
	row := p[pageBytes-3*48:]
	binary.LittleEndian.PutUint32(row[4:], by)
	binary.LittleEndian.PutUint16(row[20:], mask)
}

func TestAPageHoldsRowsAndNothingElse(t *testing.T) {
	const before, after = 99, 100
	for _, c := range []struct {
		name  string
		spoil func(p []byte)
		want  error
	}{
		{"as a rewrite makes it", func([]byte) {}, nil},
		{"never written", func(p []byte) { clear(p) }, nil},
		{"deleted before", func(p []byte) { deleted(p, before, 0x0100) }, tables.ErrResidue},
		{"deleted before, and seen to be", func(p []byte) { deleted(p, before, 0x0500) }, tables.ErrResidue},
		{"deleted before, where numbers begin again", func(p []byte) { deleted(p, 1<<32-5, 0x0100) }, tables.ErrResidue},
		{"deleted by several", func(p []byte) { deleted(p, after, 0x1100) }, tables.ErrResidue},
		{"deleted after", func(p []byte) { deleted(p, after, 0x0100) }, nil},
		{"locked", func(p []byte) { deleted(p, before, 0x01c0) }, nil},
		{"a deletion that was undone", func(p []byte) { deleted(p, before, 0x0900) }, nil},
		{"the hole, first byte", func(p []byte) { p[36] = 1 }, tables.ErrResidue},
		{"the hole, last byte", func(p []byte) { p[pageBytes-3*48-1] = 1 }, tables.ErrResidue},
		{"padding", func(p []byte) { p[pageBytes-1] = 1 }, tables.ErrResidue},
		{"a dead item", func(p []byte) { binary.LittleEndian.PutUint32(p[28:], 3<<15) }, tables.ErrResidue},
		{"a redirected item", func(p []byte) { binary.LittleEndian.PutUint32(p[28:], 2<<15|1) }, tables.ErrResidue},
		{"an unused item", func(p []byte) { binary.LittleEndian.PutUint32(p[28:], 0) }, tables.ErrResidue},
		{"a row without an item", func(p []byte) {
			binary.LittleEndian.PutUint16(p[12:], 24+4*2)
			clear(p[32:36])
		}, tables.ErrResidue},
		{"two items for one row", func(p []byte) { copy(p[32:36], p[28:32]) }, tables.ErrResidue},
		{"an item beyond the page", func(p []byte) { binary.LittleEndian.PutUint32(p[28:], 8184|1<<15|rowBytes<<17) }, tables.ErrLayout},
		{"an item shorter than a header", func(p []byte) { binary.LittleEndian.PutUint32(p[28:], 8096|1<<15|8<<17) }, tables.ErrLayout},
		{"another version", func(p []byte) { p[18]++ }, tables.ErrLayout},
		{"an index", func(p []byte) { binary.LittleEndian.PutUint16(p[16:], pageBytes-16) }, tables.ErrLayout},
		{"a hole that ends before it begins", func(p []byte) { binary.LittleEndian.PutUint16(p[14:], 24) }, tables.ErrLayout},
	} {
		p := heapPage(3)
		c.spoil(p)
		for _, kept := range []int64{0, -1} {
			if err := tables.CheckPage(p, after, 1000, kept); !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("%s: error %v, want %v", c.name, err, c.want)
			}
		}
		// Written after the rewrite: whatever it left had been a row then,
		// unless the rewrite had kept dead ones.
		if errors.Is(c.want, tables.ErrResidue) {
			if err := tables.CheckPage(p, after, 999, 0); err != nil {
				t.Errorf("%s, later: error %v", c.name, err)
			}
			for _, kept := range []int64{1, -1} {
				if err := tables.CheckPage(p, after, 999, kept); !errors.Is(err, c.want) {
					t.Errorf("%s, later, %d kept: error %v, want %v", c.name, kept, err, c.want)
				}
			}
		}
	}
}
