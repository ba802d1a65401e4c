package main

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lethe/jobs/api"
	"lethe/jobs/trace/tracetest"
	"lethe/store"
	"lethe/store/mem0"
)

// A request is planned by one process and erased by another: one trace has every
// step, under the request's own ID, and names nobody.
func TestAllTheWorkOnARequestIsOneTraceAndNamesNobody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mem := newMem0(t, filepath.Join(dir, "mem0"),
		mem0.Memory{ID: "0f0f0f0f-0000-4000-8000-00000000000a", UserID: "kanari-alice", Text: "kanari likes seed"},
		mem0.Memory{ID: "0f0f0f0f-0000-4000-8000-00000000000b", UserID: "kanari-alice", Text: "kanari sings"})
	collector := tracetest.New(t)
	c := configFor(filepath.Join(dir, "data"), queueEmbedded, configured("assistant", mem))
	c.Traces = &TracesConfig{Endpoint: collector.URL}
	r := start(t, c, nil)
	id := r.submit(api.Submission{Selector: store.Selector{UserID: "kanari-alice"}, Ticket: "kanari-ticket", Grace: 3 * time.Second})
	waitFor(t, "it is planned", func() bool { return strings.Contains(r.get("/v1/requests/"+id, http.StatusOK), `"found":2`) })
	r.stop()
	r = start(t, c, nil)
	r.completed(id)
	if text := r.get("/metrics", http.StatusOK); !strings.Contains(text, `lethe_spans_total{outcome="failed"} 0`) {
		t.Error("the metrics do not tell of spans")
	}
	r.stop()
	processes := map[string]bool{}
	var names []string
	for _, s := range collector.Spans() {
		if s.Attributes["lethe.request_id"] != id || s.Trace != strings.ReplaceAll(id, "-", "") {
			t.Errorf("%s is of another trace: %+v", s.Name, s)
		}
		processes[s.Instance] = true
		names = append(names, s.Name)
	}
	for _, want := range []string{"accept", "plan", "batch", "erase", "read_again", "settle", "verify", "purge", "certify", "request"} {
		if !slices.Contains(names, want) {
			t.Errorf("there is no span %s among %v", want, names)
		}
	}
	if len(processes) != 2 {
		t.Errorf("spans are of %d processes, want 2", len(processes))
	}
	raw, _ := collector.Raw()
	wantNoWord(t, "the traces", string(raw), "kanari", "0f0f0f0f-0000")
}

// The collector hangs: the erasure does not, nor does the stop.
func TestACollectorThatHangsHoldsUpNoErasure(t *testing.T) {
	t.Parallel()
	free := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-free }))
	defer server.Close()
	defer close(free)
	dir := t.TempDir()
	mem := newMem0(t, filepath.Join(dir, "mem0"), mem0.Memory{ID: "0f0f0f0f-0000-4000-8000-00000000000a", UserID: "alice", Text: "likes seed"})
	c := configFor(filepath.Join(dir, "data"), queueEmbedded, configured("assistant", mem))
	c.Traces = &TracesConfig{Endpoint: server.URL}
	r := start(t, c, nil)
	r.completed(r.forget("alice"))
	r.stop()
}

func TestTracesAreCheckedBeforeTheStart(t *testing.T) {
	for problem, c := range map[string]TracesConfig{
		"an http or https URL": {Endpoint: "otel.example.com:4318"},
		"a user or a password": {Endpoint: "https://lethe:hunter2@otel.example.com"},
		"over TLS alone":       {Endpoint: "http://otel.example.com", HeadersFile: "headers"},
		"from 0 to 1":          {Endpoint: "https://otel.example.com", Ratio: new(1.5)},
		"must be the URL":      {},
	} {
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
		var said []string
		(&Config{Traces: &c}).checkTraces(func(field, text string) { said = append(said, field+" "+text) })
		if all := strings.Join(said, "\n"); !strings.Contains(all, problem) || strings.Contains(all, "hunter2") {
			t.Errorf("%+v: %s, want %q", c, all, problem)
		}
	}
	if (&Config{}).traced() {
		t.Error("traced by default")
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
	t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
	t.Setenv("OTEL_TRACES_SAMPLER_ARG", "0.125")
	if c := (&Config{}); !c.traced() || c.traceRatio() != 0.125 {
		t.Error("the standard environment does not count")
	}
	t.Setenv("OTEL_SDK_DISABLED", "true")
	if (&Config{}).traced() {
		t.Error("traced though it is disabled")
	}
}
