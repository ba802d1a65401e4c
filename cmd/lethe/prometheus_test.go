package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// scrapeEvery is how often the Prometheus of a test asks and evaluates its rules.
// It is also how long it waits for an answer, so it leaves room for a busy machine.
const scrapeEvery = 500 * time.Millisecond

// A promServer is a real Prometheus of a test's own, on a loopback port. Its data
// goes with the test.
type promServer struct {
	t    testing.TB
	addr string
	asOf string    // the Unix time of which expressions are evaluated; "" for now
	log  string    // path of its own log
	hold io.Closer // it dies with it
	done chan struct{}
}

// A sample is one value of an answer, with the labels that it has.
type sample struct {
	labels map[string]string
	value  float64
}

// An alert is a rule of which Prometheus says that it is pending or firing.
type alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	State       string            `json:"state"` // pending or firing
}

func (a alert) name() string { return a.Labels["alertname"] }

// startPrometheus has a Prometheus scrape addresses (host:port) as the job lethe
// until the test ends, with the rules of files. It keeps exemplars.
func startPrometheus(t testing.TB, scrape []string, rules ...string) *promServer {
	t.Helper()
	return startPrometheusWith(t, promConfig(t, scrape, rules))
}

// startPrometheusWith is startPrometheus with a configuration of the test's own.
func startPrometheusWith(t testing.TB, text []byte) *promServer {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	binary := promBinary(t, "prometheus")
	for try := range 5 { // the port that was free may be taken
		p := &promServer{t: t, addr: freeLoopback(t), log: filepath.Join(dir, fmt.Sprintf("log%d", try)), done: make(chan struct{})}
		p.start(binary, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
			"--web.listen-address="+p.addr, "--enable-feature=exemplar-storage")
		if p.ready() {
			t.Cleanup(p.kill)
			return p
		}
		p.kill()
	}
	t.Fatalf("Prometheus does not start; see %s", dir)
	return nil
}

// promConfig is in JSON, which is YAML.
func promConfig(t testing.TB, scrape, rules []string) []byte {
	t.Helper()
	files := []string{}
	for _, r := range rules {
		path, err := filepath.Abs(r)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	every := scrapeEvery.String()
	text, err := json.Marshal(map[string]any{
		"global":     map[string]any{"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
		"rule_files": files,
		"scrape_configs": []any{map[string]any{
			"job_name": "lethe", "static_configs": []any{map[string]any{"targets": scrape}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// promBinary finds prometheus or promtool on the PATH or where .ci/need puts them.
func promBinary(t testing.TB, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	if cache, err := os.UserCacheDir(); err == nil {
		if path := filepath.Join(cache, "lethe-tests", "prometheus", name); exec.Command(path, "--version").Run() == nil {
			return path
		}
	}
	t.Fatalf("%s is missing: .ci/need %s", name, name)
	return ""
}

func freeLoopback(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs it under a shell that kills it when our end of a pipe closes: so it
// also ends with a test that panics.
func (p *promServer) start(binary string, args ...string) {
	p.t.Helper()
	const script = `exec 3<&0; log=$1; shift; "$@" >"$log" 2>&1 3<&- & p=$!; (read _ <&3; kill -9 $p 2>/dev/null) & wait $p`
	cmd := exec.Command("sh", append([]string{"-c", script, "sh", p.log, binary}, args...)...)
	hold, err := cmd.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.hold = hold
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // it was killed, or could not start
	}()
}

// ready waits until it says in its own log that it is ready: to ask on the port
// could reach another server. It reports false if it has ended.
func (p *promServer) ready() bool {
	p.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if text, _ := os.ReadFile(p.log); bytes.Contains(text, []byte("Server is ready to receive web requests")) {
			return true
		}
		select {
		case <-p.done:
			text, _ := os.ReadFile(p.log)
			p.t.Logf("Prometheus has ended:\n%s", text)
			return false
		default:
		}
	}
	p.t.Fatal("Prometheus is not ready in time")
	return false
}

func (p *promServer) kill() {
	_ = p.hold.Close() // closing twice is fine
	<-p.done
}

// ask calls the API and reads the data of its answer.
func (p *promServer) ask(path string, form url.Values, data any) error {
	answer, err := http.PostForm("http://"+p.addr+"/api/v1/"+path, form)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return readProm(answer.Body, data)
}

func readProm(body io.Reader, data any) error {
	var said struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(body).Decode(&said); err != nil {
		return err
	}
	if said.Status != "success" {
		return errors.New(said.Error)
	}
	return json.Unmarshal(said.Data, data)
}

// evaluate returns what an expression says now; a scalar is a sample without
// labels. The error is Prometheus' own.
func (p *promServer) evaluate(expr string) ([]sample, error) {
	var data struct {
		ResultType string
		Result     json.RawMessage
	}
	form := url.Values{"query": {expr}}
	if p.asOf != "" {
		form.Set("time", p.asOf)
	}
	if err := p.ask("query", form, &data); err != nil {
		return nil, err
	}
	var vector []struct {
		Metric map[string]string
		Value  [2]any
	}
	var err error
	switch data.ResultType {
	case "vector":
		err = json.Unmarshal(data.Result, &vector)
	case "scalar":
		vector = append(vector, struct {
			Metric map[string]string
			Value  [2]any
		}{})
		err = json.Unmarshal(data.Result, &vector[0].Value)
	default:
		err = fmt.Errorf("neither a vector nor a scalar but a %s", data.ResultType)
	}
	var samples []sample
	for _, v := range vector {
		text, _ := v.Value[1].(string)
		f, bad := strconv.ParseFloat(text, 64)
		err = errors.Join(err, bad)
		samples = append(samples, sample{labels: v.Metric, value: f})
	}
	return samples, err
}

// query is evaluate for an expression that must be sound.
func (p *promServer) query(expr string) []sample {
	p.t.Helper()
	samples, err := p.evaluate(expr)
	if err != nil {
		p.t.Fatalf("%s: %v", expr, err)
	}
	return samples
}

// alerts returns what is pending or firing.
func (p *promServer) alerts() []alert {
	p.t.Helper()
	answer, err := http.Get("http://" + p.addr + "/api/v1/alerts")
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	var data struct{ Alerts []alert }
	if err := readProm(answer.Body, &data); err != nil {
		p.t.Fatal(err)
	}
	return data.Alerts
}

// promtool runs promtool and returns what it prints; input may be nil.
func promtool(t testing.TB, input io.Reader, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(promBinary(t, "promtool"), args...)
	cmd.Stdin = input
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// scrapeOf is where a running service is scraped.
func (r *running) scrapeOf() string { return strings.TrimPrefix(r.s.URL(), "http://") }

// The tests of rules and dashboards rest on this: what a service says is what
// Prometheus has, and a rule of it fires.
func TestARealPrometheusScrapesAServiceAndFires(t *testing.T) {
	t.Parallel()
	rules := filepath.Join(t.TempDir(), "rules.yml")
	text := "groups:\n- name: one\n  rules:\n  - alert: Up\n    expr: lethe_queue_up == 1\n"
	if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := promtool(t, nil, "check", "rules", rules); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	r := start(t, configFor(filepath.Join(t.TempDir(), "data"), queueEmbedded, configured("mem0", newMem0(t, t.TempDir()))), nil)
	p := startPrometheus(t, []string{r.scrapeOf()}, rules)
	eventually(t, "the rule fires", func() bool {
		a := p.alerts()
		return len(a) == 1 && a[0].name() == "Up" && a[0].State == "firing"
	})
	if s := p.query(`up{job="lethe"}`); len(s) != 1 || s[0].value != 1 || s[0].labels["instance"] != r.scrapeOf() {
		t.Errorf("up: %+v", s)
	}
	if _, err := p.evaluate(`up{`); err == nil {
		t.Error("no error for an expression that is none")
	}
}
