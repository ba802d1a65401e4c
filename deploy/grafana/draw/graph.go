package main

import (
	"fmt"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// foot is the room below a graph for its legend.
const foot = 22

// graph draws lines over time, or areas upon each other.
func (s *sheet) graph(a answered, x, y, w, h vg.Length) error {
	p := plot.New()
	p.BackgroundColor = nil
	p.X.Min, p.X.Max, p.Y.Min = 0, s.to-s.from, 0
	unit := a.Panel.FieldConfig.Defaults.Unit
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.LineStyle.Width, axis.Tick.LineStyle.Width, axis.Tick.Length, axis.Padding = 0, 0, 2, 0
		axis.Tick.Label = letters(10, faint, axis.Tick.Label.XAlign)
		axis.Tick.Label.YAlign = p.Y.Tick.Label.YAlign
	}
	p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = draw.XCenter, draw.YTop
	p.Y.Tick.Label.XAlign, p.Y.Tick.Label.YAlign = draw.XRight, draw.YCenter
	p.X.Tick.Marker = plot.ConstantTicks(timeTicks(s.to - s.from))
	lines := plotter.NewGrid()
	lines.Vertical.Width, lines.Horizontal.Width, lines.Horizontal.Color = 0, 0.7, grid
	p.Add(lines)
	key, most, err := s.series(p, a)
	if err != nil {
		return err
	}
	p.Y.Max, p.Y.Tick.Marker = valueTicks(most, unit)
	rect := vg.Rectangle{Min: vg.Point{X: x + 6, Y: s.high - y - h + foot}, Max: vg.Point{X: x + w - 10, Y: s.high - y}}
	p.Draw(draw.Canvas{Canvas: s.Canvas.Canvas, Rectangle: rect})
	s.legend(x+10, y+h-11, w-20, key)
	return nil
}

// A mark is an entry of a legend.
type mark struct {
	name string
	c    color.RGBA
}

// series adds what was found to p, and returns the legend and the greatest value.
func (s *sheet) series(p *plot.Plot, a answered) (key []mark, most float64, err error) {
	stacked := a.Panel.FieldConfig.Defaults.Custom.Stacking.Mode == "normal"
	under := map[float64]float64{}
	for i, found := range a.Series {
		c := a.Panel.colour(found.Name, i)
		key = append(key, mark{found.Name, c})
		var pieces []piece
		for j, point := range found.Points {
			t, v := point[0], point[1]
			if j == 0 || t-found.Points[j-1][0] > 2.5*s.step { // it was away meanwhile
				pieces = append(pieces, piece{})
			}
			last := &pieces[len(pieces)-1]
			if stacked {
				last.bottom = append(last.bottom, plotter.XY{X: t - s.from, Y: under[t]})
				under[t] += v
				v = under[t]
			}
			last.top = append(last.top, plotter.XY{X: t - s.from, Y: v})
			most = max(most, v)
		}
		for _, piece := range pieces {
			if err := piece.add(p, c); err != nil {
				return nil, 0, err
			}
		}
	}
	return key, most, nil
}

// A piece of a series is without gaps. It is an area if it has a bottom.
type piece struct{ bottom, top plotter.XYs }

func (q piece) add(p *plot.Plot, c color.RGBA) error {
	if len(q.bottom) > 0 {
		edge := slices.Clone(q.top)
		slices.Reverse(edge)
		fill, err := plotter.NewPolygon(append(q.bottom, edge...))
		if err != nil {
			return err
		}
		fill.Color, fill.LineStyle.Width = pale(c, 0.45), 0
		p.Add(fill)
	}
	line, err := plotter.NewLine(q.top)
	if err != nil {
		return err
	}
	line.Color, line.Width = c, 1.5
	p.Add(line)
	return nil
}

// legend writes names with their colours below a panel; what has no room is
// counted.
func (s *sheet) legend(x, y, w vg.Length, key []mark) {
	end := x + w
	for i, m := range key {
		name := fitted(m.name, 10, end-x-30)
		wide := width(letters(10, ink, left), name) + 28
		if room := end - x; i > 0 && (wide > room || i < len(key)-1 && wide > room-60) {
			s.text(x, y, 10, faint, left, fmt.Sprintf("and %d more", len(key)-i))
			return
		}
		s.box(x, y-2, 12, 4, m.c)
		s.text(x+16, y, 10, ink, left, name)
		x += wide
	}
}

// timeTicks are at whole steps of a run that lasts for so many seconds.
func timeTicks(lasts float64) (ticks []plot.Tick) {
	every := 30.0
	for lasts/every > 7 {
		every *= 2
	}
	for t := every; t < lasts; t += every {
		ticks = append(ticks, plot.Tick{Value: t, Label: fmt.Sprintf("%d:%02d", int(t)/60, int(t)%60)})
	}
	return ticks
}

// valueTicks are four or so round values up to most, and where the axis ends.
func valueTicks(most float64, unit string) (float64, plot.ConstantTicks) {
	if most <= 0 {
		most = 1
	}
	size, name := scale(most, unit)
	high := most / size
	every := math.Pow(10, math.Floor(math.Log10(high)))
	for _, part := range []float64{0.2, 0.25, 0.5, 1, 2, 2.5} {
		if high/(every*part) <= 4.5 {
			every *= part
			break
		}
	}
	if unit == "short" && size == 1 {
		every = max(every, 1)
	}
	var ticks []plot.Tick
	for v := 0.0; v <= high*1.08; v += every {
		label := number(v) + name
		if v == 0 {
			label = "0"
		}
		ticks = append(ticks, plot.Tick{Value: v * size, Label: label})
	}
	return most * 1.1, ticks
}
