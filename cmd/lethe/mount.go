package main

import (
	"context"
	"net/http"
	"path"
	"strings"
	"time"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/jobs/api/mem0"
	"lethe/worker"
)

// eventPoll is how often an event stream asks the ledger, which is a matter of
// microseconds there.
const eventPoll = 100 * time.Millisecond

// pagePoll is how often a page that is being looked at asks the ledger.
const pagePoll = 500 * time.Millisecond

// handler mounts the doors on one mux.
func (s *service) handler(closing <-chan struct{}) http.Handler {
	o := api.Options{
		Tokens: s.ledger, Book: s.intake, Holds: s.holds, Stores: s.storeNames(),
		Planner: s.surveyor, Sweeps: s.sweeper, Returns: s.returns,
		LogHandler: s.ledger.Log().Handler(), PublicKey: s.ledger.Log().Verifier, Ready: s.ready, States: s.storeStates, Roles: s.config.Roles.named(), Logger: s.logger,
		Version: version(), Listen: s.listener.Addr().String(), Closing: closing, Poll: eventPoll,
		Doctor: s.doctor, Backup: s.takeBackup,
		Rate: s.config.Rate.meter(), Refusals: api.NewMeter(refusalsPerSecond, refusalsBurst),
		Operations: append(mem0.Operations(), s.metricsOperation()),
	}
	mux, doors := http.NewServeMux(), api.New(o)
	if s.config.Roles.has(roleAPI) {
		mux.Handle("/", doors)
		page := s.page(o)
		mux.Handle("GET /{$}", page)
		mux.Handle("/console/", page)
	} else { // a process without the role says how it is
		mux.Handle("GET /healthz", doors)
		mux.Handle("GET /readyz", doors)
	}
	mux.Handle("GET /metrics", api.Guarded(s.metricsHandler(), s.mayMeasure(), o))
	if !s.config.Roles.has(roleAPI) {
		return s.traced(plainPaths(mux, doors))
	}
	return s.traced(below(mem0.Prefix, mem0.New(promptBook{s.intake, s.hand, s.surveyor}, o), plainPaths(mux, doors)))
}

// A promptBook has what is filed begun at once, if this process has a worker: who
// files waits for the end.
type promptBook struct {
	*jobs.Intake
	hand   *worker.Hand
	survey *worker.Surveyor
}

// Any implements mem0.Book.
func (b promptBook) Any(ctx context.Context, s jobs.Submission) (bool, error) {
	return b.survey.Any(ctx, s)
}

// Submit implements jobs.Book.
func (b promptBook) Submit(ctx context.Context, s jobs.Submission) (jobs.Request, bool, error) {
	r, replayed, err := b.Intake.Submit(ctx, s)
	if err == nil && !replayed {
		b.hand.Begin(r.ID)
	}
	return r, replayed, err
}

// below gives a door all paths below a prefix, as they are: what stands in them is
// its own to read, and a mux would clean them.
func below(prefix string, door, others http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, prefix+"/") {
			door.ServeHTTP(w, r)
			return
		}
		others.ServeHTTP(w, r)
	})
}

// plainPaths keeps from a mux the paths that it would answer itself, before any
// guard, with a redirect that repeats them. The doors say that there is nothing.
func plainPaths(mux *http.ServeMux, doors http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path.Clean(r.URL.Path) != r.URL.Path {
			doors.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// mayMeasure is what the metrics are for: everybody's, if the configuration says
// so.
func (s *service) mayMeasure() jobs.Act {
	if s.config.Metrics == metricsOpen {
		return jobs.ActOpen
	}
	return jobs.ActMetrics
}

// metricsOperation is what the OpenAPI document says of /metrics.
func (s *service) metricsOperation() api.Operation {
	shown := []api.Example{{Name: "beginning", Value: "# HELP lethe_queue_up 1 if the queue answers.\n# TYPE lethe_queue_up gauge\nlethe_queue_up 1\n"}}
	return api.Operation{
		Method: http.MethodGet, Path: "/metrics", ID: "metrics", May: s.mayMeasure(), Summary: "Get the metrics, for Prometheus",
		Description: "In the text format, or in OpenMetrics to who accepts it. Everybody may ask from the service's own machine, if it listens on loopback.",
		Answers: []api.Answer{
			{Status: http.StatusOK, Media: "text/plain", Examples: shown},
			{Status: http.StatusOK, Media: "application/openmetrics-text", Examples: shown},
		},
		Problems: []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests},
	}
}
