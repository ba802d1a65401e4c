package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/store"
)

// listPage asks for one page of the memories that a filter lets pass. What shows
// the hidden ones stands in the query and in the body: documents say either.
func (p *Platform) listPage(ctx context.Context, filter condition, n, size int) (page[memory], error) {
	k := call{
		method: http.MethodPost, route: "/v3/memories/",
		query: url.Values{
			"page": {strconv.Itoa(n)}, "page_size": {strconv.Itoa(size)}, "show_expired": {"true"}, "include_merged": {"true"},
		},
		body: map[string]any{"filters": filter, "show_expired": true, "include_merged": true},
	}
	if bug("platform/skip-hidden") {
		k.query = url.Values{"page": k.query["page"], "page_size": k.query["page_size"]}
		k.body = map[string]any{"filters": filter}
	}
	a, err := ask[page[row]](ctx, p.client, k)
	if err != nil {
		return page[memory]{}, err
	}
	read := make([]memory, len(*a.Results))
	for i, r := range *a.Results {
		var lacks string
		if read[i], lacks = r.read(); lacks != "" {
			return page[memory]{}, k.failed(fmt.Errorf("%w: the answer has no proper %s", store.ErrSchema, lacks))
		}
	}
	return page[memory]{a.Count, a.Next, &read}, nil
}

// total is how many memories the project has.
func (p *Platform) total(ctx context.Context) (int, error) {
	a, err := p.listPage(ctx, condition{"AND": []condition{anyone()}}, 1, 1)
	if err != nil {
		return 0, err
	}
	return *a.Count, nil
}

// get returns one memory, or false.
func (p *Platform) get(ctx context.Context, id string) (memory, bool, error) {
	k := call{method: http.MethodGet, route: "/v1/memories/{id}/", args: []string{id}}
	r, err := ask[row](ctx, p.client, k)
	switch {
	case errors.Is(err, errNotFound):
		return memory{}, false, nil
	case err != nil:
		return memory{}, false, err
	}
	m, lacks := r.read()
	if lacks == "" && m.id != id {
		lacks = "id: it is of another memory"
	}
	if lacks != "" {
		return memory{}, false, k.failed(fmt.Errorf("%w: the answer has no proper %s", store.ErrSchema, lacks))
	}
	return m, true, nil
}

// searchTop is how many hits a search is asked for.
const searchTop = 100

// search returns what a search by the filter shows: another index than the
// list's, which may be behind it.
func (p *Platform) search(ctx context.Context, filter condition) ([]row, error) {
	k := call{method: http.MethodPost, route: "/v3/memories/search/", body: map[string]any{
		"query": "memory", "filters": filter, "top_k": searchTop, "threshold": 0, "rerank": false, "show_expired": true, "include_merged": true,
	}}
	text, err := ask[jsontext.Value](ctx, p.client, k)
	if err != nil {
		return nil, err
	}
	var hits struct {
		Results *[]row `json:"results"`
	}
	if text.Kind() == '[' { // as older versions answer
		err = json.Unmarshal(text, &hits.Results)
	} else {
		err = json.Unmarshal(text, &hits)
	}
	if err != nil || hits.Results == nil {
		return nil, k.failed(fmt.Errorf("%w: the answer has no proper results", store.ErrSchema))
	}
	for _, r := range *hits.Results {
		if !canonical(r.ID) {
			return nil, k.failed(fmt.Errorf("%w: the answer has no proper id of a memory", store.ErrSchema))
		}
	}
	return *hits.Results, nil
}

// contradicts reports whether a hit says that it is not what sel selects. What it
// does not say, its filter has said.
func (r row) contradicts(sel store.Selector) bool {
	run := r.SessionID
	if run == nil {
		run = r.RunID
	}
	for _, f := range sel.Identity() {
		v := map[string]jsontext.Value{"user_id": r.UserID, "agent_id": r.AgentID, "app_id": r.AppID, "run_id": run}[f.Name]
		if text, said := nullable(v); said && text != f.Value {
			return true
		}
	}
	var said map[string]jsontext.Value
	if json.Unmarshal(r.Metadata, &said) != nil || said == nil {
		return false
	}
	for key, want := range sel.Metadata {
		if got, ok := value(said[key]); !ok || got != want {
			return true
		}
	}
	return false
}
