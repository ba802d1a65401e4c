package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"lethe/jobs/queue/queuetest"
	"lethe/store/mem0"
)

// subjects are forgotten one by one; ten thousand are in jobs/ledger.
const subjects = 12

// measured is a service with all that has metrics of its own: two stores, a policy
// and an anchor.
func measured(t *testing.T) *running {
	t.Helper()
	var memories []mem0.Memory
	for i := range subjects {
		memories = append(memories, mem0.Memory{ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", i), UserID: fmt.Sprint("kanari-", i), Text: "kanari"})
	}
	c := configFor(t.TempDir(), queuetest.Redis(t).URL(), configured("assistant", newMem0(t, t.TempDir(), memories...)), configured("notes", newMem0(t, t.TempDir())))
	c.Policies = []PolicyConfig{{Name: "orphans", Stores: []string{"notes"}, Every: new(Duration(24 * time.Hour)), Where: WhereConfig{Orphaned: new(true)}}}
	c.Stores[0].Purge = PurgeRule{off: true} // whose rests would be most of the time
	c.Anchors = []AnchorConfig{{File: filepath.Join(t.TempDir(), "head")}}
	if err := noteBackupIn(c.Data, backup{At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	return start(t, c, nil)
}

// TestMetrics shares one service.
func TestMetrics(t *testing.T) {
	r := measured(t)
	r.completed(r.forget("kanari-0", "assistant"))
	waitFor(t, "every loop runs", func() bool { return strings.Count(r.get("/metrics", http.StatusOK), "\nlethe_loop_last_turn") == 8 })
	before := seriesOf(t, r)
	for i := range subjects {
		r.forget(fmt.Sprint("kanari-", i), "assistant")
	}
	waitFor(t, "all are forgotten", func() bool {
		return strings.Contains(r.get("/metrics", http.StatusOK), `lethe_requests_total{origin="cli",outcome="completed"} 13`)
	})
	t.Run("of all subjects are the same series", func(t *testing.T) {
		if after := seriesOf(t, r); !slices.Equal(before, after) {
			t.Errorf("%d series before, %d after: %v", len(before), len(after), seriesApart(before, after))
		}
		wantNoWord(t, "the metrics", r.get("/metrics", http.StatusOK), "kanari", "00000000-0000-4000")
	})
	t.Run("are as Prometheus wants them", func(t *testing.T) {
		problems, err := testutil.GatherAndLint(r.s.registry)
		if err != nil || len(problems) > 0 {
			t.Errorf("%+v, %v", problems, err)
		}
		promtool, err := exec.LookPath("promtool")
		if err != nil {
			t.Fatal("promtool is missing; install it with: sudo apt-get install --no-install-recommends prometheus (or .ci/need prometheus)")
		}
		check := exec.CommandContext(t.Context(), promtool, "check", "metrics")
		check.Stdin = strings.NewReader(r.get("/metrics", http.StatusOK))
		if out, err := check.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("have the request as an exemplar", func(t *testing.T) { wantExemplars(t, r) })
	t.Run("are in the manual, each as it is", func(t *testing.T) { wantManual(t, r) })
	t.Run("of every loop go on", func(t *testing.T) {
		for _, loop := range []string{loopRelay, loopReconciler, loopSigner, loopWebhooks, loopRotator, loopWorker, loopSweeper, loopWatch} {
			if turn := lastTurn(r, loop); turn == 0 {
				t.Errorf("the loop %s has no series", loop)
			} else if loop != loopSweeper && loop != loopWatch { // which look each minute
				waitFor(t, "a turn of "+loop, func() bool { return lastTurn(r, loop) > turn })
			}
		}
	})
	t.Run("say what this process is", func(t *testing.T) {
		text := r.get("/metrics", http.StatusOK)
		for _, want := range []string{"lethe_ready 1", `lethe_role{role="api"} 1`, `lethe_role{role="scheduler"} 1`, `lethe_role{role="worker"} 1`, "lethe_build_info{", "lethe_ledger_up 1", "lethe_queue_up 1", "lethe_work_ready 0", "lethe_certificates_due 0"} {
			if !strings.Contains(text, "\n"+want) {
				t.Errorf("there is no %s", want)
			}
		}
	})
}

// seriesOf lists what the service says of itself, by name and labels.
func seriesOf(t *testing.T, r *running) (list []string) {
	t.Helper()
	for line := range strings.Lines(r.get("/metrics", http.StatusOK)) {
		if name, _, ok := strings.Cut(line, " "); ok && strings.HasPrefix(name, "lethe_") {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

func seriesApart(a, b []string) (list []string) {
	for _, s := range b {
		if !slices.Contains(a, s) {
			list = append(list, "+"+s)
		}
	}
	for _, s := range a {
		if !slices.Contains(b, s) {
			list = append(list, "-"+s)
		}
	}
	return list
}

// wantExemplars reads what a Prometheus with exemplars would.
func wantExemplars(t *testing.T, r *running) {
	t.Helper()
	ask, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.s.URL()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	ask.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	answer, err := http.DefaultClient.Do(ask)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || !strings.HasSuffix(string(text), "# EOF\n") {
		t.Errorf("no OpenMetrics: %v", err)
	}
	for _, name := range []string{"lethe_request_duration_seconds", "lethe_erase_duration_seconds"} {
		found := regexp.MustCompile(name + `_bucket\{[^}]*\} \d+ # \{request_id="([0-9a-f-]{36})"\}`).FindSubmatch(text)
		if found == nil {
			t.Errorf("%s has no exemplar", name)
			continue
		}
		r.get("/v1/requests/"+string(found[1]), http.StatusOK)
	}
}

// lastTurn is when a loop last came round; 0 if it is not told.
func lastTurn(r *running, loop string) float64 {
	for line := range strings.Lines(r.get("/metrics", http.StatusOK)) {
		if at, ok := strings.CutPrefix(line, `lethe_loop_last_turn_timestamp_seconds{loop="`+loop+`"} `); ok {
			v, _ := strconv.ParseFloat(strings.TrimSpace(at), 64)
			return v
		}
	}
	return 0
}

const (
	manual      = "../../deploy/OPERATIONS.md"
	manualBegin = "<!-- metrics: written by LETHE_WRITE_MANUAL=1 go test -run TestMetrics ./cmd/lethe -->\n"
	manualEnd   = "<!-- end of metrics -->\n"
)

// wantManual compares the table of the manual with what the registry has.
func wantManual(t *testing.T, r *running) {
	t.Helper()
	families, err := r.s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| metric | type | meaning |\n| --- | --- | --- |\n")
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "lethe_") {
			continue
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		name := f.GetName()
		if labels != nil {
			name += "{" + strings.Join(labels, ",") + "}"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", name, strings.ToLower(f.GetType().String()), f.GetHelp())
	}
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), manualBegin)
	old, tail, ok2 := strings.Cut(rest, manualEnd)
	switch {
	case !ok || !ok2:
		t.Errorf("%s has no place for the metrics", manual)
	case old == table.String():
	case os.Getenv("LETHE_WRITE_MANUAL") != "":
		if err := os.WriteFile(manual, []byte(head+manualBegin+table.String()+manualEnd+tail), 0o644); err != nil {
			t.Error(err)
		}
	default:
		t.Errorf("the table of metrics in %s is not that of the service; write it with LETHE_WRITE_MANUAL=1 go test -run TestMetrics ./cmd/lethe:\n%s", manual,
			strings.Join(seriesApart(strings.Split(old, "\n"), strings.Split(table.String(), "\n")), "\n"))
	}
}
