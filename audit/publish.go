package audit

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"lethe/audit/fault"
	"lethe/audit/proof"

	"github.com/jmoiron/sqlx"
)

const (
	publishEvery = time.Second      // least time between two heads to one destination
	publishWait  = 10 * time.Second // for one answer
	publishRest  = time.Minute      // most time between two tries after errors
	lastWait     = 2 * time.Second  // for all anchors at the end
	stampEvery   = 24 * time.Hour
)

// What a head is brought to; they label metrics.
const (
	KindAnchor  = "anchor"
	KindWitness = "witness"
	KindStamper = "stamper"
)

// A Write runs f in a transaction that may write, and commits it if f returns
// nil. It is durable once it returns nil.
type Write func(ctx context.Context, f func(context.Context, *sqlx.Tx) error) error

// A Publisher brings each new head to those outside who keep, cosign or time
// stamp it. It only ever reads heads that are committed, so it holds up no
// append, and no destination holds up another. Its fields are set before Run.
type Publisher struct {
	Log       *Log // its anchors are given its heads
	Write     Write
	Witnesses []Witness
	Stampers  []Stamper

	Every      time.Duration // least time between two heads to one destination; 0 means 1 s
	Wait       time.Duration // for one answer; 0 means 10 s
	StampEvery time.Duration // between two time stamps; 0 means a day
	Logger     *slog.Logger

	// Pulse, if set, is called by the loop of each destination before its first
	// turn; what it returns is called at the end of each turn that could read the
	// newest head, whether or not the destination took it.
	Pulse func() (turned func())

	mu           sync.Mutex
	destinations []*destination
}

// A Destination says how far one of those outside is.
type Destination struct {
	Name string
	Kind string
	Size int64     // of the last head that it took from this process; 0 if none
	At   time.Time // when it did
	Err  error     // of the last try, nil if it was taken
}

// A destination is one that takes heads. Its send is not called twice at once.
type destination struct {
	Destination
	send func(ctx context.Context, h proof.Head) error
	due  func(ctx context.Context, h proof.Head) (bool, error) // nil: every new head is
}

// Status returns how far each destination is, anchors first.
func (p *Publisher) Status() []Destination {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Destination, len(p.destinations))
	for i, d := range p.destinations {
		all[i] = d.Destination
	}
	return all
}

// Run publishes until ctx is done, and then brings the newest head to the
// anchors once more, for at most 2 s. While the log refuses to append nothing
// is published: a head that an anchor keeps may be the only trace of what the
// log has lost. Run always returns nil.
func (p *Publisher) Run(ctx context.Context) error {
	p.enlist()
	var all sync.WaitGroup
	done := make(chan struct{})
	for _, d := range p.destinations {
		all.Go(func() { p.serve(ctx, d) })
	}
	go func() { all.Wait(); close(done) }()
	<-ctx.Done()
	select {
	case <-done:
	case <-time.After(lastWait + lastWait/4): // one that does not heed its context
	}
	return nil
}

// enlist makes a destination of each of those outside.
func (p *Publisher) enlist() {
	var all []*destination
	add := func(name, kind string, send func(context.Context, proof.Head) error, due func(context.Context, proof.Head) (bool, error)) {
		all = append(all, &destination{Destination{Name: name, Kind: kind}, send, due})
	}
	for _, a := range p.Log.anchors {
		add(a.Name(), KindAnchor, func(ctx context.Context, h proof.Head) error { return a.Store(ctx, h.Note) }, nil)
	}
	for _, w := range p.Witnesses {
		add(w.Name(), KindWitness, func(ctx context.Context, h proof.Head) error { return p.cosign(ctx, w, h) }, nil)
	}
	for _, s := range p.Stampers {
		add(s.Name(), KindStamper, func(ctx context.Context, h proof.Head) error { return p.stamp(ctx, s, h) },
			func(ctx context.Context, h proof.Head) (bool, error) { return p.stampDue(ctx, s, h) })
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.destinations = all
}

// serve brings heads to one destination.
func (p *Publisher) serve(ctx context.Context, d *destination) {
	every := or(p.Every, publishEvery)
	rest, turned := every, beginTurns(p.Pulse)
	for {
		select {
		case <-ctx.Done():
			if d.Kind == KindAnchor {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWait)
				defer cancel()
				p.bring(ctx, d)
			}
			return
		case <-time.After(rest):
		}
		asked, cancel := context.WithTimeout(ctx, or(p.Wait, publishWait))
		read, ok := p.bring(asked, d)
		cancel()
		if read {
			turned()
		}
		if ok {
			rest = every
		} else {
			rest = min(2*rest, publishRest)
		}
	}
}

// bring brings the newest head to a destination that does not have it. It reports
// whether the log could be read, and whether there is nothing left to bring.
func (p *Publisher) bring(ctx context.Context, d *destination) (read, ok bool) {
	h, err := p.news(ctx, d)
	if err == nil && h.Size == 0 {
		return true, true
	}
	read = err == nil
	if err == nil {
		fault.Point("audit/publishing")
		err = d.send(ctx, h)
		fault.Point("audit/published")
	}
	if err == nil || !errors.Is(ctx.Err(), context.Canceled) { // the end of Run is nobody's failure, in whatever words it comes
		p.note(ctx, d, h, err)
	}
	return read, err == nil
}

// beginTurns calls a pulse, if there is one.
func beginTurns(pulse func() func()) (turned func()) {
	if pulse == nil {
		return func() {}
	}
	return pulse()
}

// news returns the newest head, or the zero Head if there is nothing to bring.
func (p *Publisher) news(ctx context.Context, d *destination) (proof.Head, error) {
	if p.Log.Refusal() != nil && !fault.Bug("audit/publish-what-is-refused") {
		return proof.Head{}, nil
	}
	stored, err := p.Log.newestHead(ctx, p.Log.db)
	if err != nil || stored.Size == 0 || stored.Size == d.Size {
		return proof.Head{}, err
	}
	h, err := p.newest(ctx)
	if err != nil {
		return proof.Head{}, err
	}
	if d.due != nil {
		if due, err := d.due(ctx, h); err != nil || !due {
			return proof.Head{}, err
		}
	}
	return h, nil
}

// newest reads the newest head and makes sure of it before it leaves the house:
// others may never let go of it.
func (p *Publisher) newest(ctx context.Context) (h proof.Head, err error) {
	l := p.Log
	err = l.snapshot(ctx, func(q querier) error {
		stored, keys, err := l.standing(ctx, q, l.reader(ctx, q))
		if err != nil {
			return err
		}
		l.saw(stored, keys)
		h, err = l.openHead(stored.Note, keys, stored.Size)
		return err
	})
	return h, err
}

// note keeps what came of a try, and logs when it begins or ends to fail.
func (p *Publisher) note(ctx context.Context, d *destination, h proof.Head, err error) {
	p.mu.Lock()
	failed := d.Err != nil
	if d.Err = err; err == nil {
		d.Size, d.At = h.Size, p.Log.now()
	}
	p.mu.Unlock()
	if p.Logger == nil || failed == (err != nil) {
		return
	}
	who := []slog.Attr{slog.String("kind", d.Kind), slog.String("name", d.Name)}
	if err != nil {
		p.Logger.LogAttrs(ctx, slog.LevelWarn, "the log's head was not taken; it is tried again", slices.Concat(who, []slog.Attr{slog.Any("error", err)})...)
		return
	}
	p.Logger.LogAttrs(ctx, slog.LevelInfo, "the log's head is taken again", who...)
}

func or(d, other time.Duration) time.Duration {
	if d == 0 {
		return other
	}
	return d
}
