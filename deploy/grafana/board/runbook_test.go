package board

import (
	"os"
	"strings"
	"testing"
)

// Whoever follows a panel's link finds a section there, and an alert of that name
// among the rules.
func TestEveryPanelLeadsToASectionOfTheRunbook(t *testing.T) {
	t.Parallel()
	runbook, err := os.ReadFile("../../RUNBOOK.md")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := os.ReadFile("../../prometheus/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, alert := range Runbooks() {
		if !strings.Contains(string(runbook), "\n## "+alert+"\n") {
			t.Errorf("deploy/RUNBOOK.md has no section %s", alert)
		}
		if !strings.Contains(string(rules), "alert: "+alert+"\n") {
			t.Errorf("deploy/prometheus/rules.yml has no alert %s", alert)
		}
	}
	if len(Runbooks()) < 15 {
		t.Errorf("only %d alerts are linked", len(Runbooks()))
	}
	if !strings.Contains(string(rules), RunbookURL+"#") {
		t.Errorf("the rules have their runbook elsewhere than %s", RunbookURL)
	}
}
