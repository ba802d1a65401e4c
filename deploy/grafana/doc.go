// Command grafana writes the dashboards of lethe as Grafana reads them:
//
//	go run ./deploy/grafana            # into deploy/grafana
//	go run ./deploy/grafana DIR
//
// There are four: overview.json with the deadlines first, stores.json, queue.json
// and log.json. What is on them stands in package board. The folder provisioning
// has what Grafana needs to find them and a Prometheus by itself.
//
// # Decisions
//
// 2026-11-29. The files are in the repository, so that who only wants to import
// them needs no Go. A test fails if they are not what this program writes.
package main
