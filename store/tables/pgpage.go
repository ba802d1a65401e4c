package tables

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
)

// errResidue says of a page that it may hold bytes of a row that is gone, and
// errLayout that it is none that we know.
var (
	errResidue = errors.New("bytes of rows that are gone")
	errLayout  = errors.New("pages of an unknown layout")
)

// Where things are in a page of a table, and in the header of a row: PostgreSQL
// documentation, "Database Page Layout", and htup_details.h.
const (
	pageLower, pageUpper, pageSpecial, pageSize = 12, 14, 16, 18
	pageItems                                   = 24
	pageVersion                                 = 4

	rowXmax, rowMask, rowHeader = 4, 20, 23

	itemNormal = 1 // the state of an item that is a row

	maskExclusive = 0x0040 // xmax locked the row
	maskLockOnly  = 0x0080 // xmax did nothing else
	maskInvalid   = 0x0800 // there is no xmax
	maskMulti     = 0x1000 // xmax is several transactions

	rowAlign = 8
)

// A pageCheck tells whether a page holds rows and nothing else. A rewrite makes
// pages like that, with rows that nobody has deleted.
type pageCheck struct {
	horizon uint32 // see pgRewritten
	end     uint64
	kept    int64
}

// page returns errResidue if the page may hold bytes of a row that was gone
// before the rewrite, and errLayout if it cannot be read. What was written
// after the rewrite may leave anything behind, but for the rows that the
// rewrite had to keep.
func (c pageCheck) page(b []byte) error {
	if allZero(b) {
		return nil
	}
	at := func(off int) int { return int(binary.LittleEndian.Uint16(b[off:])) }
	lower, upper, special := at(pageLower), at(pageUpper), at(pageSpecial)
	if at(pageSize) != len(b)|pageVersion || lower < pageItems || lower%4 != 0 || upper < lower || upper%rowAlign != 0 || special != len(b) || upper > special {
		return errLayout
	}
	lsn := uint64(binary.LittleEndian.Uint32(b))<<32 | uint64(binary.LittleEndian.Uint32(b[4:]))
	if lsn > c.end && c.kept == 0 {
		return nil
	}
	if !allZero(b[lower:upper]) {
		return errResidue
	}
	return c.rows(b, lower, upper)
}

// rows looks at each row, and between them.
func (c pageCheck) rows(b []byte, lower, upper int) error {
	type item struct{ off, len int }
	var items []item
	for i := pageItems; i < lower; i += 4 {
		v := binary.LittleEndian.Uint32(b[i:])
		off, state, size := int(v&0x7fff), v>>15&3, int(v>>17)
		if state != itemNormal {
			return errResidue
		}
		if size < rowHeader || off < upper || off+size > len(b) {
			return errLayout
		}
		if c.gone(b[off:]) {
			return errResidue
		}
		items = append(items, item{off, size})
	}
	slices.SortFunc(items, func(x, y item) int { return cmp.Compare(x.off, y.off) })
	next := upper
	for _, x := range items {
		if x.off != next {
			return errResidue
		}
		next = (x.off + x.len + rowAlign - 1) / rowAlign * rowAlign
		if next > len(b) || !allZero(b[x.off+x.len:next]) {
			return errResidue
		}
	}
	if next != len(b) {
		return errResidue
	}
	return nil
}

// gone reports whether a row was deleted before the rewrite, or may have been.
func (c pageCheck) gone(row []byte) bool {
	mask := binary.LittleEndian.Uint16(row[rowMask:])
	locked := mask&maskLockOnly != 0 || mask&(maskMulti|maskExclusive) == maskExclusive
	if mask&maskInvalid != 0 || locked {
		return false
	}
	xmax := binary.LittleEndian.Uint32(row[rowXmax:])
	return xmax != 0 && (mask&maskMulti != 0 || int32(xmax-c.horizon) < 0)
}

func allZero(b []byte) bool {
	const chunk = 64
	var zero [chunk]byte
	for len(b) > chunk {
		if !bytes.Equal(b[:chunk], zero[:]) {
			return false
		}
		b = b[chunk:]
	}
	return bytes.Equal(b, zero[:len(b)])
}
