package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"lethe/jobs"
)

const (
	heartbeat = 15 * time.Second // a comment this often keeps proxies from closing a stream
	writeTime = 10 * time.Second // for one write; a browser that does not read is dropped
)

var errStreams = errors.New("too many streams are open")

// events is GET /console/requests/{id}/events: says "change" at once and each
// time the request has changed, and "end" when nothing more will, as server-sent
// events (HTML, section 9.2). It ends with the session.
func (c *Console) events(w http.ResponseWriter, r *http.Request) {
	v, err := c.meet(r)
	if err != nil {
		c.write(w, c.problem(nil, err))
		return
	}
	id, err := requestID(r)
	if err == nil {
		_, err = c.Book.Request(v.ctx, v.by, id)
	}
	if err != nil {
		c.write(w, c.problem(nil, err))
		return
	}
	select {
	case c.streams <- struct{}{}:
		defer func() { <-c.streams }()
	default:
		c.write(w, c.problem(nil, errStreams))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would keep events to itself
	w.WriteHeader(http.StatusOK)
	if err := c.follow(r, id, &stream{w: w, control: http.NewResponseController(w)}); err != nil {
		c.note(r.Context(), slog.LevelDebug, "stream ended", slog.Any("error", err))
	}
}

// follow writes to st until the request or the session has ended, the browser
// has gone or the service closes.
func (c *Console) follow(r *http.Request, id string, st *stream) error {
	poll, beat := time.NewTicker(c.Poll), time.NewTicker(heartbeat)
	defer poll.Stop()
	defer beat.Stop()
	for {
		ended, err := c.look(r, id, st)
		if ended || err != nil {
			return err
		}
		select {
		case <-r.Context().Done():
			return nil
		case <-c.Closing:
			return nil
		case <-beat.C:
			err = st.write(":\n\n")
		case <-poll.C:
		}
		if err != nil {
			return err
		}
	}
}

// look asks once, as whoever has the session now. A book that does not answer is
// asked again.
func (c *Console) look(r *http.Request, id string, st *stream) (ended bool, err error) {
	v, err := c.meet(r)
	if v == nil || errors.Is(err, errSignIn) || errors.Is(err, errOnward) {
		return true, st.write("event: end\ndata: signed-out\n\n")
	}
	var req jobs.Request
	if err == nil {
		req, err = c.Book.Request(v.ctx, v.by, id)
	}
	switch {
	case errors.Is(err, jobs.ErrNotFound):
		return true, st.write("event: end\ndata: gone\n\n")
	case err != nil:
		return errors.Is(err, context.Canceled), nil
	}
	if err := st.change(req); err != nil || !req.Status.Ended() {
		return false, err
	}
	return true, st.write("event: end\ndata: ended\n\n")
}

// A stream is one browser's events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	last    []byte
}

func (s *stream) change(req jobs.Request) error {
	now, err := json.Marshal(req)
	if err != nil {
		return fmt.Errorf("compare request: %w", err)
	}
	if bytes.Equal(now, s.last) {
		return nil
	}
	s.last = now
	return s.write("event: change\ndata: change\n\n")
}

func (s *stream) write(text string) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(writeTime)) // not every writer has deadlines
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}
