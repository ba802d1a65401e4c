package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"lethe/jobs"
	"lethe/store"
)

// schemaPause is after how long a job looks again at a store whose data map
// does not cover its schema.
const schemaPause = time.Minute

// covered compares the data map of a store with its schema, before a plan is
// made by it: a table that came with the application's last release would be
// left out of every erasure, and nobody would know. What is found is told; if
// the Eraser is Strict, the job waits until the map is right.
func (e *Eraser) covered(ctx context.Context, t jobs.Task, s *Store) error {
	problems, err := e.uncovered(ctx, s)
	switch {
	case err != nil:
		return fmt.Errorf("plan: %w", err)
	case len(problems) == 0:
		return nil
	}
	e.Logger.WarnContext(ctx, "the data map does not cover the store's schema: see lethe stores check", slog.String("request_id", t.Request),
		slog.String("store", s.Name), slog.Any("tables", slices.Sorted(maps.Keys(problems))), slog.Bool("waits", e.Strict))
	if e.Strict {
		return &waitError{schemaPause, "schema"}
	}
	return nil
}

// ErrUncovered is wrapped by CheckStores if tables are not covered.
var ErrUncovered = errors.New("a data map does not cover its store's schema: see lethe stores check")

// CheckStores compares the data maps of all stores with their schemas and warns
// of each table with a problem. If there are any, the error wraps ErrUncovered.
// A store that cannot be looked at is left to the check before its next plan.
func (e *Eraser) CheckStores(ctx context.Context) error {
	var failed error
	for _, name := range slices.Sorted(maps.Keys(e.Stores)) {
		problems, err := e.uncovered(ctx, e.Stores[name])
		if errors.Is(err, errDown) {
			continue // its Link says so
		}
		if err != nil {
			e.Logger.WarnContext(ctx, "the data map could not be compared with the store's schema", slog.String("store", name), slog.Any("error", err))
			continue
		}
		for _, table := range slices.Sorted(maps.Keys(problems)) {
			e.Logger.WarnContext(ctx, "the data map does not cover a table", slog.String("store", name), slog.String("table", table), slog.String("problem", problems[table]))
			failed = ErrUncovered
		}
	}
	return failed
}

// uncovered returns the first problem of each table that has one, and sets the
// metric. A store that cannot be checked has none.
func (e *Eraser) uncovered(ctx context.Context, s *Store) (map[string]string, error) {
	var findings []store.Finding
	err := s.with(ctx, func(st store.Store) (err error) {
		if checker, ok := st.(store.Checker); ok {
			findings, err = checker.Check(ctx)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	problems := map[string]string{}
	for _, f := range findings {
		if _, told := problems[f.Table]; f.Problem != "" && !told {
			problems[f.Table] = strings.TrimSpace(f.Column + " " + f.Problem)
		}
	}
	e.Metrics.unmapped(s.Name, len(problems))
	return problems, nil
}
