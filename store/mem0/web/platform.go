package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"lethe/store"
)

// KindPlatform is what configurations call a Platform.
const KindPlatform = "mem0-platform"

// A Platform is Mem0's hosted service, reached by its API. Its places are
// memories, by their IDs, and entities, by type and name as in "user/alice". It
// is a store.Matcher, Limiter, Checker, Pinger and Mapper. Nothing is remembered
// between calls: what a crash interrupts is mended by doing it again.
type Platform struct {
	client  *client
	project string
	nobody  string        // a name that nobody has
	erasing chan struct{} // one Erase at a time, so that two agree on what each erased
}

var _ interface {
	store.Store
	store.Matcher
	store.Limiter
	store.Checker
	store.Pinger
	store.Mapper
} = (*Platform)(nil)

// OpenPlatform asks the Platform who the key is of. The error wraps
// store.ErrDenied if it does not accept the key.
func OpenPlatform(ctx context.Context, c Config) (*Platform, error) {
	asking, err := newClient(c, tokenScheme)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", KindPlatform, err)
	}
	if !bug("platform/any-404") {
		asking.explain = explainPlatform
	}
	p := &Platform{client: asking, nobody: "nobody-" + uuid.NewString(), erasing: make(chan struct{}, 1)}
	if p.project, err = p.whose(ctx); err != nil {
		p.client.close()
		return nil, fmt.Errorf("%s: %w", KindPlatform, err)
	}
	return p, nil
}

// Close implements store.Store.
func (p *Platform) Close() error {
	p.client.close()
	return nil
}

// A pong is what the API says of a key.
type pong struct {
	Org     *string `json:"org_id"`
	Project *string `json:"project_id"`
}

func (a *pong) lacks() string {
	if a.Project == nil || *a.Project == "" {
		return "project_id"
	}
	return ""
}

// pingPause is how long a Ping waits for its turn.
const pingPause = time.Second

func (p *Platform) whose(ctx context.Context) (project string, err error) {
	a, err := ask[pong](ctx, p.client, call{method: http.MethodGet, route: "/v1/ping/", pause: pingPause})
	switch {
	case errors.Is(err, errNotFound):
		return "", fmt.Errorf("%w: %w", store.ErrSchema, err)
	case err != nil:
		return "", err
	}
	return *a.Project, nil
}

// explainPlatform believes that something is not there only in the Platform's own
// words: a path that is no more has other ones, and would be taken for an erasure.
func explainPlatform(text []byte, err error) error {
	var said struct {
		Error string `json:"error"`
	}
	if !errors.Is(err, errNotFound) {
		return err
	}
	if json.Unmarshal(text, &said) != nil || !strings.Contains(strings.ToLower(said.Error), "not found") {
		return fmt.Errorf("%w: 404, and not in the API's words", store.ErrSchema)
	}
	return err
}

// Ping implements store.Pinger.
func (p *Platform) Ping(ctx context.Context) error {
	project, err := p.whose(ctx)
	switch {
	case errors.Is(err, store.ErrBusy):
		return nil
	case err != nil:
		return fmt.Errorf("ping: %w", err)
	case project != p.project:
		return fmt.Errorf("ping: %w: the key is of another project than when it was opened", store.ErrSchema)
	}
	return nil
}

// MapVersion implements store.Mapper.
func (p *Platform) MapVersion() string { return KindPlatform + " v1 project " + p.project }

// Unreached implements store.Limiter. An entity is a name of one kind: a selector
// of two kinds, of metadata or of memories means none.
func (p *Platform) Unreached(sel store.Selector) []string {
	if _, ok := entityOf(sel); ok {
		return nil
	}
	return []string{entities}
}

// Check implements store.Checker.
func (p *Platform) Check(ctx context.Context) ([]store.Finding, error) {
	if err := p.Ping(ctx); err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	if _, err := p.total(ctx); err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	if _, err := p.entityPage(ctx, 1); err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	if _, err := p.eventPage(ctx, 1); err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	findings := []store.Finding{
		{Place: memories, Table: "memories", Note: "expired, merged and superseded ones too"},
		{Place: entities, Table: "entities", Note: "once none of their memories is left; for selectors of one user, agent, app or run alone"},
	}
	for _, x := range Excluded() {
		findings = append(findings, store.Finding{Table: x.Table, Waived: x.Why + ": certificates say " + x.Code})
	}
	return findings, nil
}

// An Exclusion is something that the Platform keeps and no call of its API
// erases, or that was sent elsewhere.
type Exclusion struct{ Code, Table, Why string }

// Excluded returns what every certificate of a Platform names.
func Excluded() []Exclusion {
	return []Exclusion{
		{"platform-history", "history", "the API shows what memories said, with the conversation they came from, and erases none of it"},
		{"platform-events", "events", "payloads of events are kept, and erased by no call"},
		{"platform-exports", "exports", "exports that were made keep what was exported"},
		{"platform-derived", "derived", "user profiles, graphs and patterns that were derived from memories are listed by no call, unless they are memories themselves"},
		{"platform-queued-writes", "queued writes", "a write that was queued and does not say for whom can land later"},
		{"platform-webhooks", "webhooks", "receivers of webhooks were sent what memories said, once more when they were deleted"},
	}
}
