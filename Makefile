# Everything a newcomer needs is printed by `make help`.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

SOURCE  := audit cmd deploy jobs store worker
TOOL    := go tool -modfile=.tools/go.mod
GOLANGCI := go tool -modfile=.tools/golangci.mod golangci-lint

# The version is what Go stamps from git, where there is a repository to ask.
VCS := $(shell git rev-parse HEAD >/dev/null 2>&1 && echo auto || echo false)
BUILD := go build -trimpath -buildvcs=$(VCS) -ldflags "-s -w"

# One file that needs nothing of the system it runs on, for an image and for hosts with
# another libc. SQLite loads no extensions, so that nothing is left to be loaded. Built
# twice from the same files it is the same, byte for byte.
VERSION ?=
STATIC := go build -trimpath -buildvcs=$(if $(VERSION),false,$(VCS)) -tags netgo,osusergo,sqlite_omit_load_extension \
  -ldflags "-s -w -buildid= $(if $(VERSION),-X main.release=$(VERSION)) -linkmode external -extldflags '-static -Wl,--build-id=none'"

.PHONY: help build static deploy-check demo drill test torture share scale torture-smoke torture-long torture-log torture-replay pictures alerts lint lint-fast fmt bench clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## write bin/lethe and bin/lethe-verify
	CGO_ENABLED=1 $(BUILD) -o bin/lethe ./cmd/lethe
	CGO_ENABLED=0 $(BUILD) -o bin/lethe-verify ./cmd/lethe-verify

static: ## write bin/lethe as one static file, as the image has it, and bin/lethe-verify (VERSION=v1.2.3 names it)
	CGO_ENABLED=1 $(STATIC) -o bin/lethe ./cmd/lethe
	CGO_ENABLED=0 go build -trimpath -buildvcs=$(if $(VERSION),false,$(VCS)) -ldflags "-s -w -buildid=" -o bin/lethe-verify ./cmd/lethe-verify

demo: build ## erase an invented person from an invented store, and check the proof
	bin/lethe demo

drill: ## back a store up, forget alice, restore the backup, replay: she is gone again, nobody else is touched (a minute)
	.ci/need postgres
	go test -count=1 -timeout 10m -v -run TestDrill ./cmd/lethe

# One set of build flags for vet and test, so that SQLite is compiled once. Tests
# mostly wait, for disks and for each other's processes: three packages at a time.
test: ## run all tests with the race detector (installs redis-server, postgres, prometheus, openssl, curl, ssh-agent, node and npm if it may)
	.ci/need redis-server
	.ci/need ssh-agent
	.ci/need openssl
	.ci/need curl
	.ci/need postgres
	.ci/need pgvector
	.ci/need node
	.ci/need npm
	.ci/need prometheus
	.ci/need promtool
	go vet -race ./...
	go test -race -p 3 -timeout 14m ./...

# Of their own module, so that neither its dependencies nor its tests are ours.
deploy-check: ## check the files of deploy/, and the static binary as the image has it (installs systemd-analyze if it may)
	@.ci/need systemd-analyze || echo "deploy-check: without systemd-analyze the unit is only read, not verified"
	@.ci/need promtool || echo "deploy-check: without promtool the configuration of Prometheus is only read"
	cd deploy/check && go vet ./... && go test -count=1 -timeout 14m ./...

LAB := go run -tags torture ./cmd/torture

torture: ## run the crash lab (under 20 minutes; writes torture.json)
	.ci/need redis-server
	.ci/need postgres
	$(LAB) --size full --for 17m --report torture.json

torture-smoke: ## run a few cases of each lane of the crash lab (3 minutes)
	.ci/need redis-server
	.ci/need postgres
	$(LAB) --size smoke --for 150s

torture-long: ## run the crash lab for a release (many hours; writes torture-long.json)
	.ci/need redis-server
	.ci/need postgres
	$(LAB) --size long --report torture-long.json

# Without the race detector, so that the kills come at the speed of the real thing.
torture-log: ## the log alone: 200 kills, 45 power cuts, a million entries (3 minutes; power cuts need root)
	LETHE_KILLS=200 LETHE_POWER_CUTS=45 LETHE_ENTRIES=1000000 \
	  go test -count=1 -timeout 19m -v -run 'Kill|PowerCut|AClientOfFiles' ./audit

torture-replay: ## run one case of the crash lab again: SEED=1 PLAN=kill/17
	.ci/need redis-server
	.ci/need postgres
	$(LAB) --replay '$(SEED):$(PLAN)'

share: ## two processes share an erasure of 200,000 rows, with the share each did (under a minute)
	.ci/need redis-server
	.ci/need postgres
	LETHE_SHARE_ROWS=200000 go test -count=1 -timeout 10m -v -run TestTwoProcessesShareAnErasure ./cmd/lethe

# Medians of up to three rounds. Nothing else may run on the machine.
scale: ## how one, two and four worker processes share the work, near and far from the store (5 minutes)
	.ci/need redis-server
	.ci/need postgres
	go test -count=1 -timeout 15m -run '^$$' -bench '^BenchmarkScale$$' -benchtime 1x -v ./cmd/lethe

pictures: ## draw the dashboards from a recorded run (4 minutes; writes deploy/grafana/*.png)
	.ci/need redis-server
	.ci/need prometheus
	@record=$$(mktemp) && trap 'rm -f "$$record"' EXIT && \
	  LETHE_PICTURES=$$record go test -count=1 -timeout 15m -run TestEveryPanelOfEveryDashboardIsAnswered ./cmd/lethe && \
	  go -C deploy/grafana/draw run . "$$record" ..

alerts: ## test the alerts: their stories, what a change of them does, and a run with three outages (a minute or two)
	.ci/need redis-server
	.ci/need postgres
	.ci/need prometheus
	.ci/need promtool
	promtool=$$(command -v promtool || echo "$${XDG_CACHE_HOME:-$$HOME/.cache}/lethe-tests/prometheus/promtool"); \
	  "$$promtool" check rules deploy/prometheus/rules.yml && "$$promtool" test rules deploy/prometheus/rules_test.yml
	LETHE_ALERT_CHANGES=1 go test -race -count=1 -timeout 10m -v -run 'Alert|Runbook|Hastened|EmbeddedQueueThatBegins' ./cmd/lethe

lint: lint-fast ## run every linter (the first run builds them: some minutes)
	$(GOLANGCI) config verify
	$(GOLANGCI) run ./...
	$(GOLANGCI) run --build-tags torture ./audit/fault/... ./cmd/torture/...
	go -C deploy/grafana/draw vet ./...

lint-fast: ## vet, formatting, the floors of the house, staticcheck
	go vet -race ./...
	go vet -race -tags torture ./audit/fault ./cmd/torture
	@unformatted=$$($(TOOL) gofumpt -l $(SOURCE)); \
	  [ -z "$$unformatted" ] || { echo "not formatted, run make fmt:"; echo "$$unformatted"; exit 1; }
	go test -race -run 'Floors' ./cmd/lethe
	GOFLAGS="$$(go env GOFLAGS) -race" $(TOOL) staticcheck ./...

fmt: ## format all Go files
	$(TOOL) gofumpt -w $(SOURCE)

bench: ## run the benchmarks
	go test -run '^$$' -bench . -benchmem ./...

clean: ## remove what the build wrote
	rm -rf bin
