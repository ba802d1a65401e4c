// Command draw draws the dashboards as pictures for the README, from what a real
// Prometheus has answered to their queries:
//
//	make pictures
//
// A test of cmd/lethe runs a service under load and records the answers; this
// program puts them where Grafana would, in plain colours.
//
// # Decisions
//
// 2026-11-29. A module of its own: gonum/plot and its fonts are no part of lethe.
//
// 2026-11-29. A picture has at most 48 colours and is written as an indexed PNG,
// which keeps each under 60 kB; the program refuses to write a larger one.
package main
