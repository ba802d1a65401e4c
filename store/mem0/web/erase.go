package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"lethe/store"
)

// Erase implements store.Store: the memories first, then the entities, each of
// which must have none left. What the API answers is one sentence about all; what
// became of each is found by reading before and after.
func (p *Platform) Erase(ctx context.Context, ids []store.ID) (store.Receipt, error) {
	receipt, err := p.erase(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("erase: %w", err)
	}
	return receipt, nil
}

func (p *Platform) erase(ctx context.Context, ids []store.ID) (store.Receipt, error) {
	fenced := p.client.now()
	if err := acceptable(ctx, ids); err != nil {
		return nil, err
	}
	select {
	case p.erasing <- struct{}{}:
		defer func() { <-p.erasing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var keys []string
	var named []entity
	for _, id := range ids {
		e, isEntity := entityKey(id.Key)
		switch {
		case id.Place == memories:
			keys = append(keys, id.Key)
		case isEntity:
			named = append(named, e)
		}
	}
	erased := map[store.ID]bool{}
	if err := p.eraseMemories(ctx, keys, fenced.Add(fenceTime), erased); err != nil {
		return nil, err
	}
	if err := p.eraseEntities(ctx, named, fenced.Add(fenceTime), erased); err != nil {
		return nil, err
	}
	receipt := make(store.Receipt, len(ids))
	for i, id := range ids {
		receipt[i] = store.Absent
		if erased[id] {
			receipt[i] = store.Erased
		}
	}
	return receipt, nil
}

// acceptable refuses what can be no IDs of a Platform.
func acceptable(ctx context.Context, ids []store.ID) error {
	if len(ids) > store.MaxBatch {
		return tooMany(len(ids))
	}
	for _, id := range ids {
		if id.Place != memories && id.Place != entities {
			return fmt.Errorf("%w: an id of an unknown place", store.ErrRefused)
		}
	}
	return ctx.Err()
}

// A listed memory is one of a batch.
type listed struct {
	ID string `json:"memory_id"`
}

func (p *Platform) eraseMemories(ctx context.Context, keys []string, by time.Time, erased map[store.ID]bool) error {
	there, err := p.look(ctx, keys)
	if err != nil || len(there) == 0 {
		return err
	}
	batch := make([]listed, len(there))
	left := make([]string, len(there))
	for i, m := range there {
		batch[i], left[i] = listed{m.id}, m.id
	}
	k := call{method: http.MethodDelete, route: "/v1/batch/", body: map[string]any{"memories": batch}, destroys: true, by: by}
	if _, err := p.client.send(ctx, k); err != nil {
		return k.failed(err)
	}
	if bug("platform/trust-the-sentence") {
		left = nil
	}
	for _, pause := range append([]time.Duration{0}, pauses()...) {
		if err := p.client.sleep(ctx, pause); err != nil {
			return err
		}
		still, err := p.look(ctx, left)
		if err != nil {
			return fmt.Errorf("read after %s: %w", k.route, err)
		}
		left = left[:0]
		for _, m := range still {
			left = append(left, m.id)
		}
		if len(left) == 0 {
			break
		}
	}
	if n := len(left); n > 0 {
		return k.failed(fmt.Errorf("the API says that %d memories are deleted, and %d are still there", len(there), n))
	}
	for _, m := range there {
		erased[store.ID{Place: memories, Key: m.id}] = true
	}
	return nil
}

// eraseEntities deletes entities that have nothing left. It is the only thing
// here that goes by name: see the package's Decisions.
func (p *Platform) eraseEntities(ctx context.Context, named []entity, by time.Time, erased map[store.ID]bool) error {
	if len(named) == 0 {
		return nil
	}
	there, err := p.known(ctx)
	if err != nil {
		return err
	}
	for _, e := range named {
		if !there[e.key()] {
			continue
		}
		if err := p.eraseEntity(ctx, e, by); err != nil {
			return err
		}
		erased[store.ID{Place: entities, Key: e.key()}] = true
	}
	there, err = p.known(ctx)
	if err != nil {
		return err
	}
	for _, e := range named {
		if there[e.key()] {
			return errors.New("the API says that an entity is deleted, and it is still there")
		}
	}
	return nil
}

func (p *Platform) eraseEntity(ctx context.Context, e entity, by time.Time) error {
	sel := e.selector()
	queued, err := p.queued(ctx, sel)
	if err != nil {
		return err
	}
	if queued {
		return fmt.Errorf("%w: writes for an entity are queued: they go first", store.ErrBusy)
	}
	left, err := p.matching(ctx, sel)
	if err != nil {
		return err
	}
	if n := len(left); n > 0 && !bug("platform/entity-first") {
		return fmt.Errorf("%w: %d memories of an entity are left: they go first", store.ErrBusy, n)
	}
	k := call{method: http.MethodDelete, route: "/v2/entities/{type}/{name}/", args: []string{e.Kind, e.Name}, destroys: true, by: by}
	a, err := ask[promise](ctx, p.client, k)
	switch {
	case errors.Is(err, errNotFound): // gone meanwhile
		return nil
	case err != nil:
		return err
	case a.Event == "":
		return nil
	}
	return p.ended(ctx, a.Event)
}

// selector selects what is of e, whatever else it is of.
func (e entity) selector() store.Selector {
	switch e.Kind {
	case "user":
		return store.Selector{UserID: e.Name}
	case "agent":
		return store.Selector{AgentID: e.Name}
	case "app":
		return store.Selector{AppID: e.Name}
	}
	return store.Selector{RunID: e.Name}
}

// A promise is an answer to what is done later.
type promise struct {
	Event string `json:"event_id"`
}

// polls is how often an event is looked at, a second apart, before it is the
// worker's to do all again.
const polls = 60

// ended waits for an event to end well.
func (p *Platform) ended(ctx context.Context, id string) error {
	k := call{method: http.MethodGet, route: "/v1/event/{id}/", args: []string{id}}
	for range polls {
		e, err := ask[event](ctx, p.client, k)
		switch {
		case errors.Is(err, errNotFound): // what it did shows in the list
			return nil
		case err != nil:
			return err
		case e.Status == "SUCCEEDED":
			return nil
		case !e.open():
			return k.failed(fmt.Errorf("the deletion of an entity has ended as %s", e.state()))
		}
		if err := p.client.sleep(ctx, time.Second); err != nil {
			return err
		}
	}
	return k.failed(fmt.Errorf("%w: the deletion of an entity has not ended", store.ErrBusy))
}

// state is the event's status, if it is one that is known: nothing else of an
// answer is repeated.
func (e *event) state() string {
	if e.Status == "FAILED" {
		return e.Status
	}
	return "something unknown"
}
