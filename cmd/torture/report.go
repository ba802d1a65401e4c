//go:build torture

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// A report says what was run and what came of it.
type report struct {
	Held    bool          `json:"held"`
	Seed    uint64        `json:"seed"`
	Size    string        `json:"size"`
	Commit  string        `json:"commit"`
	At      time.Time     `json:"at"`
	Go      string        `json:"go"`
	CPUs    int           `json:"cpus"`
	Seconds float64       `json:"seconds"`
	Lanes   []*laneReport `json:"lanes"`
}

// A laneReport is what came of one lane. A zero of failures means as much as
// the number of cases says.
type laneReport struct {
	Lane     string             `json:"lane"`
	What     string             `json:"what"`
	Held     bool               `json:"held"`
	Cases    int                `json:"cases"`
	Seconds  float64            `json:"seconds"`
	Counts   map[string]int     `json:"counts,omitempty"`
	Measured map[string]string  `json:"measured,omitempty"`
	Points   map[string]*passed `json:"points,omitempty"`
	Caught   map[string]string  `json:"caught,omitempty"` // planted bug to what caught it
	Notes    []string           `json:"notes,omitempty"`
	Failures []failure          `json:"failures,omitempty"`
}

// passed is how often a fault point was passed, and how often something
// happened there.
type passed struct {
	Passes int            `json:"passes"`
	Acts   map[string]int `json:"acts,omitempty"`
}

type failure struct {
	Case   int    `json:"case"`
	Error  string `json:"error"`
	Replay string `json:"replay,omitempty"`
}

func newReport(o options) report {
	return report{Held: true, Seed: o.seed, Size: o.size, Commit: commit(), At: time.Now().UTC().Truncate(time.Second), Go: runtime.Version(), CPUs: runtime.NumCPU()}
}

// add adds what will come of a lane, in the order of lanes.
func (r *report) add(l *laneReport) {
	at := func(l *laneReport) int {
		return slices.IndexFunc(lanes(), func(one lane) bool { return one.name == l.Lane })
	}
	r.Lanes = append(r.Lanes, l)
	slices.SortFunc(r.Lanes, func(a, b *laneReport) int { return at(a) - at(b) })
}

// commit names what was tested, and says if that is not all committed.
func commit() string {
	head, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	changed, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no").Output()
	if err != nil || len(changed) > 0 {
		return strings.TrimSpace(string(head)) + "+changes"
	}
	return strings.TrimSpace(string(head))
}

func (r *report) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o600)
}

// print writes the report for people.
func (r *report) print(out io.Writer) {
	fmt.Fprintf(out, "\nseed %d, size %s, commit %s, %s, %d CPUs, %.0f s\n\n", r.Seed, r.Size, r.Commit, r.Go, r.CPUs, r.Seconds)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LANE\tCASES\tFAILED\tSECONDS\tWHAT HAPPENED")
	for _, l := range r.Lanes {
		fmt.Fprintf(w, "%s\t%d\t%d\t%.0f\t%s\n", l.Lane, l.Cases, len(l.Failures), l.Seconds, l.happened())
	}
	_ = w.Flush()
	for _, l := range r.Lanes {
		l.printRest(out)
	}
	fmt.Fprintln(out)
	if r.Held {
		fmt.Fprintln(out, "HELD: nothing was lost, nothing went too far, no certificate was false or doubled.")
	} else {
		fmt.Fprintln(out, "FAILED, or interrupted: see above.")
	}
}

func (l *laneReport) happened() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(l.Counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, l.Counts[name]))
	}
	return strings.Join(append(parts, l.Notes...), "; ")
}

func (l *laneReport) printRest(out io.Writer) {
	for _, name := range slices.Sorted(maps.Keys(l.Measured)) {
		fmt.Fprintf(out, "\n%s: %s: %s", l.Lane, name, l.Measured[name])
	}
	if len(l.Measured) > 0 {
		fmt.Fprintln(out)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(l.Points) > 0 {
		fmt.Fprintf(w, "\nFAULT POINT (%s)\tPASSED\tWHAT HAPPENED THERE\n", l.Lane)
		for _, name := range slices.Sorted(maps.Keys(l.Points)) {
			p := l.Points[name]
			var acts []string
			for _, act := range slices.Sorted(maps.Keys(p.Acts)) {
				acts = append(acts, fmt.Sprintf("%s %d", act, p.Acts[act]))
			}
			fmt.Fprintf(w, "%s\t%d\t%s\n", name, p.Passes, strings.Join(acts, ", "))
		}
	}
	if len(l.Caught) > 0 {
		fmt.Fprintf(w, "\nPLANTED BUG\tCAUGHT BY\n")
		for _, name := range slices.Sorted(maps.Keys(l.Caught)) {
			fmt.Fprintf(w, "%s\t%s\n", name, l.Caught[name])
		}
	}
	_ = w.Flush()
	for _, f := range l.Failures {
		fmt.Fprintf(out, "\n%s failed: %s\n  %s\n", l.Lane, f.Error, f.Replay)
	}
}
