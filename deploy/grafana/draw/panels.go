package main

import (
	"slices"
	"sort"
	"strconv"

	"gonum.org/v1/plot/vg"
)

// last is a series' value at the end of the run.
func (s *series) last() float64 { return s.Points[len(s.Points)-1][1] }

// stat draws a number in a box.
func (s *sheet) stat(a answered, x, y, w, h vg.Length) error {
	back, front, title := white, ink, faint
	text := "no data"
	if len(a.Series) > 0 {
		is := a.Panel.state(a.Series[0].last())
		text = is.Text
		if d := a.Panel.FieldConfig.Defaults; d.Decimals != nil && len(d.Mappings) == 0 {
			text = strconv.FormatFloat(a.Series[0].last(), 'f', *d.Decimals, 64)
		}
		if a.Panel.judges() {
			back, front, title = colourOf(is.Color), white, white
			if is.Color == "yellow" || is.Color == "orange" {
				front, title = ink, ink
			}
		}
	}
	s.box(x, y, w, h, back)
	s.text(x+8, y+14, 11, title, left, a.Panel.Title)
	s.text(x+w/2, y+h/2+10, 26, front, middle, text)
	return nil
}

// timeline draws a row of states for each series.
func (s *sheet) timeline(a answered, x, y, w, h vg.Length) error {
	const names, foot = 170, 40
	high := min((h-foot)/vg.Length(max(1, len(a.Series))), 36)
	wide := w - names - 12
	at := func(t float64) vg.Length { return x + names + wide*vg.Length((t-s.from)/(s.to-s.from)) }
	for i, line := range a.Series {
		top := y + vg.Length(i)*high
		s.text(x+8, top+high/2, 11, ink, left, fitted(line.Name, 11, names-12))
		for _, p := range line.stretches(s.step) {
			s.box(at(p.from), top+3, at(min(p.to, s.to))-at(p.from), high-6, colourOf(a.Panel.state(p.value).Color))
		}
	}
	s.clock(x+names, y+vg.Length(len(a.Series))*high+8, wide)
	var key []mark
	for _, m := range a.Panel.FieldConfig.Defaults.Mappings {
		for _, v := range m.Options {
			key = append(key, mark{v.Text, colourOf(v.Color)})
		}
	}
	sort.Slice(key, func(i, j int) bool { return key[i].name < key[j].name })
	s.legend(x+8, y+h-12, w, key)
	return nil
}

// A stretch is a time during which a series had one value.
type stretch struct{ from, to, value float64 }

func (s *series) stretches(step float64) (all []stretch) {
	for _, p := range s.Points {
		if n := len(all); n > 0 && all[n-1].value == p[1] && p[0] <= all[n-1].to+step/2 {
			all[n-1].to = p[0] + step
			continue
		}
		all = append(all, stretch{p[0], p[0] + step, p[1]})
	}
	return all
}

// clock writes times below a graph that is w wide.
func (s *sheet) clock(x, y, w vg.Length) {
	for _, t := range timeTicks(s.to - s.from) {
		s.text(x+w*vg.Length(t.Value/(s.to-s.from)), y, 10, faint, middle, t.Label)
	}
}

// bars draws a bar for each series.
func (s *sheet) bars(a answered, x, y, w, h vg.Length) error {
	most := 0.0
	for _, line := range a.Series {
		most = max(most, line.last())
	}
	const names, values = 90, 80
	for i, line := range a.Series {
		top := y + 8 + vg.Length(i)*34
		is := a.Panel.state(line.last())
		s.text(x+8, top+12, 12, ink, left, line.Name)
		room := w - names - values
		s.box(x+names, top, room, 24, grid)
		if most > 0 {
			s.box(x+names, top, room*vg.Length(line.last()/most), 24, colourOf(is.Color))
		}
		s.text(x+w-8, top+12, 12, ink, right, is.Text)
	}
	return nil
}

// table draws the labels of series.
func (s *sheet) table(a answered, x, y, w, h vg.Length) error {
	var names []string
	for _, line := range a.Series {
		for name := range line.Labels {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	wide := (w - 16) / vg.Length(max(1, len(names)))
	for i, name := range names {
		s.text(x+8+vg.Length(i)*wide, y+10, 11, faint, left, name)
	}
	s.box(x+8, y+20, w-16, 1, grid)
	for j, line := range a.Series {
		top := y + 34 + vg.Length(j)*22
		if top > y+h-8 {
			break
		}
		for i, name := range names {
			s.text(x+8+vg.Length(i)*wide, top, 11, ink, left, fitted(line.Labels[name], 11, wide-8))
		}
	}
	return nil
}
