package ledger

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/prometheus/client_golang/prometheus"

	"lethe/jobs"
)

// What a scrape asks. All of it must be cheap with a million requests: see
// Repeated in export_test.go.
const (
	openRequests  = `SELECT origin, status, COUNT(*) AS n FROM requests WHERE completed_at IS NULL GROUP BY status, origin`
	endedRequests = `SELECT origin, status, COUNT(*) AS n FROM requests WHERE completed_at IS NOT NULL AND completed_at >= ? AND completed_at < ? GROUP BY origin, status`

	unanswered   = `SELECT COUNT(*) FROM outbox WHERE state IN ('ready', 'queued', 'running')`
	activeHolds  = `SELECT COUNT(*) FROM holds WHERE state = 'active'`
	oldestOpen   = `SELECT MIN(created_at) FROM requests WHERE completed_at IS NULL`
	longestWait  = `SELECT MIN(waits_since) FROM requests WHERE approval = 'needed' AND completed_at IS NULL AND waits_since IS NOT NULL`
	refusedSoFar = `SELECT COALESCE(SUM(refused), 0) FROM batches WHERE refused > 0 AND done_at IS NULL`

	lastProgress = `SELECT MAX(at) FROM (
		SELECT MAX(done_at) AS at FROM batches WHERE done_at IS NOT NULL
		UNION ALL SELECT MAX(planned_at) FROM jobs WHERE planned_at IS NOT NULL
		UNION ALL SELECT MAX(verified_at) FROM jobs WHERE verified_at IS NOT NULL
		UNION ALL SELECT MAX(purged_at) FROM jobs WHERE purged_at IS NOT NULL
		UNION ALL SELECT MAX(completed_at) FROM requests WHERE completed_at IS NOT NULL) AS ends`

	// A running task whose lease has not ended is somebody's, however long it takes.
	readyTasks = `SELECT store, SUM(n) AS n FROM (
		SELECT store, COUNT(*) AS n FROM outbox WHERE state = 'ready' AND next_at <= ? GROUP BY store
		UNION ALL SELECT store, COUNT(*) FROM outbox WHERE state = 'queued' GROUP BY store
		UNION ALL SELECT store, COUNT(*) FROM outbox WHERE state = 'running' AND lease_until < ? GROUP BY store) AS tasks GROUP BY store`

	uncertified = `SELECT COUNT(*) FROM requests WHERE status = 'verifying' AND completed_at IS NULL AND cancelling = 0
		AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.request = requests.id AND (jobs.stage <> 'done' OR COALESCE(jobs.purged_at, jobs.verified_at, 0) > ?))`

	lastEmptySweep = `SELECT MAX(done_at) FROM sweeps WHERE policy = ? AND store = ? AND state = 'empty'`
	lastFiledSweep = `SELECT r.completed_at FROM sweeps s JOIN requests r ON r.id = s.request
		WHERE s.policy = ? AND s.store = ? AND s.request <> '' AND r.status = 'completed' ORDER BY s.done_at DESC LIMIT 1`

	newestTick = `SELECT newest FROM policies WHERE policy = ? AND store = ?`
	firstOpen  = `SELECT MIN(due_at) FROM sweeps WHERE policy = ? AND store = ? AND state IN ('open', 'covered') AND actor = ''
		AND due_at > COALESCE((SELECT MAX(due_at) FROM sweeps WHERE policy = ? AND store = ? AND state IN ('empty', 'filed')), 0)
		AND EXISTS (SELECT 1 FROM sweeps WHERE policy = ? AND store = ? AND state = 'open' AND actor = '')`
)

// certifyWithin is how long a certificate may take. It takes a moment; but where many
// requests are at work, one of them is always at that moment.
const certifyWithin = time.Minute

// totals counts requests.
func (c *Collector) totals(ctx context.Context) (s sheet, _ error) {
	ended, err := c.ended.count(ctx, c.l)
	if err != nil {
		return nil, err
	}
	var rows []counted
	if err := c.l.read.SelectContext(ctx, &rows, openRequests); err != nil {
		return nil, err
	}
	open := map[string]float64{}
	total := map[[2]string]float64{}
	for _, origin := range jobs.Origins() {
		for _, outcome := range []string{"accepted", "completed", "cancelled", "rejected"} {
			total[[2]string{origin, outcome}] = 0
		}
	}
	for _, r := range append(rows, ended...) {
		total[[2]string{r.Origin, "accepted"}] += r.N
		if jobs.Status(r.Status).Ended() {
			total[[2]string{r.Origin, r.Status}] += r.N
		} else {
			open[r.Status] += r.N
		}
	}
	for k, n := range total {
		s.counter(c.requests, n, k[0], k[1])
	}
	for _, status := range jobs.Statuses() {
		if !status.Ended() {
			s.gauge(c.open, open[string(status)], string(status))
		}
	}
	return s, nil
}

// deadlines counts open requests by how much time is left.
func (c *Collector) deadlines(ctx context.Context) (s sheet, _ error) {
	const day = 24 * 60 * 60 * 1000
	now := millis(c.l.now())
	for _, ask := range []struct {
		d     *prometheus.Desc
		query string
	}{{c.due, dueUntil}, {c.unconfirmed, confirmUntil}} {
		from := int64(0)
		for _, b := range []struct {
			name  string
			until int64
		}{{"overdue", now}, {"1d", now + day}, {"3d", now + 3*day}, {"7d", now + 7*day}, {"later", 1 << 62}} {
			n, err := c.number(ctx, ask.query, 0, from, b.until)
			if err != nil {
				return nil, err
			}
			s.gauge(ask.d, float64(n), b.name)
			from = b.until
		}
	}
	return s, nil
}

// pending tells what waits, and for how long.
func (c *Collector) pending(ctx context.Context) (s sheet, _ error) {
	now := millis(c.l.now())
	for _, ask := range []struct {
		d     *prometheus.Desc
		query string
	}{{c.outbox, unanswered}, {c.holds, activeHolds}, {c.refused, refusedSoFar}} {
		n, err := c.number(ctx, ask.query, 0)
		if err != nil {
			return nil, err
		}
		s.gauge(ask.d, float64(n))
	}
	for _, ask := range []struct {
		d     *prometheus.Desc
		since string
	}{{c.oldest, oldestOpen}, {c.unapproved, longestWait}} {
		at, err := c.number(ctx, ask.since, now)
		if err != nil {
			return nil, err
		}
		s.gauge(ask.d, float64(now-at)/1000)
	}
	return s, nil
}

// work tells whether anything moves that could.
func (c *Collector) work(ctx context.Context) (s sheet, _ error) {
	at, err := c.number(ctx, lastProgress, 0)
	if err != nil {
		return nil, err
	}
	s.gauge(c.progress, float64(at)/1000)
	now := millis(c.l.now())
	var stores []struct {
		Store string
		N     float64
	}
	if err := c.l.read.SelectContext(ctx, &stores, c.l.read.Rebind(readyTasks), now, now); err != nil {
		return nil, err
	}
	ready := 0.0
	for _, of := range stores {
		if c.Down == nil || !c.Down(of.Store) {
			ready += of.N
		}
	}
	s.gauge(c.ready, ready)
	due, err := c.number(ctx, uncertified, 0, now-certifyWithin.Milliseconds())
	if err != nil {
		return nil, err
	}
	s.gauge(c.uncertified, float64(due))
	return s, nil
}

// sweeps tells of each policy and each reason, also of those of which there is
// nothing to tell yet.
func (c *Collector) sweeps(ctx context.Context) (s sheet, _ error) {
	for _, p := range c.policies {
		var last []int64
		late := 0.0
		for _, name := range p.Stores {
			of, err := c.late(ctx, p, name)
			if err != nil {
				return nil, err
			}
			late = max(late, of)
			empty, err := c.number(ctx, lastEmptySweep, 0, p.Name, name)
			if err != nil {
				return nil, err
			}
			filed, err := c.number(ctx, lastFiledSweep, 0, p.Name, name)
			if err != nil {
				return nil, err
			}
			last = append(last, max(empty, filed))
		}
		s.gauge(c.swept, float64(slices.Min(last))/1000, p.Name)
		s.gauge(c.overdue, late, p.Name)
		var rows []struct {
			Reason string
			N      float64
		}
		if err := c.l.read.SelectContext(ctx, &rows, c.l.read.Rebind(`SELECT reason, n FROM sweep_refusals WHERE policy = ?`), p.Name); err != nil {
			return nil, err
		}
		refused := map[string]float64{}
		for _, r := range rows {
			refused[r.Reason] = r.N
		}
		for _, reason := range jobs.SweepRefusals() {
			s.counter(c.unswept, refused[reason], p.Name, reason)
		}
	}
	return s, nil
}

// late returns for how many seconds a sweep of a policy has been due in a store, be it
// that its tick was taken and could not be run, or that nobody has taken it. Later
// ticks that cover it make it no younger.
func (c *Collector) late(ctx context.Context, p jobs.Policy, name string) (float64, error) {
	newest, err := c.number(ctx, newestTick, 0, p.Name, name)
	if err != nil || newest == 0 { // no scheduler has ever seen it: ticks count from then on
		return 0, err
	}
	next, ok := p.Schedule.Next(at(newest))
	open, err := c.number(ctx, firstOpen, 0, p.Name, name, p.Name, name, p.Name, name)
	if err != nil {
		return 0, err
	}
	if open > 0 {
		next, ok = at(open), true
	}
	if !ok {
		return 0, nil
	}
	return max(0, c.l.now().Sub(next).Seconds()), nil
}

// log tells of the log. The head of an empty one would have to be signed, by an
// agent that may hang.
func (c *Collector) log(ctx context.Context) (s sheet, _ error) {
	size, err := c.l.log.Size(ctx)
	if err != nil {
		return nil, err
	}
	s.gauge(c.logSize, float64(size))
	waits, err := c.l.log.Pending(ctx)
	if err != nil {
		return nil, err
	}
	s.gauge(c.logPending, float64(waits.Waiting))
	s.gauge(c.logOutcast, float64(waits.Outcast))
	if size == 0 {
		return s, nil
	}
	head, err := c.l.log.Head(ctx)
	if err != nil {
		return nil, err
	}
	s.gauge(c.logAge, c.l.now().Sub(head.At).Seconds())
	return s, nil
}

// number asks for one number, and returns none if there is no row, or a NULL.
func (c *Collector) number(ctx context.Context, query string, none int64, args ...any) (int64, error) {
	var n sql.NullInt64
	err := sqlx.GetContext(ctx, c.l.read, &n, c.l.read.Rebind(query), args...)
	switch {
	case errors.Is(err, sql.ErrNoRows), err == nil && !n.Valid:
		return none, nil
	}
	return n.Int64, err
}

type counted struct {
	Origin, Status string
	N              float64
}

const (
	settledAfter = 10 * time.Minute // after which no transaction is still to commit an earlier end
	recountEvery = time.Hour
)

// A tally counts requests that have ended. Those that ended some time ago are
// counted once: a million of them would cost each scrape a tenth of a second.
type tally struct {
	until int64 // ends before it are counted in old; Unix time in ms
	old   map[[2]string]float64
	whole int64 // when everything was counted
}

// count returns how many requests have ended. It counts everything anew each hour,
// and when the clock is put back, so that no end that came late is missed for good.
func (t *tally) count(ctx context.Context, l *Ledger) (rows []counted, _ error) {
	now := millis(l.now())
	settled := now - settledAfter.Milliseconds()
	if t.old == nil || settled < t.until || now-t.whole > recountEvery.Milliseconds() {
		*t = tally{old: map[[2]string]float64{}, whole: now}
	}
	var recent []counted
	if err := l.read.SelectContext(ctx, &recent, l.read.Rebind(endedRequests), t.until, settled); err != nil {
		return nil, err
	}
	for _, r := range recent {
		t.old[[2]string{r.Origin, r.Status}] += r.N
	}
	t.until = settled
	if err := l.read.SelectContext(ctx, &rows, l.read.Rebind(endedRequests), settled, int64(1<<62)); err != nil {
		return nil, err
	}
	for k, n := range t.old {
		rows = append(rows, counted{Origin: k[0], Status: k[1], N: n})
	}
	return rows, nil
}
