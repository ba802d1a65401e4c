package ledger

import (
	"context"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/prometheus/client_golang/prometheus"

	"lethe/jobs"
)

// A Collector reports what the ledger says when it is asked, so that the
// numbers survive a restart and agree between processes. No label has a value
// that came from a request.
type Collector struct {
	l        *Ledger
	policies []jobs.Policy
	timeout  time.Duration

	swept, unswept *prometheus.Desc

	requests, open, oldest, due, unconfirmed, outbox, refused, unapproved, holds, logSize, logAge, logPending, logOutcast *prometheus.Desc
}

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector returns a collector for l, to be registered once. It tells of the
// policies that are given.
func NewCollector(l *Ledger, policies ...jobs.Policy) *Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("lethe_"+name, help, labels, nil)
	}
	return &Collector{
		l: l, timeout: 5 * time.Second, policies: policies,
		swept:       desc("sweep_last_success_timestamp_seconds", "When a policy's sweep last came to its end, as a Unix time: of its stores, that for which it is longest ago; 0 if one has had none.", "policy"),
		unswept:     desc("sweep_refused_total", "How often a policy could not be run, by reason; a tick is tried again each minute.", "policy", "reason"),
		requests:    desc("requests_total", "Requests by origin and outcome; accepted counts all of them.", "origin", "outcome"),
		open:        desc("requests_open", "Requests that have not ended, by status.", "status"),
		oldest:      desc("oldest_open_request_age_seconds", "Age of the oldest request that has not ended; 0 if there is none."),
		due:         desc("requests_due", "Requests that have not ended, by the time left until they are due.", "due_in"),
		unconfirmed: desc("confirmations_due", "Requests whose receipt is to be confirmed and was not, by the time left for it.", "due_in"),
		outbox:      desc("outbox_pending", "Tasks that have not been answered, but for batches that are held."),
		refused:     desc("ids_refused", "IDs that could not be erased so far, each set aside from the others: somebody has to look."),
		unapproved:  desc("oldest_waiting_approval_age_seconds", "How long the plan that waits longest for a second person's approval has waited; 0 if none does: somebody has to act."),

		holds:   desc("holds_active", "Legal holds that stand."),
		logSize: desc("log_size", "Entries in the log."),
		logAge:  desc("log_checkpoint_age_seconds", "Age of the newest signed head of the log."),

		logPending: desc("log_pending", "Entries that are committed and wait to be logged; always 0 on SQLite."),
		logOutcast: desc("log_outcast", "Rows that were put beside the log's outbox by other means and could not be logged. Each is for people to look at."),
	}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector. What cannot be read is reported as
// an invalid metric, which fails the scrape: silence would look like health.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	if err := c.collect(ctx, ch); err != nil {
		ch <- prometheus.NewInvalidMetric(c.open, err)
	}
}

func (c *Collector) collect(ctx context.Context, ch chan<- prometheus.Metric) error {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	if err := c.totals(ctx, ch, gauge); err != nil {
		return err
	}
	if err := c.sweeps(ctx, ch, gauge); err != nil {
		return err
	}
	now := millis(c.l.now())
	if err := c.deadlines(ctx, now, c.due, dueUntil, gauge); err != nil {
		return err
	}
	if err := c.deadlines(ctx, now, c.unconfirmed, confirmUntil, gauge); err != nil {
		return err
	}
	var pending struct{ Outbox, Holds, Oldest, Refused, Unapproved int64 }
	err := c.l.read.GetContext(ctx, &pending, c.l.read.Rebind(`SELECT (SELECT COUNT(*) FROM outbox WHERE state <> 'held') AS outbox,
		(SELECT COUNT(*) FROM holds WHERE state = 'active') AS holds,
		(SELECT COALESCE(MIN(created_at), ?) FROM requests WHERE completed_at IS NULL) AS oldest,
		(SELECT COALESCE(MIN(waits_since), ?) FROM requests WHERE approval = 'needed' AND completed_at IS NULL) AS unapproved,
		(SELECT COALESCE(SUM(b.refused), 0) FROM batches b WHERE b.refused > 0 AND b.done_at IS NULL) AS refused`), now, now)
	if err != nil {
		return err
	}
	gauge(c.outbox, float64(pending.Outbox))
	gauge(c.oldest, float64(now-pending.Oldest)/1000)
	gauge(c.refused, float64(pending.Refused))
	gauge(c.unapproved, float64(now-pending.Unapproved)/1000)
	gauge(c.holds, float64(pending.Holds))
	size, err := c.l.log.Size(ctx)
	if err != nil {
		return err
	}
	gauge(c.logSize, float64(size))
	waits, err := c.l.log.Pending(ctx)
	if err != nil {
		return err
	}
	gauge(c.logPending, float64(waits.Waiting))
	gauge(c.logOutcast, float64(waits.Outcast))
	if size == 0 { // its head would have to be signed, by an agent that may hang
		return nil
	}
	head, err := c.l.log.Head(ctx)
	if err != nil {
		return err
	}
	gauge(c.logAge, c.l.now().Sub(head.At).Seconds())
	return nil
}

func (c *Collector) totals(ctx context.Context, ch chan<- prometheus.Metric, gauge func(*prometheus.Desc, float64, ...string)) error {
	var rows []struct {
		Origin, Status string
		N              float64
	}
	if err := c.l.read.SelectContext(ctx, &rows, `SELECT origin, status, COUNT(*) AS n FROM requests GROUP BY origin, status`); err != nil {
		return err
	}
	open := map[string]float64{}
	total := map[[2]string]float64{}
	for _, origin := range []string{jobs.OriginAPI, jobs.OriginCLI, jobs.OriginConsole, jobs.OriginMem0, jobs.OriginSweep, jobs.OriginWatch, jobs.OriginReplay} {
		for _, outcome := range []string{"accepted", "completed", "cancelled", "rejected"} {
			total[[2]string{origin, outcome}] = 0
		}
	}
	for _, r := range rows {
		total[[2]string{r.Origin, "accepted"}] += r.N
		if jobs.Status(r.Status).Ended() {
			total[[2]string{r.Origin, r.Status}] += r.N
		} else {
			open[r.Status] += r.N
		}
	}
	for k, n := range total {
		ch <- prometheus.MustNewConstMetric(c.requests, prometheus.CounterValue, n, k[0], k[1])
	}
	for _, s := range jobs.Statuses() {
		if !s.Ended() {
			gauge(c.open, open[string(s)], string(s))
		}
	}
	return nil
}

// sweeps tells of each policy and each reason, also of those of which there is
// nothing to tell yet.
func (c *Collector) sweeps(ctx context.Context, ch chan<- prometheus.Metric, gauge func(*prometheus.Desc, float64, ...string)) error {
	for _, p := range c.policies {
		var last []int64
		for _, name := range p.Stores {
			var at int64
			err := c.l.read.GetContext(ctx, &at, c.l.read.Rebind(`SELECT COALESCE(MAX(at), 0) FROM (
				SELECT MAX(done_at) AS at FROM sweeps WHERE policy = ? AND store = ? AND state = ?
				UNION ALL SELECT MAX(r.completed_at) FROM sweeps s JOIN requests r ON r.id = s.request
					WHERE s.policy = ? AND s.store = ? AND s.request <> '' AND r.status = ?) AS ends`),
				p.Name, name, jobs.SweepEmpty, p.Name, name, jobs.Completed)
			if err != nil {
				return err
			}
			last = append(last, at)
		}
		gauge(c.swept, float64(slices.Min(last))/1000, p.Name)
		var rows []struct {
			Reason string
			N      float64
		}
		if err := c.l.read.SelectContext(ctx, &rows, c.l.read.Rebind(`SELECT reason, n FROM sweep_refusals WHERE policy = ?`), p.Name); err != nil {
			return err
		}
		refused := map[string]float64{}
		for _, r := range rows {
			refused[r.Reason] = r.N
		}
		for _, reason := range jobs.SweepRefusals() {
			ch <- prometheus.MustNewConstMetric(c.unswept, prometheus.CounterValue, refused[reason], p.Name, reason)
		}
	}
	return nil
}

func (c *Collector) deadlines(ctx context.Context, now int64, d *prometheus.Desc, query string, gauge func(*prometheus.Desc, float64, ...string)) error {
	const day = 24 * 60 * 60 * 1000
	from := int64(0)
	for _, b := range []struct {
		name  string
		until int64
	}{{"overdue", now}, {"1d", now + day}, {"3d", now + 3*day}, {"7d", now + 7*day}, {"later", 1 << 62}} {
		var n float64
		err := sqlx.GetContext(ctx, c.l.read, &n, c.l.read.Rebind(query), from, b.until)
		if err != nil {
			return err
		}
		gauge(d, n, b.name)
		from = b.until
	}
	return nil
}
