package ledger

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lethe/jobs"
)

// askLimit bounds what a scrape may wait for the ledger: less than Prometheus waits
// for a scrape (10 s), so that the process's own series come in any case.
const askLimit = 3 * time.Second

// A Collector reports what the ledger says when it is asked, so that the
// numbers survive a restart and agree between processes. No label has a value
// that came from a request.
//
// The ledger is asked for at most 3 s. A part of it that cannot be read then has no
// series, rather than old ones, and lethe_ledger_up is 0: an alert must look at that
// too. The scrape succeeds all the same. Its fields are set before it is registered.
type Collector struct {
	Down   func(store string) bool // whether a store is known to be down; nil for never
	Logger *slog.Logger            // told, once, that something cannot be read; nil for none

	l        *Ledger
	policies []jobs.Policy
	timeout  time.Duration
	told     bool       // that something cannot be read
	mu       sync.Mutex // of told, and one reading at a time
	ended    tally

	up *prometheus.Desc

	swept, unswept, overdue *prometheus.Desc

	requests, open, oldest, due, unconfirmed, outbox, refused, unapproved, holds, logSize, logAge, logPending, logOutcast *prometheus.Desc

	progress, ready, uncertified *prometheus.Desc
}

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector returns a collector for l, to be registered once. It tells of the
// policies that are given.
func NewCollector(l *Ledger, policies ...jobs.Policy) *Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("lethe_"+name, help, labels, nil)
	}
	return &Collector{
		l: l, timeout: askLimit, policies: policies,
		up:          desc("ledger_up", "1 if all that the ledger and its log are asked here was answered within 3 s; while it is 0, some or all of what they say is missing."),
		swept:       desc("sweep_last_success_timestamp_seconds", "When a policy's sweep last came to its end, as a Unix time: of its stores, that for which it is longest ago; 0 if one has had none.", "policy"),
		overdue:     desc("sweep_late_seconds", "For how long a policy's sweep has been due and was not run: of its stores, that for which it is longest; 0 if none is due.", "policy"),
		unswept:     desc("sweep_refused_total", "How often a policy could not be run, by reason; a tick is tried again each minute.", "policy", "reason"),
		requests:    desc("requests_total", "Requests by origin and outcome; accepted counts all of them.", "origin", "outcome"),
		open:        desc("requests_open", "Requests that have not ended, by status.", "status"),
		oldest:      desc("oldest_open_request_age_seconds", "Age of the oldest request that has not ended; 0 if there is none."),
		due:         desc("requests_due", "Requests that have not ended, by the time left until they are due.", "due_in"),
		unconfirmed: desc("confirmations_due", "Requests whose receipt is to be confirmed and was not, by the time left for it.", "due_in"),
		outbox:      desc("outbox_pending", "Tasks that have not been answered, but for batches that are held."),
		refused:     desc("ids_refused", "IDs that could not be erased so far, each set aside from the others: somebody has to look."),
		unapproved:  desc("oldest_waiting_approval_age_seconds", "How long the plan that waits longest for a second person's approval has waited; 0 if none does: somebody has to act."),

		progress:    desc("last_progress_timestamp_seconds", "When a plan, a batch, a verification, a purge or a request last ended, as a Unix time; 0 if nothing ever has."),
		ready:       desc("work_ready", "Tasks that are due and that nobody works on, though they wait for no person, hold, window, back-off or store that is down: if there are some for long and nothing has progressed, nothing moves."),
		uncertified: desc("certificates_due", "Requests that have been through in every store for a minute and have no certificate yet."),

		holds:   desc("holds_active", "Legal holds that stand."),
		logSize: desc("log_size", "Entries in the log."),
		logAge:  desc("log_checkpoint_age_seconds", "Age of the newest signed head of the log; absent while the log is empty."),

		logPending: desc("log_pending", "Entries that are committed and wait to be logged; always 0 on SQLite."),
		logOutcast: desc("log_outcast", "Rows that were put beside the log's outbox by other means and could not be logged. Each is for people to look at."),
	}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.up, c.swept, c.unswept, c.overdue, c.requests, c.open, c.oldest, c.due, c.unconfirmed, c.outbox, c.refused, c.unapproved,
		c.progress, c.ready, c.uncertified, c.holds, c.logSize, c.logAge, c.logPending, c.logOutcast,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. Of a part that cannot be read whole it
// reports nothing.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	var failed error
	for _, part := range []func(context.Context) (sheet, error){c.totals, c.deadlines, c.pending, c.work, c.sweeps, c.log} {
		said, err := part(ctx)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		for _, m := range said {
			ch <- m
		}
	}
	ch <- prometheus.MustNewConstMetric(c.up, prometheus.GaugeValue, one(failed == nil))
	if failed != nil && !c.told && c.Logger != nil {
		c.Logger.WarnContext(ctx, "the ledger could not be read for the metrics; lethe_ledger_up is 0 until it can", slog.Any("error", failed))
	}
	c.told = failed != nil
}

// A sheet is what one part of the ledger says.
type sheet []prometheus.Metric

func (s *sheet) gauge(d *prometheus.Desc, v float64, labels ...string) {
	*s = append(*s, prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...))
}

func (s *sheet) counter(d *prometheus.Desc, v float64, labels ...string) {
	*s = append(*s, prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...))
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
