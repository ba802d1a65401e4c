package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"lethe/deploy/grafana/board"
)

// A grafanaPanel is a panel as it stands in a dashboard's file.
type grafanaPanel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Targets                  []struct {
		Expr, LegendFormat string
	}
	Links       []struct{ URL string }
	FieldConfig json.RawMessage
}

type grafanaDashboard struct {
	UID, Title  string
	Panels      []grafanaPanel
	Annotations struct{ List []struct{ Expr string } }
	Templating  struct {
		List []struct{ Type, Name, Definition string }
	}
}

// shippedDashboards reads the files that users import.
func shippedDashboards(t testing.TB) map[string]grafanaDashboard {
	t.Helper()
	paths, err := filepath.Glob("../../deploy/grafana/*.json")
	if err != nil || len(paths) != len(board.All()) {
		t.Fatalf("dashboards: %v, %v", paths, err)
	}
	all := map[string]grafanaDashboard{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		var d grafanaDashboard
		if err == nil {
			err = json.Unmarshal(text, &d)
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all[strings.TrimSuffix(filepath.Base(path), ".json")] = d
	}
	return all
}

// filled puts values in place of Grafana's variables, as Grafana does.
func filled(expr, window string) string {
	return strings.NewReplacer("$__rate_interval", window, "$job", "lethe", "$store", ".*", "$policy", ".*", "$queue", ".*").Replace(expr)
}

// answered evaluates an expression as a panel does. An answer without a number is
// none.
func (p *promServer) answered(expr string) error {
	expr = filled(expr, "1m")
	if strings.Contains(expr, "$") {
		return fmt.Errorf("%s: a variable that is not there", expr)
	}
	samples, err := p.evaluate(expr)
	if err != nil {
		return fmt.Errorf("%s: %w", expr, err)
	}
	if !slices.ContainsFunc(samples, func(s sample) bool { return !math.IsNaN(s.value) }) {
		return fmt.Errorf("%s: %w", expr, errNoNumber)
	}
	return nil
}

var errNoNumber = errors.New("no number in the answer")

// A question is an expression of a dashboard, and where it stands.
type question struct {
	where, expr string
	mayBeEmpty  bool
}

// questions are all expressions of a dashboard, and what lists the values of its
// variables.
func (d *grafanaDashboard) questions() (all []question) {
	for _, panel := range d.Panels {
		for _, q := range panel.Targets {
			all = append(all, question{d.Title + ", panel " + panel.Title, q.Expr, strings.Contains(panel.Description, board.Empty) && optional(q.Expr)})
		}
	}
	for _, v := range d.Templating.List {
		if m := labelValues.FindStringSubmatch(v.Definition); m != nil {
			all = append(all, question{d.Title + ", variable " + v.Name, "count by (" + m[2] + ") (" + m[1] + "{" + m[2] + `!=""})`, false})
		} else if v.Type == "query" {
			all = append(all, question{d.Title + ", variable " + v.Name, v.Definition, false})
		}
	}
	for _, a := range d.Annotations.List { // no alert need ever have fired
		all = append(all, question{d.Title + ", annotations", a.Expr, true})
	}
	return all
}

// optional reports whether an expression is of a metric that this test's service
// need not have. What else can be empty elsewhere is not, here.
func optional(expr string) bool {
	return slices.ContainsFunc(board.Metrics(), func(m board.Metric) bool { return m.Optional && strings.Contains(expr, m.Name+"{") })
}

// unanswered asks all questions and returns those without an answer, and why.
func (p *promServer) unanswered(all []question) (left []question, why []error) {
	for _, q := range all {
		err := p.answered(q.expr)
		if err == nil || q.mayBeEmpty && errors.Is(err, errNoNumber) {
			continue
		}
		left, why = append(left, q), append(why, fmt.Errorf("%s: %w", q.where, err))
	}
	return left, why
}

var labelValues = regexp.MustCompile(`^label_values\((\w+)(?:\{[^}]*\})?, (\w+)\)$`)

// What a dashboard asks for is there: each expression of each panel is answered
// by a real Prometheus that scrapes a service at work. And each metric of the
// service is one that the dashboards know, of the kind and with the labels that
// they take it to have.
func TestEveryPanelOfEveryDashboardIsAnswered(t *testing.T) {
	t.Parallel()
	h := newBusyHouse(t)
	pace := time.Second // longer than a busy machine takes for an answer
	if picturesFile() != "" {
		pace = pictureStep
	}
	config := bytes.ReplaceAll(promConfig(t, []string{h.r.scrapeOf()}, nil), []byte(scrapeEvery.String()), []byte(pace.String()))
	p := startPrometheusWith(t, config)
	h.forgotten(5)
	completed := func() bool { return len(p.query(`lethe_request_duration_seconds_count`)) > 0 }
	waitFor(t, "the first request's end is scraped", completed)
	h.faults(p)
	boards := shippedDashboards(t)
	var left []question
	for _, d := range boards {
		left = append(left, d.questions()...)
	}
	if len(left) < 70 {
		t.Errorf("only %d questions", len(left))
	}
	var why []error
	for end := time.Now().Add(patience); len(left) > 0 && time.Now().Before(end); {
		h.forgotten(20) // what is a rate needs what goes on
		left, why = p.unanswered(left)
	}
	for _, err := range why {
		t.Error(err)
	}
	if file := picturesFile(); file != "" {
		from := time.Now()
		h.someTime(p)
		text, err := json.Marshal(h.record(p, boards, from))
		if err == nil {
			err = os.WriteFile(file, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range p.query("lethe_watch_late_seconds") { // a line at 0, not the rounding of a clock
		if s.value != 0 {
			t.Errorf("nothing is due in %v, and it is late by %g s", s.labels, s.value)
		}
	}
	t.Run("metrics", func(t *testing.T) { wantKnownMetrics(t, h.r.s.registry, boards) })
}

// wantKnownMetrics compares the list of the dashboards with what is exported, and
// with what they show.
func wantKnownMetrics(t *testing.T, registry prometheus.Gatherer, boards map[string]grafanaDashboard) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	exported, known, shown := map[string]string{}, map[string]string{}, map[string]bool{}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "lethe_") {
			var labels []string
			for _, l := range f.GetMetric()[0].GetLabel() {
				labels = append(labels, l.GetName())
			}
			exported[f.GetName()] = strings.ToLower(f.GetType().String()) + fmt.Sprint(labels)
		}
	}
	for _, m := range board.Metrics() {
		known[m.Name] = string(m.Kind) + fmt.Sprint(m.Labels)
	}
	had := maps.Clone(known)
	for _, m := range board.Metrics() {
		if m.Optional && exported[m.Name] == "" {
			delete(had, m.Name)
		}
	}
	if diff := cmp.Diff(had, exported); diff != "" {
		t.Errorf("board.Metrics is not what a service exports (-list +service):\n%s", diff)
	}
	for name, d := range boards {
		for _, panel := range d.Panels {
			for _, q := range panel.Targets {
				for _, metric := range ourMetric.FindAllString(q.Expr, -1) {
					metric = strings.TrimSuffix(metric, "_bucket")
					shown[metric] = true
					if known[metric] == "" {
						t.Errorf("%s, panel %s: %s is not in board.Metrics", name, panel.Title, metric)
					}
				}
			}
		}
	}
	for name := range known {
		if !shown[name] {
			t.Errorf("no dashboard shows %s", name)
		}
	}
}

var ourMetric = regexp.MustCompile(`lethe_\w+`)

// An expression that asks for what is not there is found, and so is one that is
// none, and a variable that has no values: the test above can fail.
func TestATypoInADashboardIsFound(t *testing.T) {
	t.Parallel()
	r := start(t, configFor(filepath.Join(t.TempDir(), "data"), queueEmbedded, configured("mem0", newMem0(t, t.TempDir()))), nil)
	p := startPrometheus(t, []string{r.scrapeOf()})
	sound := `{"title":"D","panels":[{"title":"P","targets":[{"expr":"max(lethe_holds_active{job=~\"$job\"})"}]}],
		"annotations":{"list":[{"expr":"ALERTS{alertname=\"x\"}"}]},"templating":{"list":[{"type":"query","name":"job","definition":"label_values(lethe_queue_up, job)"}]}}`
	found := func(text string) []error {
		var d grafanaDashboard
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			t.Fatal(err)
		}
		_, why := p.unanswered(d.questions())
		return why
	}
	waitFor(t, "a sound dashboard is answered", func() bool {
		p.asOf = strconv.FormatInt(time.Now().Unix()-1, 10) // and from then on: a scrape can fail
		return len(found(sound)) == 0
	})
	for _, typo := range [][2]string{
		{"lethe_holds_active", "lethe_hold_active"},
		{"max(", "maximum("},
		{"$job", "$jobs"},
		{"max(", "0 / 0 * max("},
		{"lethe_queue_up, job", "lethe_queue_up, jobs"},
		{"lethe_queue_up", "lethe_queue_ups"},
		{"label_values", "label_value"},
		{"ALERTS{", "ALERTS{{"},
	} {
		bad := strings.Replace(sound, typo[0], typo[1], 1)
		if errs := found(bad); bad == sound || len(errs) != 1 {
			t.Errorf("%s: %v", typo[1], errs)
		}
	}
	mark := `"title":"P","description":"` + board.Empty + `none yet"`
	if errs := found(strings.NewReplacer("lethe_holds_active", "lethe_spans_total", `"title":"P"`, mark).Replace(sound)); len(errs) != 0 {
		t.Error(errs)
	}
	if errs := found(strings.NewReplacer("lethe_holds_active", "lethe_hold_active", `"title":"P"`, mark).Replace(sound)); len(errs) != 1 {
		t.Errorf("a mark hides a typo: %v", errs)
	}
}
