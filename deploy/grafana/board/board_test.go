package board

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestTheFilesAreWhatTheProgramWrites(t *testing.T) {
	t.Parallel()
	for _, d := range All() {
		want, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		have, err := os.ReadFile(filepath.Join("..", d.File()))
		if err != nil || !bytes.Equal(want, have) {
			t.Errorf("%s is not what the program writes: go run ./deploy/grafana (%v)", d.File(), err)
		}
	}
}

type written struct {
	UID           string
	SchemaVersion int
	Panels        []struct {
		ID                       int
		Type, Title, Description string
		Datasource               *struct{ UID string }
		GridPos                  struct{ X, Y, W, H int }
		Targets                  []struct {
			RefID      string
			Datasource struct{ UID string }
		}
		FieldConfig struct{ Defaults struct{ Unit string } }
	}
	Templating struct {
		List []struct{ Type, Name string }
	}
}

func read(t *testing.T, d *Dashboard) (w written) {
	t.Helper()
	text, err := d.JSON()
	if err == nil {
		err = json.Unmarshal(text, &w)
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestPanelsLieOnTheGridAndNotOnEachOther(t *testing.T) {
	t.Parallel()
	uids := map[string]bool{}
	for _, d := range All() {
		w := read(t, d)
		if uids[w.UID] || w.UID != "lethe-"+d.Name || w.SchemaVersion < 39 {
			t.Errorf("%s: uid %s, schema %d", d.Name, w.UID, w.SchemaVersion)
		}
		uids[w.UID] = true
		ids, taken := map[int]bool{}, map[[2]int]string{}
		for _, p := range w.Panels {
			if p.ID < 1 || ids[p.ID] {
				t.Errorf("%s, %s: id %d", d.Name, p.Title, p.ID)
			}
			ids[p.ID] = true
			g := p.GridPos
			if g.W < 1 || g.H < 1 || g.X < 0 || g.Y < 0 || g.X+g.W > gridWidth {
				t.Errorf("%s, %s: %+v", d.Name, p.Title, g)
			}
			for x := g.X; x < g.X+g.W; x++ {
				for y := g.Y; y < g.Y+g.H; y++ {
					if other, ok := taken[[2]int{x, y}]; ok {
						t.Fatalf("%s: %s lies on %s", d.Name, p.Title, other)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
		}
	}
}

func TestEveryPanelHasADatasourceAUnitAndAText(t *testing.T) {
	t.Parallel()
	for _, d := range All() {
		w := read(t, d)
		titles := map[string]bool{}
		for _, p := range w.Panels {
			if titles[p.Title] {
				t.Errorf("%s: two panels %s", d.Name, p.Title)
			}
			titles[p.Title] = true
			if p.Type == "row" {
				continue
			}
			if p.Datasource == nil || p.Datasource.UID != "${datasource}" || p.FieldConfig.Defaults.Unit == "" || len(p.Description) < 40 {
				t.Errorf("%s, %s: %+v", d.Name, p.Title, p)
			}
			for i, q := range p.Targets {
				if q.Datasource.UID != "${datasource}" || q.RefID != string(rune('A'+i)) {
					t.Errorf("%s, %s: %+v", d.Name, p.Title, q)
				}
			}
		}
		if list := w.Templating.List; list[0].Name != "datasource" || list[1].Name != "job" || list[len(list)-1].Name != "runbook" {
			t.Errorf("%s: variables %+v", d.Name, list)
		}
	}
}

// Every process tells the same of the book. Who adds that up counts it once a
// process.
func TestWhatAllProcessesTellIsNeverAddedUp(t *testing.T) {
	t.Parallel()
	shared := map[string]bool{}
	for _, m := range Metrics() {
		if m.Shared {
			shared[m.Name] = true
		}
	}
	name := regexp.MustCompile(`(max|min|sum|avg|count)(?: by \([^)]*\))? ?\((?:increase\()?(lethe_[a-z_]+)`)
	found := 0
	for _, d := range All() {
		for _, r := range d.Rows {
			for _, p := range r.Panels {
				for _, q := range p.Queries {
					for _, m := range name.FindAllStringSubmatch(q.Expr, -1) {
						if found++; shared[m[2]] && m[1] != "max" {
							t.Errorf("%s, %s: %s", d.Name, p.Title, q.Expr)
						}
					}
					if strings.Count(q.Expr, "lethe_") != len(name.FindAllString(q.Expr, -1)) && !strings.Contains(q.Expr, "rate(") && !strings.Contains(q.Expr, "time()") && !strings.Contains(q.Expr, " or ") {
						t.Errorf("%s, %s: not aggregated: %s", d.Name, p.Title, q.Expr)
					}
				}
			}
		}
	}
	if found < len(shared) {
		t.Errorf("only %d aggregations were looked at", found)
	}
}
