package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// What would make returns go unrecognized is refused, with its place and why.
func TestSuppressionFaultsSayWhereAndWhat(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"suppression: {keep: 30d}\n":                   "suppression.keep: must be at least 31d",
		"suppression: {keep: 400}\n":                   "suppression.keep: must be a duration",
		"suppression: {keep: -400d}\n":                 "suppression.keep: must be",
		"suppression: {watch: [300ms]}\n":              "suppression.watch[0]: must be at least 1s",
		"suppression: {watch: [1h, -24h]}\n":           "suppression.watch[1]: must be",
		"suppression: {watch: [1h, 60m]}\n":            "suppression.watch[1]: is there twice",
		"suppression: {watch: [401d]}\n":               "suppression.watch[0]: must not be longer than suppression.keep",
		"suppression: {keep: 31d, watch: [1h, 32d]}\n": "suppression.watch[1]: must not be longer than suppression.keep",
		"suppression: {watch: [1h, 1d, 7d, 30d, 31d, 32d, 33d, 34d, 35d, 36d, 37d, 38d, 39d, 40d, 41d, 42d, 43d]}\n": "suppression.watch: must have at most 16",
		"suppression: {watches: [1h]}\n": "suppression.watches: is not a key",
		"stores: [{name: a, kind: mem0-sqlite, vectors: v.db, entities: none, history: none, undated: keep}]\n": "stores[0].undated: must be notice or erase",
	} {
		if _, err := Load(writeConfig(t, text), Overrides{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	for text, want := range map[string][]time.Duration{
		"":                                    {time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour},
		"suppression: {watch: []}\n":          {},
		"suppression: {watch: [90m, 400d]}\n": {90 * time.Minute, 400 * 24 * time.Hour},
	} {
		c, err := Load(writeConfig(t, text), Overrides{})
		if err != nil || !slices.Equal(c.watchTimes(), want) || c.keepEpochs() != 400*24*time.Hour {
			t.Errorf("%q: %v, %v", text, c.watchTimes(), err)
		}
	}
}
