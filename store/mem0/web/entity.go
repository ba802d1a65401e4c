package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/store"
)

// An entity is a user, agent, app or run that the Platform knows by name.
type entity struct {
	Kind string `json:"type"`
	Name string `json:"name"`
}

func (e entity) key() string { return e.Kind + "/" + e.Name }

// field is what a memory of e is filtered by.
func (e entity) field() string { return e.Kind + "_id" }

// entityKey reverses key.
func entityKey(key string) (entity, bool) {
	kind, name, ok := strings.Cut(key, "/")
	return entity{kind, name}, ok && name != "" && slices.Contains([]string{"user", "agent", "app", "run"}, kind)
}

// entityOf is the one that sel means as a whole.
func entityOf(sel store.Selector) (entity, bool) {
	if who := sel.Identity(); len(who) == 1 && len(sel.Metadata) == 0 {
		return entity{strings.TrimSuffix(who[0].Name, "_id"), who[0].Value}, true
	}
	return entity{}, false
}

func (p *Platform) entityPage(ctx context.Context, n int) (page[entity], error) {
	k := call{method: http.MethodGet, route: "/v1/entities/", query: url.Values{"page": {strconv.Itoa(n)}, "page_size": {strconv.Itoa(entityPage)}}}
	a, err := ask[page[entity]](ctx, p.client, k)
	if err != nil {
		return a, err
	}
	for _, e := range *a.Results {
		if e.Kind == "" || e.Name == "" {
			return a, k.failed(fmt.Errorf("%w: the answer has no proper entity", store.ErrSchema))
		}
	}
	return a, nil
}

// known returns the keys of all entities of the project: the API cannot be asked
// for one.
func (p *Platform) known(ctx context.Context) (map[string]bool, error) {
	list, err := everything(func(n int) (page[entity], error) { return p.entityPage(ctx, n) }, entity.key)
	if err != nil {
		return nil, err
	}
	all := make(map[string]bool, len(list))
	for _, e := range list {
		all[e.key()] = true
	}
	return all, nil
}

// An event is something that the Platform does later.
type event struct {
	ID      string         `json:"id"`
	Type    string         `json:"event_type"`
	Status  string         `json:"status"`
	Payload jsontext.Value `json:"payload"`
}

// lacks implements shape.
func (e *event) lacks() string {
	if e.ID == "" || e.Status == "" {
		return "event"
	}
	return ""
}

func (e *event) open() bool { return e.Status == "PENDING" || e.Status == "RUNNING" }

func (p *Platform) eventPage(ctx context.Context, n int) (page[event], error) {
	k := call{method: http.MethodGet, route: "/v1/events/", query: url.Values{
		"event_type": {"ADD"}, "page": {strconv.Itoa(n)}, "page_size": {strconv.Itoa(eventPage)},
	}}
	a, err := ask[page[event]](ctx, p.client, k)
	if err != nil {
		return a, err
	}
	for _, e := range *a.Results {
		if e.lacks() != "" {
			return a, k.failed(fmt.Errorf("%w: the answer has no proper event", store.ErrSchema))
		}
	}
	return a, nil
}

// How queued writes and events are waited for. The pauses are those between
// looks; after the last it is the worker's to try again.
const eventPages = 10 // of the newest writes; what is older and still queued is an exclusion

func pauses() []time.Duration {
	return []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second}
}

// settled waits until no write is queued that says it is for sel.
func (p *Platform) settled(ctx context.Context, sel store.Selector) error {
	if len(sel.Identity()) == 0 {
		return nil // no event would say so
	}
	for _, pause := range pauses() {
		queued, err := p.queued(ctx, sel)
		if err != nil || !queued {
			return err
		}
		if err := p.client.sleep(ctx, pause); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: writes for them are queued", store.ErrBusy)
}

func (p *Platform) queued(ctx context.Context, sel store.Selector) (bool, error) {
	for n := 1; n <= eventPages; n++ {
		a, err := p.eventPage(ctx, n)
		if err != nil {
			return false, err
		}
		for _, e := range *a.Results {
			if e.open() && e.names(sel) {
				return true, nil
			}
		}
		if a.Next.Kind() == 'n' {
			break
		}
	}
	return false, nil
}

// names reports whether the event says that it is for sel: for each of its
// identities, at the top of the payload.
func (e *event) names(sel store.Selector) bool {
	var payload map[string]jsontext.Value
	who := sel.Identity()
	if len(who) == 0 || json.Unmarshal(e.Payload, &payload) != nil {
		return false
	}
	for _, f := range who {
		if text, ok := nullable(payload[f.Name]); !ok || text != f.Value {
			return false
		}
	}
	return true
}
