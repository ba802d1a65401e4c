// Package board says what is on the dashboards of lethe, in types that leave
// little to get wrong: a panel's place follows from its size, its queries from
// the metrics of [Metrics], and its datasource is always the variable.
//
// # Decisions
//
// 2026-11-29. Metrics are constants of two types. One that comes from the book,
// the queue or the log's outbox is [Shared]: every process tells the same, and
// adding them up would count each thing once a process, so it has no method that
// does. What a process counts of its own work is [Own].
//
// 2026-11-29. Numbers in a box are instant queries: a range query would go on to
// show the last value of a process that has been gone for an hour.
//
// 2026-11-29. Rates are over an hour where one looks for a tendency, for erasures
// are few: over Grafana's $__rate_interval most windows have none, and a quantile
// of nothing is a gap. Where one looks for a moment it is $__rate_interval.
//
// 2026-11-29. The dashboards are plain structs marshalled here. Grafana's own SDK
// for Go was not taken: it is large, and it cannot be had from every module proxy.
package board
