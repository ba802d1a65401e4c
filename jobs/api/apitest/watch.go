package apitest

import (
	"bytes"
	"io"
	"net/http"
	"sync"
)

// maxKept bounds what is kept of a body to be looked at; of one that is longer
// only its beginning is, and it is not compared.
const maxKept = 1 << 20

// Watch returns a handler that answers as h does and tells wrong of every call
// whose answer is not as the document says.
func (d *Document) Watch(h http.Handler, wrong func(error)) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := &recorder{ResponseWriter: rw}
		asked := &copied{ReadCloser: r.Body}
		inner := r
		if r.Body != nil && r.Body != http.NoBody {
			inner = r.Clone(r.Context())
			inner.Body = asked
		}
		defer func() {
			if p := recover(); p != nil {
				panic(p) // there is no whole answer
			}
			c := Call{Request: r, RequestBody: asked.whole(), Status: w.status, Header: w.Header(), Body: w.body.Bytes()}
			if w.status == 0 || w.body.Len() > maxKept {
				return // the server says 200 without a word, or there is too much of it
			}
			if err := d.Check(c); err != nil {
				wrong(err)
			}
		}()
		h.ServeHTTP(w, inner)
	})
}

// A recorder keeps what is answered.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// Unwrap lets http.ResponseController through.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if w.body.Len() <= maxKept {
		w.body.Write(p)
	}
	return w.ResponseWriter.Write(p)
}

// A copied body keeps what was read of it.
type copied struct {
	io.ReadCloser
	mu   sync.Mutex
	body bytes.Buffer
	end  bool
	done func() // when it is closed, or nil
}

func (c *copied) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.body.Len() <= maxKept {
		c.body.Write(p[:n])
	}
	c.end = c.end || err == io.EOF
	return n, err
}

// whole returns the body, or nil if it was not read to its end or is too long.
func (c *copied) whole() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.end || c.body.Len() > maxKept {
		return nil
	}
	return c.body.Bytes()
}

// Through returns a transport that asks as next does and tells wrong of every
// answer that is not as the document says, when its body is closed.
func (d *Document) Through(next http.RoundTripper, wrong func(error)) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		asked := &copied{ReadCloser: r.Body}
		if r.Body != nil && r.Body != http.NoBody {
			r = r.Clone(r.Context())
			r.Body = asked
		}
		answer, err := next.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		body := &copied{ReadCloser: answer.Body}
		body.done = sync.OnceFunc(func() {
			text := body.whole()
			if text == nil && answer.Header.Get("Content-Type") != "text/event-stream" {
				return
			}
			if err := d.Check(Call{Request: r, RequestBody: asked.whole(), Status: answer.StatusCode, Header: answer.Header, Body: text}); err != nil {
				wrong(err)
			}
		})
		answer.Body = body
		return answer, nil
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Close closes the body, which nobody reads any more.
func (c *copied) Close() error {
	err := c.ReadCloser.Close()
	if c.done != nil {
		c.done()
	}
	return err
}
