package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// A record is what a run has left: the dashboards, and what their queries gave.
type record struct {
	From, To   float64 // Unix times, in seconds
	Step       float64 // between two points
	Dashboards []dashboard
}

type dashboard struct {
	Name, Title string
	Panels      []answered
}

// An answered panel is one as it stands in the dashboard's file, with the series
// that were found for it.
type answered struct {
	Panel  panel
	Series []series
}

type panel struct {
	Type, Title string
	GridPos     struct{ X, Y, W, H int }
	FieldConfig struct {
		Defaults struct {
			Unit       string
			Decimals   *int
			Thresholds struct{ Steps []step }
			Mappings   []struct{ Options map[string]state }
			Custom     struct{ Stacking struct{ Mode string } }
		}
		Overrides []struct {
			Matcher    struct{ Options string }
			Properties []struct{ Value struct{ FixedColor string } }
		}
	}
}

type step struct {
	Color string
	Value *float64 // from which on; nil for the first
}

type state struct{ Text, Color string }

type series struct {
	Name   string
	Labels map[string]string
	Points [][2]float64 // time and value
}

// maxPicture is the largest file, in bytes.
const maxPicture = 60_000

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "draw:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: draw RECORD DIR")
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("read %s: %w", args[0], err)
	}
	for _, d := range r.Dashboards {
		picture, err := d.png(&r)
		if err != nil {
			return fmt.Errorf("%s: %w", d.Name, err)
		}
		if len(picture) > maxPicture {
			return fmt.Errorf("%s: %d bytes, %d at most", d.Name, len(picture), maxPicture)
		}
		if err := os.WriteFile(filepath.Join(args[1], d.Name+".png"), picture, 0o644); err != nil {
			return err
		}
		fmt.Printf("%s.png: %d bytes\n", d.Name, len(picture))
	}
	return nil
}
