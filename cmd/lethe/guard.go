package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lethe/audit"
	"lethe/audit/proof"
	"lethe/jobs/ledger"
)

// guardEvery is how often a log that refuses because of an anchor that cannot
// be read is guarded again.
const guardEvery = 5 * time.Second

// waysOut is what an operator can do about a log that refuses to append.
const waysOut = "put the newest backup of the ledger back, or bring the entries back from a copy of the log (lethe log import), " +
	"or, if they are gone for good, begin another log that names this one (lethe log succeed)"

// keyWaysOut is what he can do about one that lacks a key.
const keyWaysOut = "put the missing key's file back beside log.key and start again, or, if it is gone for good, begin another log that names this one (lethe log succeed)"

// anchorWaysOut is what he can do about an anchor that does not answer, or with
// what is no head of this log: no backup mends that.
const anchorWaysOut = "make the anchor answer, which is tried again by itself; or, if what it keeps is damaged or another log's and the ledger is known to be the newest, " +
	"take that away, or the anchor out of the configuration, and start again"

// restoredWaysOut is what he can do about a backup that was put back, and that no
// anchor knows to be the newest.
const restoredWaysOut = "stop, and bring back what came after the backup from the newest copy of the log that there is (lethe log import DIR_OR_URL), which also shows that nothing is missing; " +
	"or put log.head back, if it was kept; or, if there is neither, begin another log that names this one (lethe log succeed --reason restored)"

// stalledWaysOut is what he can do about one to which nobody appends.
const stalledWaysOut = "start a process with the role scheduler that has the log's key, or see why the one that runs does not log; it goes on by itself then"

// waysFor chooses between them. A log that contradicts itself or an anchor that
// can be read is the graver trouble.
func waysFor(refusal error) string {
	switch {
	case errors.Is(refusal, audit.ErrNoKey):
		return keyWaysOut
	case errors.Is(refusal, ledger.ErrStalled):
		return stalledWaysOut
	}
	for _, grave := range []error{audit.ErrBehind, audit.ErrBroken, proof.ErrDiverged} {
		if errors.Is(refusal, grave) {
			return waysOut
		}
	}
	if errors.Is(refusal, audit.ErrRestored) {
		return restoredWaysOut
	}
	return anchorWaysOut
}

// openLedger opens the book and its log. If the log refuses to append, the
// service serves what can be read.
func (s *service) openLedger(ctx context.Context) (err error) {
	if s.ledger, err = s.openBare(ctx, s.config.alone()); err != nil {
		return err
	}
	s.closers = append(s.closers, s.ledger.Close)
	for _, w := range s.ledger.Log().Warnings() {
		s.logger.WarnContext(ctx, "guarding the log", slog.String("warning", w))
	}
	_ = s.tell(ctx, nil) // from here on Run tells what changes
	s.rotator = &rotator{file: s.config.keyFile(), log: s.ledger.Log(), write: s.ledger.Write, turn: s.ledger.Turn, now: s.ledger.Now, logger: s.logger, pulse: s.pulses.of(loopRotator)}
	return s.openPublisher()
}

// openBare opens the ledger with all keys that its log may have to sign with. If
// it is to be alone, no other process may have it open.
func (s *service) openBare(ctx context.Context, alone bool) (*ledger.Ledger, error) {
	o := ledger.Options{Dir: s.config.Data, URL: s.config.postgres(), Alone: alone, Logger: s.logger, Pulse: s.pulses.of(loopSigner), Keys: s.keys, Origin: s.signer.Origin, Signer: s.signer.Signer, Rules: s.config.rules()}
	var err error
	if o.Anchors, err = s.config.logAnchors(); err != nil {
		return nil, err
	}
	file := s.config.keyFile()
	next, err := file.Next()
	if err != nil {
		return nil, err
	} else if next != nil {
		o.Next = next.Signer
	}
	if o.Former, err = file.Retired(); err != nil {
		return nil, err
	}
	l, err := ledger.Open(ctx, o)
	if errors.Is(err, audit.ErrOther) {
		return nil, fmt.Errorf("%w than the key is for; if lethe log succeed was interrupted, run it again; if the ledger was put back to before it, put back one that has it", err)
	}
	if errors.Is(err, ledger.ErrLocked) {
		return nil, fmt.Errorf("%w: %s", err, s.config.inTheWay(alone))
	}
	return l, err
}

// inTheWay says of a ledger that is in use what to do about it.
func (c *Config) inTheWay(alone bool) string {
	switch {
	case c.postgres() == "":
		return "another lethe serve, or a lethe log command, works on this data folder: stop it, or give another --data"
	case alone:
		return "another process has it open, and one with an embedded queue must be alone: stop the others, or give all of them the same --queue redis://…"
	}
	return "a process that must be alone has it: a lethe serve with an embedded queue, or a lethe log command; stop it"
}

func (s *service) openPublisher() error {
	witnesses, err := s.config.logWitnesses()
	if err != nil {
		return fmt.Errorf("witnesses: %w", err)
	}
	stampers, err := s.config.logStampers()
	if err != nil {
		return fmt.Errorf("stamps: %w", err)
	}
	s.publisher = &audit.Publisher{Log: s.ledger.Log(), Write: s.ledger.Write, Witnesses: witnesses, Stampers: stampers, Pulse: s.pulses.of(loopSigner), Logger: s.logger}
	if s.config.Stamps != nil {
		s.publisher.StampEvery = time.Duration(s.config.Stamps.Every)
	}
	s.registry.MustRegister(bounded(newPublished(s.publisher, s.refused)))
	return nil
}

// refused reports whether nothing is to be begun now.
func (s *service) refused() bool { return s.ledger.Refusal(context.Background()) != nil }

// tell logs that the log has begun to refuse, for another reason than before, or
// that it appends again. It returns the reason.
func (s *service) tell(ctx context.Context, before error) error {
	now := s.ledger.Refusal(ctx)
	switch {
	case now != nil && (before == nil || before.Error() != now.Error()):
		s.logger.ErrorContext(ctx, "the log refuses to append: requests can be read, and none is taken in or worked on",
			slog.Any("error", now), slog.String("ways_out", waysFor(now)))
	case now == nil && before != nil:
		s.logger.InfoContext(ctx, "the log appends again")
	}
	return now
}

// watchLog tells what becomes of the log until ctx is done, and guards it again
// while only an anchor cannot be read.
func (s *service) watchLog(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- s.ledger.Log().Recover(ctx, s.guardEvery) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	turned := func() {}
	if s.config.Roles.has(roleScheduler) { // whose log it is
		turned = s.pulses.of(loopSigner)()
	}
	for last := s.ledger.Refusal(ctx); ; last = s.tell(ctx, last) {
		turned()
		select {
		case <-ctx.Done():
			return <-done
		case <-tick.C:
		}
	}
}

// A published collector says how far those are who keep, cosign and time stamp
// the log's heads.
type published struct {
	publisher         *audit.Publisher
	refuses           func() bool
	refused, size, up *prometheus.Desc
}

var _ prometheus.Collector = (*published)(nil)

func newPublished(p *audit.Publisher, refuses func() bool) *published {
	of := []string{"kind", "name"}
	return &published{
		publisher: p, refuses: refuses,
		refused: prometheus.NewDesc("lethe_log_refused", "1 if the log refuses to append.", nil, nil),
		size:    prometheus.NewDesc("lethe_log_published_size", "Entries of the newest head that an anchor, witness or authority took from this process; 0 if none.", of, nil),
		up:      prometheus.NewDesc("lethe_log_publish_up", "1 if the last head was taken.", of, nil),
	}
}

// Describe implements prometheus.Collector.
func (p *published) Describe(ch chan<- *prometheus.Desc) { ch <- p.refused; ch <- p.size; ch <- p.up }

// Collect implements prometheus.Collector.
func (p *published) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(p.refused, one(p.refuses()))
	told := map[[2]string]bool{} // two anchors on one host have one name
	for _, d := range p.publisher.Status() {
		if of := [2]string{d.Kind, d.Name}; !told[of] {
			told[of] = true
			gauge(p.size, float64(d.Size), of[:]...)
			gauge(p.up, one(d.Err == nil), of[:]...)
		}
	}
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
