package queue

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// tick is how often the clock of an embedded Redis is moved on.
const tick = time.Second

// An embedded Redis lives in this process, on a loopback port of its own
// choice, behind a random password that nobody is told.
type embedded struct {
	server   *miniredis.Miniredis
	password string
	quit     chan struct{}
	done     chan struct{}
}

// embed starts an embedded Redis.
func embed() (*embedded, error) {
	e := &embedded{
		server:   miniredis.NewMiniRedis(),
		password: rand.Text(),
		quit:     make(chan struct{}),
		done:     make(chan struct{}),
	}
	e.server.RequireAuth(e.password)
	if err := e.server.StartAddr("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("start the embedded queue: %w", err)
	}
	go e.clock()
	return e, nil
}

// clock moves the server's clock on, which by itself stands still: without it
// no key would ever expire.
func (e *embedded) clock() {
	defer close(e.done)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-e.quit:
			return
		case now := <-ticker.C:
			e.server.FastForward(now.Sub(last))
			last = now
		}
	}
}

func (e *embedded) options() *redis.Options {
	return &redis.Options{Addr: e.server.Addr(), Password: e.password}
}

func (e *embedded) close() {
	close(e.quit)
	<-e.done
	e.server.Close()
}
