package board

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// schemaVersion is Grafana 11's; newer ones read it, and migrate it in memory.
const schemaVersion = 39

// gridWidth is how wide a dashboard is.
const gridWidth = 24

// RunbookURL is a place holder, as in the rules: where the runbook is read, unless
// the variable of that name in a dashboard says otherwise.
const RunbookURL = "https://lethe.example/deploy/RUNBOOK.md"

// object is a part of the JSON; its keys are sorted when it is written.
type object = map[string]any

// JSON is the dashboard's file.
func (d *Dashboard) JSON() ([]byte, error) {
	panels, err := d.panels()
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	w := json.NewEncoder(&text)
	w.SetEscapeHTML(false) // for people read it too
	w.SetIndent("", "  ")
	err = w.Encode(object{
		"uid": "lethe-" + d.Name, "title": d.Title, "description": d.About, "tags": []string{"lethe"},
		"schemaVersion": schemaVersion, "version": 1, "editable": true, "graphTooltip": 1, // one crosshair for all
		"time": object{"from": "now-6h", "to": "now"}, "refresh": "30s", "timezone": "browser",
		"links": []any{object{
			"type": "dashboards", "title": "Lethe", "tags": []string{"lethe"}, "asDropdown": true, "includeVars": true, "keepTime": true,
		}},
		"templating":  object{"list": d.variables()},
		"annotations": object{"list": annotations()},
		"panels":      panels,
	})
	return text.Bytes(), err
}

func datasource() object { return object{"type": "prometheus", "uid": "${datasource}"} }

func (d *Dashboard) variables() []any {
	all := []any{object{
		"type": "datasource", "name": "datasource", "label": "Datasource", "query": "prometheus", "hide": 0,
		"includeAll": false, "multi": false, "refresh": 1, "regex": "", "options": []any{}, "current": object{},
	}}
	for _, v := range append([]Variable{{Name: "job", Label: "Job", Metric: string(QueueUp)}}, d.Variables...) {
		query := "label_values(" + v.Metric + ", " + v.Name + ")"
		if v.Name != "job" {
			query = "label_values(" + series(Own(v.Metric)) + ", " + v.Name + ")"
		}
		all = append(all, object{
			"type": "query", "name": v.Name, "label": v.Label, "datasource": datasource(), "definition": query,
			"query": object{"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
			"hide":  0, "includeAll": true, "multi": true, "allValue": ".*", "refresh": 2, "sort": 1, "regex": "", "options": []any{},
			"current": object{"selected": true, "text": []string{"All"}, "value": []string{"$__all"}},
		})
	}
	return append(all, object{
		"type": "constant", "name": "runbook", "label": "Runbook", "query": RunbookURL, "hide": 2, "skipUrlSync": true,
		"current": object{"text": RunbookURL, "value": RunbookURL},
	})
}

// annotations marks when an alert of lethe fired.
func annotations() []any {
	return []any{object{
		"name": "Alerts", "enable": true, "datasource": datasource(), "iconColor": red, "titleFormat": "{{alertname}}",
		"expr": `max by (alertname) (ALERTS{alertname=~"Lethe.+",alertstate="firing"})`, "step": "60s", "textFormat": "{{alertname}}",
	}}
}

// panels gives every panel its place and its number.
func (d *Dashboard) panels() ([]any, error) {
	var all []any
	id, y := 0, 0
	place := func(x, wide, high int) (int, object) {
		id++
		return id, object{"x": x, "y": y, "w": wide, "h": high}
	}
	for _, r := range d.Rows {
		id, at := place(0, gridWidth, 1)
		all = append(all, object{"id": id, "type": "row", "title": r.Title, "gridPos": at, "collapsed": false, "panels": []any{}})
		y++
		x, high := 0, 0
		for _, p := range r.Panels {
			if x+p.Wide > gridWidth {
				x, y, high = 0, y+high, 0
			}
			id, at := place(x, p.Wide, p.High)
			panel, err := p.json(id, at)
			if err != nil {
				return nil, fmt.Errorf("panel %q: %w", p.Title, err)
			}
			all = append(all, panel)
			x, high = x+p.Wide, max(high, p.High)
		}
		y += high
	}
	return all, nil
}

func (p Panel) json(id int, at object) (object, error) {
	if p.Title == "" || p.About == "" || len(p.Queries) == 0 || p.Wide < 1 || p.Wide > gridWidth || p.High < 1 {
		return nil, fmt.Errorf("a panel needs a title, a text, a query and a size")
	}
	about := p.About
	if p.MayBeEmpty != "" {
		about += "\n\n" + Empty + p.MayBeEmpty
	}
	links := []any{}
	for _, alert := range p.Runbook {
		links = append(links, object{"title": "Runbook: " + alert, "url": "${runbook:raw}#" + strings.ToLower(alert), "targetBlank": true})
	}
	panel := object{
		"id": id, "gridPos": at, "type": string(p.Look), "title": p.Title, "description": about, "datasource": datasource(),
		"links": links, "targets": p.targets(), "options": p.options(),
		"fieldConfig": object{"defaults": p.defaults(), "overrides": p.overrides()},
	}
	if p.Look == Table {
		panel["transformations"] = []any{object{"id": "organize", "options": object{
			"excludeByName": object{"Time": true, "Value": true, "__name__": true, "job": true}, "indexByName": object{}, "renameByName": object{},
		}}}
	}
	return panel, nil
}

// Empty begins the line of a panel's description that says why it may be empty.
const Empty = "May be empty: "

func (p Panel) targets() []any {
	var all []any
	for i, q := range p.Queries {
		t := object{
			"refId": string(rune('A' + i)), "datasource": datasource(), "editorMode": "code", "expr": q.Expr,
			"legendFormat": q.Legend, "instant": true, "range": false,
		}
		switch p.Look {
		case Lines:
			t["instant"], t["range"], t["exemplar"] = false, true, strings.Contains(q.Expr, "_bucket")
		case Timeline:
			t["instant"], t["range"] = false, true
		case Table:
			t["format"] = "table"
		}
		all = append(all, t)
	}
	return all
}

func (p Panel) defaults() object {
	mode := "palette-classic"
	if p.Look != Lines {
		mode = "thresholds"
	}
	steps := []any{object{"color": green, "value": nil}}
	for _, s := range p.Steps {
		steps = append(steps, object{"color": s.Colour, "value": s.From})
	}
	mappings := []any{}
	if len(p.States) > 0 {
		values := object{}
		for i, s := range p.States {
			values[s.Value] = object{"text": s.Text, "color": s.Colour, "index": i}
		}
		mappings = append(mappings, object{"type": "value", "options": values})
	}
	d := object{
		"unit": string(p.Unit), "color": object{"mode": mode}, "mappings": mappings,
		"thresholds": object{"mode": "absolute", "steps": steps},
	}
	if p.Unit == Count && p.Look == Stat {
		d["decimals"] = 0
	}
	switch p.Look {
	case Lines:
		d["min"], d["custom"] = 0, p.custom()
	case Timeline:
		d["custom"] = object{"fillOpacity": 80, "lineWidth": 0}
	case Bars:
		d["min"] = 0
	}
	return d
}

func (p Panel) custom() object {
	fill, stacking, line := 8, "none", "off"
	if p.Stack {
		fill, stacking = 40, "normal"
	}
	if len(p.Steps) > 0 {
		line = "dashed"
	}
	return object{
		"drawStyle": "line", "lineInterpolation": "linear", "lineWidth": 1, "fillOpacity": fill, "showPoints": "never", "spanNulls": false,
		"stacking": object{"mode": stacking, "group": "A"}, "thresholdsStyle": object{"mode": line}, "axisSoftMin": 0,
	}
}

func (p Panel) overrides() []any {
	all := []any{}
	for _, c := range p.Colours {
		all = append(all, object{
			"matcher":    object{"id": "byName", "options": c.Text},
			"properties": []any{object{"id": "color", "value": object{"mode": "fixed", "fixedColor": c.Colour}}},
		})
	}
	return all
}

func (p Panel) options() object {
	last := object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false}
	legend := object{"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{}}
	switch p.Look {
	case Stat:
		mode := "background"
		if len(p.Steps)+len(p.States) == 0 { // it only tells
			mode = "none"
		}
		return object{"colorMode": mode, "graphMode": "none", "justifyMode": "auto", "orientation": "auto", "reduceOptions": last, "textMode": "auto", "wideLayout": true}
	case Lines:
		return object{"legend": legend, "tooltip": object{"mode": "multi", "sort": "desc"}}
	case Timeline:
		return object{"alignValue": "left", "legend": legend, "mergeValues": true, "rowHeight": 0.9, "showValue": "auto", "tooltip": object{"mode": "single", "sort": "none"}}
	case Bars:
		return object{"displayMode": "basic", "orientation": "horizontal", "reduceOptions": last, "showUnfilled": true, "valueMode": "color", "minVizHeight": 16, "minVizWidth": 8, "namePlacement": "auto", "sizing": "auto"}
	default:
		return object{"cellHeight": "sm", "showHeader": true, "footer": object{"show": false}}
	}
}

// Runbooks are the alerts that any panel points to, sorted.
func Runbooks() []string {
	var all []string
	for _, d := range All() {
		for _, r := range d.Rows {
			for _, p := range r.Panels {
				all = append(all, p.Runbook...)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
