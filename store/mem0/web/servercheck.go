package web

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"lethe/store"
)

var errServerRoute = fmt.Errorf("%w: there is no such route: url must be that of Mem0's self-hosted server (mem0ai 2.0 or later)", store.ErrSchema)

// serverCodes are the codes of a 502, in words.
//
//nolint:gochecknoglobals // a constant
var serverCodes = map[string]string{
	"datastore_unavailable":    "it does not reach the memories' database",
	"vector_store_unavailable": "it does not reach the vector store",
	"provider_unavailable":     "it does not reach what is behind it",
	"provider_timeout":         "what is behind it does not answer in time",
	"provider_rate_limited":    "what is behind it limits how often it is asked",
	"provider_auth_failed":     "what is behind it does not accept its key",
	"provider_bad_request":     "what is behind it does not understand it",
}

// Ping implements store.Pinger.
func (s *Server) Ping(ctx context.Context) error {
	row, err := s.one(ctx, serverNobody)
	if err == nil && row != nil {
		err = fmt.Errorf("%w: it has a memory with an ID that none can have", store.ErrSchema)
	}
	return err
}

// known reports whether this is the server that we know: one that lists 1000
// memories at most, and would say so. Of an older one, which lists 100 whatever
// it is asked for, a list that is cut off looks whole.
func (s *Server) known(ctx context.Context) error {
	if err := s.Ping(ctx); err != nil {
		return err
	}
	q := url.Values{"user_id": {serverNobody}, "top_k": {strconv.Itoa(serverMost + 1)}}
	k := call{method: http.MethodGet, route: serverList, query: q}
	text, err := s.client.send(ctx, k)
	switch {
	case err == nil:
		return k.failed(fmt.Errorf("%w: the server does not know top_k, as mem0ai 2.0 and later do: bring it up to date", store.ErrSchema))
	case strings.Contains(string(text), `"top_k"`):
		return nil
	}
	return k.failed(err)
}

// Count implements store.Store. It is exact up to 1000 memories. Of more it says
// what the server's own count for one user, agent or run says, which looks at
// the first 10,000 memories; and else that there are 1000 at least.
func (s *Server) Count(ctx context.Context, sels iter.Seq2[store.Selector, error]) (store.Census, error) {
	place := store.PlaceCount{Place: serverPlace}
	var counts *serverCounts
	for sel, err := range sels {
		if err != nil {
			return store.Census{}, fmt.Errorf("count: %w", err)
		}
		rows, cut, err := s.find(ctx, sel)
		if err != nil {
			return store.Census{}, fmt.Errorf("count: %w", err)
		}
		if counts == nil {
			if counts, err = s.counts(ctx); err != nil {
				return store.Census{}, fmt.Errorf("count: %w", err)
			}
		}
		found := len(rows)
		if cut {
			found = max(found, counts.of(sel))
		}
		place.Found += found
	}
	if counts != nil {
		place.Total = max(counts.total(), place.Found)
	}
	return store.Census{Places: []store.PlaceCount{place}}, nil
}

// counts asks how many memories each user, agent and run has.
func (s *Server) counts(ctx context.Context) (*serverCounts, error) {
	c, err := ask[serverCounts](ctx, s.client, call{method: http.MethodGet, route: serverEntities})
	if err != nil {
		return nil, err
	}
	return &c, nil
}

// serverCounts are the server's counts of memories.
type serverCounts []struct {
	ID    string `json:"id"`
	Type  string `json:"type"`
	Total int    `json:"total_memories"`
}

func (c *serverCounts) lacks() string {
	for _, e := range *c {
		if e.ID == "" || e.Type == "" || e.Total < 0 {
			return "entity"
		}
	}
	if *c == nil {
		return "list"
	}
	return ""
}

// of is the count for a selector of one key alone, or 0.
func (c *serverCounts) of(sel store.Selector) int {
	fields := listable(sel)
	if len(fields) != 1 || len(sel.Identity()) != 1 || len(sel.Metadata) > 0 {
		return 0
	}
	for _, e := range *c {
		if e.Type+"_id" == fields[0].Name && e.ID == fields[0].Value {
			return e.Total
		}
	}
	return 0
}

// total is how many memories there are, or fewer: every one has a user, an
// agent or a run.
func (c *serverCounts) total() (most int) {
	by := make(map[string]int)
	for _, e := range *c {
		by[e.Type] += e.Total
		most = max(most, by[e.Type])
	}
	return most
}

// ServerResidue names what the server keeps of what it has erased, and that its
// API does not reach.
func ServerResidue() []string { return []string{"history", "messages", "request-log", "entities"} }

// Check implements store.Checker. What the API does not reach it calls waived,
// since certificates name it.
func (s *Server) Check(ctx context.Context) ([]store.Finding, error) {
	if err := s.known(ctx); err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	memories := store.Finding{Place: serverPlace, Table: serverPlace, Note: "reached through the server's API alone: evidence erased, and no more"}
	q := url.Values{"top_k": {"0"}}
	_, err := ask[serverRows](ctx, s.client, call{method: http.MethodGet, route: serverList, query: q})
	switch {
	case errors.Is(err, errServerAdmin):
		memories.Note += "; the key is no admin's: who is selected by app_id or metadata alone cannot be listed"
	case err != nil:
		return nil, fmt.Errorf("check: %w", err)
	}
	findings := []store.Finding{memories}
	for _, what := range ServerResidue() {
		findings = append(findings, store.Finding{Table: what, Waived: "out of the API's reach; certificates name it as residue-" + what})
	}
	return findings, nil
}
