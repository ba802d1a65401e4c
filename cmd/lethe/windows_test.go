package main

import (
	"context"
	"errors"
	"testing"
)

// Two processes take at once what one has room for, and more are given more, but
// never more than all of them take.
func TestWindowsGrowWithTheProcesses(t *testing.T) {
	base := windows{"a": 12, "b": 3}
	for n, want := range map[int]map[string]int{0: {"a": 12, "b": 3}, 1: {"a": 12, "b": 3}, 2: {"a": 12, "b": 3}, 3: {"a": 18, "b": 4}, 8: {"a": 48, "b": 12}} {
		got := base.spread(n)
		if got["a"] != want["a"] || got["b"] != want["b"] {
			t.Errorf("%d processes: %v, want %v", n, got, want)
		}
		if windows(got).sum() > max(1, n)*base.sum() {
			t.Errorf("%d processes take %d tasks at once, and %d may be rung", n, n*base.sum(), windows(got).sum())
		}
	}
	c := crew{count: func(context.Context) (int, error) { return 4, nil }}
	if n := c.size(t.Context()); n != 4 {
		t.Errorf("%d processes, want 4", n)
	}
	c.asked, c.count = c.asked.Add(-crewEvery), func(context.Context) (int, error) { return 0, errors.New("away") }
	if n := c.size(t.Context()); n != 4 {
		t.Errorf("%d processes while Redis does not answer, want those of before", n)
	}
}
