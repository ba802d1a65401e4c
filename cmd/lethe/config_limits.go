package main

import (
	"strconv"

	"github.com/goccy/go-yaml/ast"

	"lethe/jobs"
)

// How plans are approved.
const (
	approvalAlways = "always"
	approvalBeyond = "beyond-limits"
)

// A LimitsConfig says how much one request may erase without a second person.
type LimitsConfig struct {
	// max_rows: rows in all places together, those that hang on others included. At
	// least 1: to have every request approved, say approval: always. Default
	// 100000.
	MaxRows *Count `yaml:"max_rows"`

	// max_fraction: the largest part of the rows of any one place, above 0 and at
	// most 1, which is no limit. Default 0.25.
	MaxFraction *float64 `yaml:"max_fraction"`

	// fraction_from: how many rows must be found in a place for max_fraction to
	// count there, so that a store with a few rows is not all exceptions. At least
	// 1. Default 1000.
	FractionFrom *Count `yaml:"fraction_from"`

	// tolerance: by what part of it the count of a place may change between plan
	// and erasing, from 0 to 1. Beyond it, and beyond 100 rows, the plan is made
	// anew, and waits again if it had been approved. 0 tolerates no change at all.
	// Default 0.1.
	Tolerance *float64 `yaml:"tolerance"`
}

// A Count is a whole number: YAML would take half a row for none.
type Count int

// UnmarshalYAML reads the scalar at node.
func (c *Count) UnmarshalYAML(node ast.Node) error {
	n, err := strconv.Atoi(scalar(node))
	if err != nil {
		return faultAt(node, "must be a whole number")
	}
	*c = Count(n)
	return nil
}

func (l *LimitsConfig) check(add func(field, problem string)) {
	if l == nil {
		return
	}
	if l.MaxRows != nil && *l.MaxRows < 1 {
		add("max_rows", "must be at least 1; to have every request approved, say approval: always")
	}
	if f := l.MaxFraction; f != nil && (!(*f > 0) || *f > 1) {
		add("max_fraction", "must be above 0 and at most 1, which is no limit")
	}
	if l.FractionFrom != nil && *l.FractionFrom < 1 {
		add("fraction_from", "must be at least 1")
	}
	if f := l.Tolerance; f != nil && (!(*f >= 0) || *f > 1) {
		add("tolerance", "must be from 0, which tolerates no change, to 1")
	}
}

// over puts what is said on top of other limits.
func (l *LimitsConfig) over(base jobs.Limits) jobs.Limits {
	if l == nil {
		return base
	}
	set(&base.MaxRows, (*int)(l.MaxRows))
	set(&base.MaxFraction, l.MaxFraction)
	set(&base.FractionFrom, (*int)(l.FractionFrom))
	set(&base.Tolerance, l.Tolerance)
	return base
}

func set[T any](to, given *T) {
	if given != nil {
		*to = *given
	}
}

func approvalProblem(s string) string {
	if s == approvalAlways || s == approvalBeyond {
		return ""
	}
	return "must be " + approvalBeyond + " or " + approvalAlways
}

// rules are what the configuration says about approvals.
func (c *Config) rules() jobs.Rules {
	r := jobs.Rules{Always: c.Approval == approvalAlways, Limits: c.Limits.over(jobs.DefaultLimits()), Stores: map[string]jobs.Limits{}}
	for _, s := range c.Stores {
		if s.Limits != nil {
			r.Stores[s.Name] = s.Limits.over(r.Limits)
		}
	}
	return r
}
