//go:build torture

package main

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// A proxy stands between the service and its Redis and does to the line what a
// network does.
type proxy struct {
	listener net.Listener
	upstream string

	mu    sync.Mutex
	bad   weather
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

// weather is what a proxy does now. The zero weather is fair.
type weather struct {
	cut    bool          // no connection holds
	deaf   bool          // requests go in and no answer comes out
	delay  time.Duration // of each answer
	lose   float64       // share of answers that are lost, with their connection
	slices bool          // answers come in pieces
}

func newProxy(upstream string) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, upstream: upstream, conns: map[net.Conn]bool{}}
	p.wg.Go(p.serve)
	return p, nil
}

func (p *proxy) url() string { return "redis://" + p.listener.Addr().String() }

func (p *proxy) close() {
	_ = p.listener.Close()
	p.set(weather{cut: true})
	p.wg.Wait()
}

// set changes the weather. A cut ends what is connected.
func (p *proxy) set(w weather) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bad = w
	if w.cut {
		for c := range p.conns {
			_ = c.Close()
		}
		p.conns = map[net.Conn]bool{}
	}
}

func (p *proxy) now() weather {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bad
}

func (p *proxy) serve() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.now().cut {
			_ = near.Close()
			continue
		}
		far, err := net.DialTimeout("tcp", p.upstream, time.Second)
		if err != nil {
			_ = near.Close()
			continue
		}
		p.mu.Lock()
		p.conns[near], p.conns[far] = true, true
		p.mu.Unlock()
		p.wg.Go(func() { p.pipe(far, near, false) })
		p.wg.Go(func() { p.pipe(near, far, true) })
	}
}

func (p *proxy) pipe(to, from net.Conn, answers bool) {
	defer func() {
		_ = to.Close()
		_ = from.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, to)
		delete(p.conns, from)
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !p.pass(to, buf[:n], answers) {
			return
		}
		if err != nil {
			return
		}
	}
}

// pass hands on what came, or reports that the connection ends here.
func (p *proxy) pass(to io.Writer, b []byte, answers bool) bool {
	w := p.now()
	switch {
	case w.cut:
		return false
	case !answers:
	case w.deaf:
		return true // swallowed: the client will time out
	case w.lose > 0 && rand.Float64() < w.lose: //nolint:gosec // how it falls is not repeatable anyway
		return false
	}
	if answers {
		time.Sleep(w.delay)
	}
	if answers && w.slices {
		for len(b) > 3 {
			if _, err := to.Write(b[:3]); err != nil {
				return false
			}
			b = b[3:]
			time.Sleep(100 * time.Microsecond)
		}
	}
	_, err := to.Write(b)
	return err == nil
}
