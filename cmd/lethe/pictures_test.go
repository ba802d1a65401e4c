package main

import (
	"encoding/json"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"lethe/jobs/api"
	"lethe/store"
)

// picturesFile is where make pictures wants what the dashboards' queries gave,
// "" otherwise.
func picturesFile() string { return os.Getenv("LETHE_PICTURES") }

// A pictureRecord is what deploy/grafana/draw draws.
type pictureRecord struct {
	From, To   float64 // Unix times, in seconds
	Step       float64
	Dashboards []pictureDashboard
}

type pictureDashboard struct {
	Name, Title string
	Panels      []picturePanel
}

type picturePanel struct {
	Panel  json.RawMessage
	Series []pictureSeries
}

type pictureSeries struct {
	Name   string
	Labels map[string]string
	Points [][2]float64
}

// pictureStep is the distance of two points in a picture, and of two scrapes for it.
const pictureStep = 2 * time.Second

// someTime passes: people are forgotten all the while, some requests stay
// open, a store goes and comes, whoever is told is away, Redis forgets all, and p
// sees it.
func (h *busyHouse) someTime(p *promServer) {
	h.t.Helper()
	now := time.Now()
	for _, age := range []time.Duration{45, 29, 29, 27, 27, 27, 24, 24, 10, 1, 1} { // days
		h.r.submit(api.Submission{
			Selector: store.Selector{UserID: h.remember(1)}, Stores: []string{"assistant"},
			ReceivedAt: now.Add(-age * 24 * time.Hour), Grace: 12 * time.Hour,
		})
	}
	work := func(lasts time.Duration, most int) {
		for end := time.Now().Add(lasts); time.Now().Before(end); time.Sleep(time.Second) {
			h.forgotten(20 + h.people*37%most)
		}
	}
	work(40*time.Second, 200)
	away := h.old.Vectors + ".away"
	_ = os.Rename(h.old.Vectors, away)
	work(20*time.Second, 100)
	_ = os.Rename(away, h.old.Vectors)
	h.deaf.Store(true)
	work(20*time.Second, 400)
	h.deaf.Store(false)
	h.redis.Kill()
	waiting := []string{}
	for range 12 {
		waiting = append(waiting, h.r.forget(h.remember(50), "assistant"))
		time.Sleep(time.Second)
	}
	h.redis.Restart()
	for _, id := range waiting {
		h.r.completed(id)
	}
	work(60*time.Second, 300)
}

// record asks p for every panel's answers since from.
func (h *busyHouse) record(p *promServer, boards map[string]grafanaDashboard, from time.Time) pictureRecord {
	p.t.Helper()
	to := time.Now().Truncate(pictureStep)
	from = from.Truncate(pictureStep)
	home := strings.NewReplacer(h.dir, "/srv/lethe") // instead of this run's folder
	all := pictureRecord{From: float64(from.Unix()), To: float64(to.Unix()), Step: pictureStep.Seconds()}
	for _, name := range []string{"overview", "stores", "queue", "log"} {
		d := boards[name]
		text, err := os.ReadFile(filepath.Join("../../deploy/grafana", name+".json"))
		if err != nil {
			p.t.Fatal(err)
		}
		var raw struct{ Panels []json.RawMessage }
		if err := json.Unmarshal(text, &raw); err != nil {
			p.t.Fatal(err)
		}
		picture := pictureDashboard{Name: name, Title: d.Title}
		for i, panel := range d.Panels {
			drawn := picturePanel{Panel: raw.Panels[i]}
			for _, q := range panel.Targets {
				drawn.Series = append(drawn.Series, p.ranged(filled(q.Expr, "12s"), q.LegendFormat, from, to)...)
			}
			for i := range drawn.Series {
				drawn.Series[i].Name = home.Replace(drawn.Series[i].Name)
			}
			picture.Panels = append(picture.Panels, drawn)
		}
		all.Dashboards = append(all.Dashboards, picture)
	}
	return all
}

// ranged is what an expression gives from one time to another, in the order of the
// series' names. What is no number is left out.
func (p *promServer) ranged(expr, legend string, from, to time.Time) []pictureSeries {
	p.t.Helper()
	var data struct {
		Result []struct {
			Metric map[string]string
			Values [][2]any
		}
	}
	form := url.Values{
		"query": {expr}, "start": {strconv.FormatInt(from.Unix(), 10)}, "end": {strconv.FormatInt(to.Unix(), 10)},
		"step": {strconv.FormatFloat(pictureStep.Seconds(), 'f', -1, 64)},
	}
	if err := p.ask("query_range", form, &data); err != nil {
		p.t.Fatalf("%s: %v", expr, err)
	}
	var all []pictureSeries
	for _, r := range data.Result {
		s := pictureSeries{Labels: r.Metric}
		s.Name = legendLabel.ReplaceAllStringFunc(legend, func(l string) string { return r.Metric[strings.Trim(l, "{}")] })
		for _, v := range r.Values {
			at, _ := v[0].(float64)
			text, _ := v[1].(string)
			if f, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
				s.Points = append(s.Points, [2]float64{at, f})
			}
		}
		if len(s.Points) > 0 {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b pictureSeries) int { return strings.Compare(a.Name, b.Name) })
	return all
}

var legendLabel = regexp.MustCompile(`\{\{\w+\}\}`)
