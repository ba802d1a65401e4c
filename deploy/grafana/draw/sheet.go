package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Sizes in pixels, which are points here.
const (
	cell   = 50 // a column of Grafana's 24
	line   = 32 // a row of its grid
	gap    = 4  // around a panel
	header = 34
)

// A sheet is a picture that is being drawn. Its y grows downward, as Grafana's.
type sheet struct {
	draw.Canvas
	high vg.Length

	from, to, step float64 // as in the record
}

// png draws a dashboard.
func (d *dashboard) png(r *record) ([]byte, error) {
	rows := 0
	for _, p := range d.Panels {
		rows = max(rows, p.Panel.GridPos.Y+p.Panel.GridPos.H)
	}
	wide, high := vg.Length(24*cell), vg.Length(rows*line+header)
	img := vgimg.NewWith(vgimg.UseWH(wide, high), vgimg.UseDPI(72))
	s := &sheet{Canvas: draw.New(img), high: high, from: r.From, to: r.To, step: r.Step}
	s.box(0, 0, wide, high, paper)
	s.text(12, header/2, 18, ink, left, d.Title)
	s.text(wide-12, header/2, 12, faint, right, fmt.Sprintf("a recorded run of %.0f seconds", r.To-r.From))
	for _, p := range d.Panels {
		if err := s.panel(p); err != nil {
			return nil, fmt.Errorf("panel %s: %w", p.Panel.Title, err)
		}
	}
	return encode(img.Image())
}

// panel draws one panel into its place.
func (s *sheet) panel(a answered) error {
	g := a.Panel.GridPos
	x, y := vg.Length(g.X*cell), vg.Length(g.Y*line+header)
	w, h := vg.Length(g.W*cell), vg.Length(g.H*line)
	if a.Panel.Type == "row" {
		s.text(x+12, y+h/2, 14, ink, left, a.Panel.Title)
		return nil
	}
	x, y, w, h = x+gap, y+gap, w-2*gap, h-2*gap
	s.box(x, y, w, h, white)
	if a.Panel.Type == "stat" {
		return s.stat(a, x, y, w, h)
	}
	s.text(x+8, y+12, 12, ink, left, a.Panel.Title)
	y, h = y+24, h-24
	switch a.Panel.Type {
	case "timeseries":
		return s.graph(a, x, y, w, h)
	case "state-timeline":
		return s.timeline(a, x, y, w, h)
	case "bargauge":
		return s.bars(a, x, y, w, h)
	case "table":
		return s.table(a, x, y, w, h)
	}
	return fmt.Errorf("no drawing for a %s", a.Panel.Type)
}

// box fills a rectangle.
func (s *sheet) box(x, y, w, h vg.Length, c color.Color) {
	top := s.high - y
	s.FillPolygon(c, []vg.Point{{X: x, Y: top}, {X: x + w, Y: top}, {X: x + w, Y: top - h}, {X: x, Y: top - h}})
}

// Where a text stands to its point.
const (
	left   = draw.XLeft
	middle = draw.XCenter
	right  = draw.XRight
)

// text writes a line, its middle at y. Letters are set one by one: gonum's kerning
// pushes some into each other at this size.
func (s *sheet) text(x, y vg.Length, size float64, c color.Color, at draw.XAlignment, text string) {
	style := letters(size, c, left)
	switch at {
	case middle:
		x -= width(style, text) / 2
	case right:
		x -= width(style, text)
	}
	for _, r := range text {
		s.FillText(style, vg.Point{X: x, Y: s.high - y}, string(r))
		x += style.Width(string(r))
	}
}

func width(style draw.TextStyle, text string) (w vg.Length) {
	for _, r := range text {
		w += style.Width(string(r))
	}
	return w
}

// fitted is a text that is cut off where it would be wider than w.
func fitted(text string, size float64, w vg.Length) string {
	letter := []rune(text)
	for n := len(letter); n > 0; n-- {
		if cut := string(letter[:n]); width(letters(size, ink, left), cut) <= w {
			if n < len(letter) {
				cut = string(letter[:max(0, n-1)]) + "…"
			}
			return cut
		}
	}
	return ""
}

func letters(size float64, c color.Color, at draw.XAlignment) draw.TextStyle {
	return draw.TextStyle{
		Color: c, Font: font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, vg.Length(size)),
		XAlign: at, YAlign: draw.YCenter, Handler: plot.DefaultTextHandler,
	}
}

// maxColours is how many a picture has at most.
const maxColours = 48

// encode writes an indexed PNG: of the colours that occur most often, for the rest
// are only the edges of letters and lines.
func encode(img image.Image) ([]byte, error) {
	often := map[color.RGBA]int{}
	b := img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			often[color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)]++
		}
	}
	palette := commonest(often)
	near := map[color.RGBA]uint8{}
	out := image.NewPaletted(b, palette)
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)
			i, ok := near[c]
			if !ok {
				i = uint8(palette.Index(c))
				near[c] = i
			}
			out.SetColorIndex(x, y, i)
		}
	}
	var text bytes.Buffer
	err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&text, out)
	return text.Bytes(), err
}

// commonest picks colours, each the one that is farthest from those there are,
// weighted by how often it occurs.
func commonest(often map[color.RGBA]int) color.Palette {
	type candidate struct {
		c      color.RGBA
		weight float64
		far    float64
	}
	all := make([]candidate, 0, len(often))
	for c, n := range often {
		all = append(all, candidate{c, math.Sqrt(float64(n)), math.Inf(1)})
	}
	var palette color.Palette
	for len(palette) < min(maxColours, len(all)) {
		best := 0
		for i, c := range all {
			worth, most := c.weight*c.far, all[best].weight*all[best].far
			if worth > most || worth == most && less(c.c, all[best].c) {
				best = i
			}
		}
		chosen := all[best].c
		palette = append(palette, chosen)
		for i := range all {
			all[i].far = min(all[i].far, distance(all[i].c, chosen))
		}
	}
	return palette
}

func less(a, b color.RGBA) bool {
	return uint32(a.R)<<16|uint32(a.G)<<8|uint32(a.B) < uint32(b.R)<<16|uint32(b.G)<<8|uint32(b.B)
}

func distance(a, b color.RGBA) float64 {
	d := func(x, y uint8) float64 { return (float64(x) - float64(y)) * (float64(x) - float64(y)) }
	return d(a.R, b.R) + d(a.G, b.G) + d(a.B, b.B)
}
