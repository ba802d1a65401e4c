package main

import "testing"

func TestNextOriginCountsUp(t *testing.T) {
	for origin, want := range map[string]string{
		"log.example":     "log.example/2",
		"log.example/log": "log.example/log/2",
		"log.example/2":   "log.example/3",
		"log.example/9":   "log.example/10",
		"log.example/1":   "log.example/1/2",
		"log.example/02":  "log.example/02/2",
		"lethe.local/12x": "lethe.local/12x/2",
	} {
		if got := nextOrigin(origin); got != want {
			t.Errorf("%s is followed by %s, want %s", origin, got, want)
		}
	}
}
