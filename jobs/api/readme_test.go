package api_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"lethe/jobs"
)

// The table of who may do what, as people read it, is the one by which they are
// let in.
func TestTheReadmeHasTheTableOfRoles(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]jobs.Act{
		"file a request": jobs.ActFile, "see requests": jobs.ActRead, "cancel ": jobs.ActCancel, "approve (": jobs.ActDecide,
		"place and release holds": jobs.ActHold, "see holds": jobs.ActHolds, "see policies and their sweeps": jobs.ActPolicies, "run a policy, or ask what it would erase": jobs.ActSweep, "`/metrics`": jobs.ActMetrics, "make, list and revoke tokens": jobs.ActPeople,
		"ask what is weak or broken": jobs.ActInspect, "take a backup of the ledger": jobs.ActBackup,
	}
	_, table, _ := strings.Cut(string(text), "| | submitter | approver | auditor | admin |\n|---|---|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(line, "|\n"), "|")
		for name, act := range rows {
			if !strings.HasPrefix(strings.TrimSpace(cells[0])+" ", name) {
				continue
			}
			delete(rows, name)
			for i, role := range jobs.Roles() {
				said := strings.TrimSpace(cells[i+1]) != ""
				if may := (jobs.Actor{ID: "t", Role: role}).May(act); said != may {
					t.Errorf("%s: the README says %v of a %s, and it is %v", act, said, role, may)
				}
			}
		}
	}
	if len(rows) > 0 || !slices.Equal(jobs.Roles(), []jobs.Role{jobs.RoleSubmitter, jobs.RoleApprover, jobs.RoleAuditor, jobs.RoleAdmin}) {
		t.Errorf("not in the README: %v", rows)
	}
}
