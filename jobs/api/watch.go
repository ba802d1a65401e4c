package api

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	watchPoll  = time.Second
	firstEvent = 5 * time.Second // a stream that is silent at first goes through something that keeps it
	nextLine   = 3 * heartbeat
)

// Watch calls changed with the request at once and whenever it has changed, and
// returns it when it has ended. It follows the event stream, and polls wherever
// one does not come through. It outlasts restarts of the server: it returns an
// error only if ctx is done or the request can never be had (a *Problem below
// 500, but for 408 and 429).
func (c *Client) Watch(ctx context.Context, id string, changed func(Request)) (Request, error) {
	w := &watch{client: c, id: id, changed: changed}
	streams := true
	for {
		if streams {
			streams = w.stream(ctx)
		}
		if !w.last.Status.Ended() {
			r, err := c.Request(ctx, id)
			switch {
			case err == nil:
				w.see(r)
			case ctx.Err() != nil:
				return w.last, ctx.Err()
			case final(err):
				return w.last, err
			}
		}
		if w.last.Status.Ended() {
			return w.last, nil
		}
		select {
		case <-ctx.Done():
			return w.last, ctx.Err()
		case <-time.After(watchPoll):
		}
	}
}

func final(err error) bool {
	p, ok := errors.AsType[*Problem](err)
	return ok && p.Status < 500 && p.Status != http.StatusRequestTimeout && p.Status != http.StatusTooManyRequests
}

type watch struct {
	client  *Client
	id      string
	changed func(Request)
	last    Request
	text    string // of last
	event   uint64
}

func (w *watch) see(r Request) {
	text, err := json.Marshal(r)
	if err == nil && string(text) != w.text {
		w.last, w.text = r, string(text)
		w.changed(r)
	}
}

// stream follows one event stream to its end and reports whether to open
// another. A stream that says nothing for too long is given up for good.
func (w *watch) stream(ctx context.Context) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	header := http.Header{"Accept": {eventType}}
	if w.event > 0 {
		header.Set("Last-Event-ID", strconv.FormatUint(w.event, 10))
	}
	silence := time.AfterFunc(firstEvent, cancel)
	defer silence.Stop()
	answer, err := w.client.do(ctx, http.MethodGet, idPath(w.id)+"/events", nil, header)
	if err != nil {
		return ctx.Err() == nil && !final(err)
	}
	defer answer.Body.Close()
	if !strings.HasPrefix(answer.Header.Get("Content-Type"), eventType) {
		return false
	}
	w.read(answer.Body, func() { silence.Reset(nextLine) })
	return ctx.Err() == nil
}

// read takes what our server writes: one line of data an event.
func (w *watch) read(body io.Reader, alive func()) {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxAnswerBytes)
	for lines.Scan() {
		alive()
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			w.event, _ = strconv.ParseUint(value, 10, 64)
		case "data":
			var r Request
			if json.Unmarshal([]byte(value), &r) != nil {
				return
			}
			w.see(r)
		}
	}
}
