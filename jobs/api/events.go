package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"lethe/jobs"
)

const (
	heartbeat    = 15 * time.Second // a comment this often keeps proxies from closing a stream
	eventTimeout = 10 * time.Second // for one write; a client that does not read is dropped
	eventType    = "text/event-stream"
)

// events is GET /v1/requests/{id}/events: the request at once and whenever it
// changes, until it has ended, as server-sent events (HTML, section 9.2). An
// event is the whole Request, so a client that comes back has missed nothing;
// the IDs go on from its Last-Event-ID.
func (s *server) events(w http.ResponseWriter, r *http.Request) error {
	id, err := requestID(r)
	if err != nil {
		return err
	}
	req, err := s.Book.Request(r.Context(), ActorOf(r), id)
	if err != nil {
		return err
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		p := problem(http.StatusServiceUnavailable, "streams", "too many event streams are open: poll the request")
		p.RetryAfter = retryAfter
		return p
	}
	w.Header().Set("Content-Type", eventType)
	w.Header().Set("X-Accel-Buffering", "no") // nginx would keep events to itself
	w.WriteHeader(http.StatusOK)
	st := &stream{w: w, control: http.NewResponseController(w)}
	st.id, _ = strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 53) // absent or odd: start at 0
	by := ActorOf(r)
	still := func() error {
		a, err := Authenticate(r, s.Tokens, s.Listen)
		if err == nil && a != by && s.Tokens != nil {
			err = jobs.ErrUnknownToken
		}
		return err
	}
	s.follow(r.Context(), still, by, st, req)
	return nil
}

// follow writes to st until the request has ended, the client is gone, its token
// is good no longer or the service closes.
func (s *server) follow(ctx context.Context, still func() error, by jobs.Actor, st *stream, req jobs.Request) {
	poll, beat := time.NewTicker(s.Poll), time.NewTicker(heartbeat)
	defer poll.Stop()
	defer beat.Stop()
	err := st.send(req)
	for err == nil && !req.Status.Ended() {
		select {
		case <-ctx.Done():
			return
		case <-s.Closing:
			return
		case <-beat.C:
			err = st.write([]byte(":\n\n"))
		case <-poll.C:
			ask := still()
			var now jobs.Request
			if ask == nil {
				now, ask = s.Book.Request(ctx, by, req.ID)
			}
			switch {
			case ask == nil:
				req = now
				err = st.send(req)
			case errors.Is(ask, jobs.ErrNotFound), errors.Is(ask, jobs.ErrUnknownToken), errors.Is(ask, jobs.ErrForbidden):
				return
			}
			// Any other answer is the ledger's pause: the stream outlives it.
		}
	}
}

// A stream is one client's events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	id      uint64
	last    []byte
}

// send writes req as an event if it differs from the one before.
func (s *stream) send(req jobs.Request) error {
	data, err := json.Marshal(wireRequest(req))
	if err != nil || bytes.Equal(data, s.last) {
		return err
	}
	s.last = data
	s.id++
	return s.write(fmt.Appendf(nil, "id: %d\nevent: request\ndata: %s\n\n", s.id, data)) // JSON has no line ends
}

func (s *stream) write(p []byte) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(eventTimeout)) // not every writer has deadlines
	if _, err := s.w.Write(p); err != nil {
		return err
	}
	return s.control.Flush()
}
