package main

import (
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lethe/store/mem0"
)

func TestAHoldIsPlacedAndReleasedOnThePage(t *testing.T) {
	dir := t.TempDir()
	c := newMem0(t, filepath.Join(dir, "mem0"), mem0.Memory{UserID: "nora", RunID: "kept"}, mem0.Memory{UserID: "nora", RunID: "free"})
	v := start(t, configFor(filepath.Join(dir, "data"), queueEmbedded, configured("assistant", c)), nil).visitor(t)
	if status, page := v.send("/console/holds", "/console/holds", url.Values{"run_id": {"kept"}, "reason": {"litigation"}}); status != http.StatusOK || !strings.Contains(page, "The hold stands") || !strings.Contains(page, "litigation") {
		t.Fatalf("place: %d %s", status, page)
	}
	_, plan := v.send("/console/new", "/console/plan", url.Values{"user_id": {"nora"}, "store": {"assistant"}, "regime": {"gdpr"}})
	if !strings.Contains(plan, "1 of them held") {
		t.Errorf("plan: %s", plan)
	}
	_, page := v.see("POST", "/console/file", with(url.Values{"sure": {"yes"}}, plan, "form", "draft"))
	path := strings.TrimSuffix(regexp.MustCompile(`/console/requests/[0-9a-f-]{36}/events`).FindString(page), "/events")
	if page = v.until(path, ">Held by a legal hold<"); !strings.Contains(page, "1 erased, 1 held") {
		t.Errorf("held: %s", page)
	}
	_, page = v.see("GET", "/console/holds", nil)
	release := regexp.MustCompile(`/console/holds/[0-9a-f-]{36}/release`).FindString(page)
	if status, page := v.see("POST", release, with(url.Values{"reason": {"settled"}}, page, "form")); status != http.StatusOK || !strings.Contains(page, "There is no hold.") {
		t.Errorf("release: %d %s", status, page)
	}
	v.until(path, ">Completed<")
}
