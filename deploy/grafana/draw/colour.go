package main

import (
	"fmt"
	"image/color"
	"math"
	"strconv"
	"strings"
)

func paint(hex string) color.RGBA {
	n, _ := strconv.ParseUint(strings.TrimPrefix(hex, "#"), 16, 32)
	return color.RGBA{R: uint8(n >> 16), G: uint8(n >> 8), B: uint8(n), A: 255}
}

var (
	paper = paint("#f4f5f5")
	white = paint("#ffffff")
	ink   = paint("#24292e")
	faint = paint("#6e7681")
	grid  = paint("#e3e5e8")
)

// named are Grafana's names of colours.
var named = map[string]string{
	"green": "#5aa64b", "yellow": "#e0b400", "orange": "#e5811d", "red": "#d8344a", "blue": "#3f7fd9", "purple": "#9a5cc0",
}

// palette is for series that have no colour of their own.
var palette = []string{"#5aa64b", "#e0b400", "#3f7fd9", "#e5811d", "#39a0a8", "#9a5cc0", "#7a6a58", "#d8344a"}

func colourOf(name string) color.RGBA {
	if hex, ok := named[name]; ok {
		return paint(hex)
	}
	return paint(name)
}

// pale is a colour mixed with white.
func pale(c color.RGBA, share float64) color.RGBA {
	mix := func(v uint8) uint8 { return uint8(255 - (255-float64(v))*share) }
	return color.RGBA{R: mix(c.R), G: mix(c.G), B: mix(c.B), A: 255}
}

// colour is that of series number i.
func (p *panel) colour(name string, i int) color.RGBA {
	for _, o := range p.FieldConfig.Overrides {
		if o.Matcher.Options == name && len(o.Properties) > 0 {
			return colourOf(o.Properties[0].Value.FixedColor)
		}
	}
	return paint(palette[i%len(palette)])
}

// state is what a value means, and its colour: by the mappings, else by the
// thresholds.
func (p *panel) state(v float64) state {
	for _, m := range p.FieldConfig.Defaults.Mappings {
		if s, ok := m.Options[strconv.FormatFloat(v, 'f', -1, 64)]; ok {
			return s
		}
	}
	s := state{Text: shown(v, p.FieldConfig.Defaults.Unit), Color: "green"}
	for _, t := range p.FieldConfig.Defaults.Thresholds.Steps {
		if t.Value == nil || v >= *t.Value {
			s.Color = t.Color
		}
	}
	return s
}

// judges reports whether a colour says something.
func (p *panel) judges() bool {
	d := p.FieldConfig.Defaults
	return len(d.Thresholds.Steps) > 1 || len(d.Mappings) > 0
}

// shown writes a value with its unit.
func shown(v float64, unit string) string {
	if math.IsNaN(v) {
		return "–"
	}
	size, name := scale(v, unit)
	return number(v/size) + name
}

// scale is in which multiple of a unit a value of this size is written.
func scale(v float64, unit string) (size float64, name string) {
	v = math.Abs(v)
	switch {
	case unit == "s" && v >= 2*86400:
		return 86400, " d"
	case unit == "s" && v >= 2*3600:
		return 3600, " h"
	case unit == "s" && v >= 120:
		return 60, " min"
	case unit == "s" && v < 1 && v != 0:
		return 0.001, " ms"
	case unit == "s":
		return 1, " s"
	case unit == "bytes":
		return 1 << 20, " MiB"
	case unit == "percentunit":
		return 0.01, " %"
	case unit == "cps":
		return 1, "/s"
	case v >= 1000:
		return 1000, " K"
	}
	return 1, ""
}

// number has three digits at most.
func number(v float64) string {
	digits := 2
	switch a := math.Abs(v); {
	case a >= 100 || a == math.Trunc(a):
		digits = 0
	case a >= 10:
		digits = 1
	}
	text := fmt.Sprintf("%.*f", digits, v)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}
