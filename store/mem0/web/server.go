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
	"sync/atomic"
	"unicode"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"lethe/store"
)

// KindServer is the kind of a store that is Mem0's self-hosted REST server.
const KindServer = "mem0-server"

// serverPlace is the only place that the server's API shows.
const serverPlace = "memories"

// Routes of the server, as its own documentation has them.
const (
	serverList     = "/memories"
	serverOne      = "/memories/{memory_id}"
	serverEntities = "/entities"
)

// Figures of the server, and of how it is asked.
const (
	serverMost    = 1000 // memories of a list, which has no second page
	serverRate    = 100  // calls a second, if the operator does not say
	serverReads   = 8    // at once
	serverDeletes = 4    // at once: each holds the server's history file

	// serverNobody is no memory's ID. Reading it shows whether the server is
	// there, accepts the key and reaches its database.
	serverNobody = "00000000-0000-4000-8000-000000000000"
)

var (
	// errServerCut: more is there than a list shows, and nothing of what it shows
	// is meant. It is not store.ErrRefused: it is mended outside.
	errServerCut = errors.New("the server lists 1000 memories and no more, and whoever is meant is not among them: " +
		"ask also by user_id, agent_id or run_id, or configure the server's database as mem0-postgres")

	// errServerAdmin is no store.ErrDenied: the key is good for all else.
	errServerAdmin = errors.New("the server lists all memories to an admin alone: put an admin's key into token_file, " +
		"or ask also by user_id, agent_id or run_id")

	// errServerUnknown is no store.ErrUnavailable: the server answers so for one
	// memory that it cannot delete, too.
	errServerUnknown = errors.New("the server failed at it, and says no more; its log does")
)

// A Server is Mem0's self-hosted REST server as a Store. What it erases can
// still be read from the server's history, and more is left elsewhere: it is
// good for store.EvidenceErased, and no more.
type Server struct {
	client  *client
	erasing chan struct{} // one batch at a time
}

var _ interface {
	store.Store
	store.Matcher
	store.Checker
	store.Pinger
	store.Mapper
} = (*Server)(nil)

// OpenServer returns the server of c once it answers as it should. c.Token is
// sent as X-API-Key. A Rate of 0 is 100.
func OpenServer(ctx context.Context, c Config) (*Server, error) {
	if c.Rate == 0 {
		c.Rate = serverRate
	}
	asking, err := newClient(c, apiKeyScheme)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", KindServer, err)
	}
	asking.explain = explainServer
	s := &Server{client: asking, erasing: make(chan struct{}, 1)}
	if err := s.known(ctx); err != nil {
		s.client.close()
		return nil, fmt.Errorf("%s: %w", KindServer, err)
	}
	return s, nil
}

// Close implements store.Store.
func (s *Server) Close() error {
	s.client.close()
	return nil
}

// MapVersion implements store.Mapper.
func (s *Server) MapVersion() string { return KindServer + " v1" }

// Find implements store.Store. Of a list that was cut off it yields what is
// there: the rest is listed once that is gone.
func (s *Server) Find(ctx context.Context, sel store.Selector) iter.Seq2[store.ID, error] {
	return func(yield func(store.ID, error) bool) {
		rows, _, err := s.find(ctx, sel)
		for _, r := range rows {
			if err = ctx.Err(); err != nil {
				break
			}
			if !yield(store.ID{Place: serverPlace, Key: r.ID}, nil) {
				return
			}
		}
		if err != nil {
			yield(store.ID{}, fmt.Errorf("find: %w", err))
		}
	}
}

// find returns what sel selects, and whether there may be more.
func (s *Server) find(ctx context.Context, sel store.Selector) (rows []serverRow, cut bool, err error) {
	if err := errors.Join(sel.Validate(), sel.Ageless()); err != nil {
		return nil, false, err
	}
	if len(sel.IDs) > store.MaxBatch {
		return nil, false, tooManyForServer(len(sel.IDs))
	}
	if sel.ByID() {
		rows, err = s.read(ctx, serverIDs(sel.IDs))
		return asAsked(rows, sel.IDs), false, err
	}
	listed, err := s.list(ctx, sel)
	if err != nil {
		return nil, false, err
	}
	seen := make(map[string]bool)
	for _, r := range listed {
		if r.selectedBy(sel) && !seen[r.ID] {
			seen[r.ID] = true
			rows = append(rows, r)
		}
	}
	if cut = len(listed) >= serverMost; cut && len(rows) == 0 {
		return nil, true, errServerCut
	}
	return rows, cut, nil
}

// list lists the memories that sel selects, and others: as narrowly as the
// server can.
func (s *Server) list(ctx context.Context, sel store.Selector) ([]serverRow, error) {
	q := url.Values{"top_k": {strconv.Itoa(serverMost)}, "show_expired": {"true"}}
	for _, f := range listable(sel) {
		q.Set(f.Name, f.Value)
	}
	listed, err := ask[serverRows](ctx, s.client, call{method: http.MethodGet, route: serverList, query: q})
	return listed.Results, err
}

// listable are the keys that the server can list by. It knows no apps, and it
// would trim or refuse a name with white space.
func listable(sel store.Selector) (list []store.Field) {
	for _, f := range sel.Identity() {
		if f.Name != "app_id" && !strings.ContainsFunc(f.Value, unicode.IsSpace) {
			list = append(list, f)
		}
	}
	return list
}

// serverIDs are the IDs that memories can have, each once and as the server
// writes it, in order. Whatever is no UUID is no memory's.
func serverIDs(ids []string) (list []string) {
	seen := make(map[string]bool)
	for _, id := range ids {
		if u := serverID(id); u != "" && !seen[u] {
			seen[u] = true
			list = append(list, u)
		}
	}
	return list
}

// serverID is the ID as the server writes it, or "" for what is no memory's.
func serverID(id string) string {
	u, err := uuid.Parse(id)
	if err != nil || len(id) != len(serverNobody) {
		return ""
	}
	return u.String()
}

// asAsked gives rows the IDs by which they were asked for: capitals in it are the
// asker's own.
func asAsked(rows []serverRow, ids []string) []serverRow {
	asked := make(map[string]string)
	for _, id := range ids {
		if u := serverID(id); asked[u] == "" {
			asked[u] = id
		}
	}
	for i := range rows {
		rows[i].ID = asked[rows[i].ID]
	}
	return rows
}

// read reads memories one by one, and returns those that are there, in order.
func (s *Server) read(ctx context.Context, ids []string) ([]serverRow, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	found := make([]*serverRow, len(ids))
	err := eachAtOnce(ids, serverReads, func(i int) (err error) {
		found[i], err = s.one(ctx, ids[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	var rows []serverRow
	for _, r := range found {
		if r != nil {
			rows = append(rows, *r)
		}
	}
	return rows, nil
}

// one reads a memory; nil if there is none.
func (s *Server) one(ctx context.Context, id string) (*serverRow, error) {
	k := call{method: http.MethodGet, route: serverOne, args: []string{id}}
	row, err := ask[*serverRow](ctx, s.client, k)
	if err == nil && row != nil && row.ID != id {
		return nil, k.failed(fmt.Errorf("%w: the answer is another memory", store.ErrSchema))
	}
	return row, err
}

// eachAtOnce calls f for every index of ids, so many at once. After an error no more
// are begun; those under way are waited for.
func eachAtOnce(ids []string, atOnce int, f func(i int) error) error {
	var (
		group  errgroup.Group
		failed atomic.Bool
	)
	group.SetLimit(atOnce)
	for i := range ids {
		if failed.Load() {
			break
		}
		group.Go(func() error {
			err := f(i)
			if err != nil {
				failed.Store(true)
			}
			return err
		})
	}
	return group.Wait()
}

func tooManyForServer(n int) error {
	return fmt.Errorf("%w: %d ids at once, at most %d", store.ErrRefused, n, store.MaxBatch)
}
