package board

import "strings"

// A Shared metric tells of what all processes share: the book of requests, the
// queue, the log. Each process tells the same, or what it last heard.
type Shared string

// An Own metric tells of one process.
type Own string

// What the book says.
const (
	RequestsTotal   Shared = "lethe_requests_total"
	RequestsOpen    Shared = "lethe_requests_open"
	OldestOpen      Shared = "lethe_oldest_open_request_age_seconds"
	RequestsDue     Shared = "lethe_requests_due"
	ConfirmDue      Shared = "lethe_confirmations_due"
	OutboxPending   Shared = "lethe_outbox_pending"
	IDsRefused      Shared = "lethe_ids_refused"
	OldestApproval  Shared = "lethe_oldest_waiting_approval_age_seconds"
	HoldsActive     Shared = "lethe_holds_active"
	SweepSuccess    Shared = "lethe_sweep_last_success_timestamp_seconds"
	SweepRefused    Shared = "lethe_sweep_refused_total"
	SweepLate       Shared = "lethe_sweep_late_seconds"
	WebhooksPending Shared = "lethe_webhooks_pending"
	LastProgress    Shared = "lethe_last_progress_timestamp_seconds"
	WorkReady       Shared = "lethe_work_ready"
	CertificatesDue Shared = "lethe_certificates_due"
	WatchLate       Shared = "lethe_watch_late_seconds"
	LastBackup      Shared = "lethe_backup_last_success_timestamp_seconds"
)

// What the queue says.
const (
	QueueTasks   Shared = "lethe_queue_tasks"
	QueueLatency Shared = "lethe_queue_latency_seconds"
)

// What the log says.
const (
	LogSize          Shared = "lethe_log_size"
	LogCheckpointAge Shared = "lethe_log_checkpoint_age_seconds"
	LogPending       Shared = "lethe_log_pending"
	LogOutcast       Shared = "lethe_log_outcast"
	LogRefused       Shared = "lethe_log_refused"
	LogPublishedSize Shared = "lethe_log_published_size"
)

// What a process says of itself and of what it did.
const (
	BatchesTotal     Own = "lethe_batches_total"
	IDsTotal         Own = "lethe_ids_total"
	VerifyFailures   Own = "lethe_verify_failures_total"
	ResidueFound     Own = "lethe_residue_found_total"
	EraseDuration    Own = "lethe_erase_duration_seconds"
	RequestDuration  Own = "lethe_request_duration_seconds"
	StoreUnmapped    Own = "lethe_store_unmapped"
	StoreUp          Own = "lethe_store_up"
	QueueUp          Own = "lethe_queue_up"
	ReconcilerRerung Own = "lethe_reconciler_requeued_total"
	WebhooksTotal    Own = "lethe_webhooks_total"
	LogPublishUp     Own = "lethe_log_publish_up"
	Weaknesses       Own = "lethe_weaknesses"
	SuppressionFound Own = "lethe_suppression_found_total"
	WatchUnable      Own = "lethe_watch_unable"
	SpansTotal       Own = "lethe_spans_total"
	LoopLastTurn     Own = "lethe_loop_last_turn_timestamp_seconds"
	Ready            Own = "lethe_ready"
	LedgerUp         Own = "lethe_ledger_up"
	BuildInfo        Own = "lethe_build_info"
	Role             Own = "lethe_role"
)

// What is not lethe's own: of client_golang's collector, and of Prometheus.
const (
	processCPU    Own = "process_cpu_seconds_total"
	processMemory Own = "process_resident_memory_bytes"
	processFDs    Own = "process_open_fds"
	processMaxFDs Own = "process_max_fds"
	up            Own = "up"
)

// A Kind is what Prometheus calls the type of a metric.
type Kind string

// The kinds that lethe exports.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// A Metric is what a dashboard counts on. A test holds the list against what a
// running service exports.
type Metric struct {
	Name   string
	Kind   Kind
	Shared bool
	Labels []string // sorted

	// Optional says that a service need not have it, such as one that writes no
	// traces. Panels of such metrics may be empty.
	Optional bool
}

// Metrics are all metrics of lethe.
func Metrics() []Metric {
	shared := func(name Shared, kind Kind, labels ...string) Metric {
		return Metric{Name: string(name), Kind: kind, Shared: true, Labels: labels}
	}
	own := func(name Own, kind Kind, labels ...string) Metric {
		return Metric{Name: string(name), Kind: kind, Labels: labels}
	}
	optional := func(m Metric) Metric { m.Optional = true; return m }
	return []Metric{
		shared(RequestsTotal, Counter, "origin", "outcome"),
		shared(RequestsOpen, Gauge, "status"),
		shared(OldestOpen, Gauge),
		shared(RequestsDue, Gauge, "due_in"),
		shared(ConfirmDue, Gauge, "due_in"),
		shared(OutboxPending, Gauge),
		shared(IDsRefused, Gauge),
		shared(OldestApproval, Gauge),
		shared(HoldsActive, Gauge),
		shared(SweepSuccess, Gauge, "policy"),
		shared(SweepRefused, Counter, "policy", "reason"),
		shared(SweepLate, Gauge, "policy"),
		shared(WebhooksPending, Gauge),
		shared(LastProgress, Gauge),
		shared(WorkReady, Gauge),
		shared(CertificatesDue, Gauge),
		shared(QueueTasks, Gauge, "queue", "state"),
		shared(QueueLatency, Gauge, "queue"),
		shared(LogSize, Gauge),
		shared(LogCheckpointAge, Gauge),
		shared(LogPending, Gauge),
		shared(LogOutcast, Gauge),
		shared(LogRefused, Gauge),
		shared(LogPublishedSize, Gauge, "kind", "name"),
		own(BatchesTotal, Counter, "outcome", "store"),
		own(IDsTotal, Counter, "outcome", "store"),
		own(VerifyFailures, Counter, "store"),
		own(ResidueFound, Counter, "store"),
		own(EraseDuration, Histogram, "store"),
		own(RequestDuration, Histogram, "origin"),
		own(StoreUnmapped, Gauge, "store"),
		own(StoreUp, Gauge, "store"),
		own(QueueUp, Gauge),
		own(ReconcilerRerung, Counter, "reason"),
		own(WebhooksTotal, Counter, "outcome"),
		own(LogPublishUp, Gauge, "kind", "name"),
		own(Weaknesses, Gauge, "check"),
		own(SuppressionFound, Counter, "kind", "store"),
		own(WatchUnable, Gauge, "store"),
		shared(WatchLate, Gauge, "store"),
		optional(shared(LastBackup, Gauge)),
		optional(own(SpansTotal, Counter, "outcome")),
		own(LoopLastTurn, Gauge, "loop"),
		own(Ready, Gauge),
		own(LedgerUp, Gauge),
		own(BuildInfo, Gauge, "goversion", "version"),
		own(Role, Gauge, "role"),
	}
}

// series is a metric's series of the chosen job, with further matchers.
func series[N Shared | Own](name N, where ...string) string {
	return string(name) + "{" + strings.Join(append([]string{`job=~"$job"`}, where...), ",") + "}"
}

// by writes the grouping of an aggregation; without labels all is one group.
func by(operator, labels, inner string) string {
	if labels == "" {
		return operator + "(" + inner + ")"
	}
	return operator + " by (" + labels + ") (" + inner + ")"
}

// Now is what the metric is now, by labels such as "origin, outcome".
func (s Shared) Now(labels string, where ...string) string {
	return by("max", labels, series(s, where...))
}

// Grown is by how much a counter has grown over a window such as 1h.
func (s Shared) Grown(window, labels string, where ...string) string {
	return by("max", labels, "increase("+series(s, where...)+"["+window+"])")
}

// Of is the series of every process.
func (o Own) Of(where ...string) string { return series(o, where...) }

// Sum adds up what the processes say.
func (o Own) Sum(labels string, where ...string) string { return by("sum", labels, o.Of(where...)) }

// Least is the least that a process says, Most the most.
func (o Own) Least(labels string, where ...string) string { return by("min", labels, o.Of(where...)) }

// Most is the most that a process says.
func (o Own) Most(labels string, where ...string) string { return by("max", labels, o.Of(where...)) }

// Grown is by how much a counter has grown in all processes over a window.
func (o Own) Grown(window, labels string, where ...string) string {
	return by("sum", labels, "increase("+o.Of(where...)+"["+window+"])")
}

// Rate is how fast a counter grows in all processes, in a second.
func (o Own) Rate(window, labels string, where ...string) string {
	return by("sum", labels, "rate("+o.Of(where...)+"["+window+"])")
}

// Quantile is a quantile such as 0.95 of what a histogram has observed over a
// window, by labels.
func (o Own) Quantile(q, window, labels string, where ...string) string {
	if labels != "" {
		labels += ", "
	}
	return "histogram_quantile(" + q + ", " + Own(o+"_bucket").Rate(window, labels+"le", where...) + ")"
}

// Grafana's own window: at least four times the interval of the scrapes.
const moment = "$__rate_interval"
