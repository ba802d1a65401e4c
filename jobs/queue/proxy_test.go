package queue_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// A proxy stands before a Redis and can cut the line, or change answers.
type proxy struct {
	listener net.Listener
	upstream string
	answer   func([]byte) []byte // nil to leave answers as they are

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

func newProxy(t *testing.T, upstream string, answer func([]byte) []byte) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, upstream: upstream, answer: answer, conns: map[net.Conn]bool{}}
	p.wg.Go(p.serve)
	t.Cleanup(func() {
		_ = l.Close()
		p.Cut()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) URL() string { return "redis://" + p.listener.Addr().String() }

// Cut ends all connections, and those to come at once.
func (p *proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *proxy) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
}

func (p *proxy) serve() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.upstream)
		if err != nil || !p.keep(near, far) {
			_ = near.Close()
			continue
		}
		p.wg.Go(func() { p.pipe(far, near, nil) })
		p.wg.Go(func() { p.pipe(near, far, p.answer) })
	}
}

func (p *proxy) keep(near, far net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut {
		_ = far.Close()
		return false
	}
	p.conns[near], p.conns[far] = true, true
	return true
}

func (p *proxy) pipe(to io.WriteCloser, from io.ReadCloser, change func([]byte) []byte) {
	defer func() { _ = to.Close() }()
	defer func() { _ = from.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		b := buf[:n]
		if change != nil {
			b = change(b)
		}
		if _, werr := to.Write(b); err != nil || werr != nil {
			return
		}
	}
}
