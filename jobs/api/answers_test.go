package api_test

import (
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/jobs/api/apitest"
)

// A knock is one call of an operation, and the house that it is made to.
type knock struct {
	operation string
	method    string
	target    string
	body      string
	reader    io.Reader // instead of body
	header    []string
	host      string

	options []func(*api.Options)
	book    func(*memory)
	times   int
	busy    bool // while another call is being answered

	holds  *holding
	sweeps *sweeping

	returns *returning
	kept    *upkeep
}

// usual is a call that is answered well, with that body.
func usual(operation, body string) *knock {
	k := &knock{operation: operation, body: body, header: []string{"Content-Type", "application/json", "Authorization", "Bearer " + secretOf("admin")}, holds: &holding{}, sweeps: &sweeping{}, returns: &returning{}, kept: &upkeep{}}
	k.method, k.target, _ = strings.Cut(operation, " ")
	switch {
	case strings.Contains(k.target, "/tokens/"):
		k.target = strings.Replace(k.target, "{id}", "tok-1", 1)
	case strings.Contains(k.target, "/holds/"):
		k.target = strings.Replace(k.target, "{id}", "0193a000-0000-7000-8000-000000000001", 1)
	}
	k.target = strings.Replace(k.target, "{path}", "0/000", 1)
	return k
}

// answer makes the call and returns the status of its answer.
func (k *knock) answer(t *testing.T) int {
	t.Helper()
	people := &people{by: map[string]jobs.Actor{secretOf("admin"): {ID: "tok-admin", Role: jobs.RoleAdmin}}}
	h := open(t, append([]func(*api.Options){func(o *api.Options) {
		o.Returns = k.returns
		o.Tokens, o.Holds, o.Sweeps, o.Listen, o.Hosts = people, k.holds, k.sweeps, "127.0.0.1:8080", []string{"example.com"}
		o.Doctor, o.Backup = k.kept.doctor, k.kept.backup
	}}, k.options...)...)
	filed, _, err := h.book.Submit(t.Context(), jobs.Submission{Origin: jobs.OriginAPI})
	if err != nil {
		t.Fatal(err)
	}
	h.book.proves = true
	if k.book == nil {
		k.book = func(m *memory) {
			ended := strings.Contains(k.target, "certificate") || strings.Contains(k.target, "memory-proof") || strings.HasSuffix(k.target, "/events")
			if ended {
				m.set(filed.ID, func(r *jobs.Request) { end(r, jobs.Completed) })
			}
		}
	}
	k.book(h.book)
	people.broken = h.book.peopleFail
	if k.busy {
		gate, begun := make(chan struct{}), make(chan struct{})
		defer close(gate)
		body := readerFunc(func([]byte) (int, error) {
			close(begun)
			<-gate
			return 0, io.EOF
		})
		go usual("POST /v1/requests", "").on(h, filed.ID, body)
		<-begun
	}
	status := 0
	for range max(k.times, 1) {
		body := k.reader
		if body == nil {
			body = strings.NewReader(k.body)
		}
		status = k.on(h, filed.ID, body)
	}
	return status
}

func (k *knock) on(h *house, id string, body io.Reader) int {
	header := slices.Clone(k.header)
	w := h.askOn(k.host, k.method, strings.Replace(k.target, "{id}", id, 1), body, header...)
	return w.Code
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// provoke changes a call so that it is answered with that status.
func (k *knock) provoke(status int) {
	fail := func(err error) {
		k.holds.fail, k.sweeps.fail, k.returns.fail, k.kept.fail = err, err, err, err
		k.book = func(m *memory) { m.fail = err }
	}
	_, path, _ := strings.Cut(k.operation, " ")
	none := func(f func(*api.Options)) { k.options = append(k.options, f) }
	switch status {
	case 202:
		if strings.HasSuffix(path, "/sweeps") {
			k.body = "" // no dry run
		}
	case 400:
		k.target += "?token=x"
	case 401:
		k.header = k.header[:2]
	case 403:
		k.host = "evil.example"
	case 404:
		k.target = strings.Replace(k.target, "{id}", "0193a000-0000-7000-8000-999999999999", 1)
		k.target = strings.Replace(k.target, "tok-1", "tok-2", 1)
		if strings.HasPrefix(path, "/v1/holds") {
			none(func(o *api.Options) { o.Holds = nil })
		}
		if strings.HasPrefix(path, "/v1/policies") {
			none(func(o *api.Options) { o.Sweeps = nil })
		}
		if path == "/v1/tokens" {
			none(func(o *api.Options) { o.Tokens = nil })
		}
		if path == "/v1/doctor" || path == "/v1/backup" {
			none(func(o *api.Options) { o.Doctor, o.Backup = nil, nil })
		}
		none(func(o *api.Options) { o.LogHandler, o.PublicKey, o.Returns = nil, nil, nil })
	case 408:
		k.reader = readerFunc(func([]byte) (int, error) { return 0, os.ErrDeadlineExceeded })
	case 409:
		fail(jobs.ErrTooLate)
		k.returns.fail = jobs.ErrUnable
		k.kept.fail = api.ErrNotHere
	case 410:
		fail(jobs.ErrGone)
	case 413:
		k.body = strings.Repeat(" ", 70<<10) + k.body
	case 415:
		k.header = append([]string{"Content-Type", "text/plain"}, k.header[2:]...)
	case 422:
		if k.body = "{}"; path == "/v1/tokens" {
			k.body = `{"role":"auditor"}`
		}
	case 429:
		none(func(o *api.Options) { o.Rate = api.NewMeter(1e-6, 1) })
		k.times = 2
	case 503:
		if path == "/v1/openapi.yaml" || strings.HasPrefix(path, "/log/") || path == "/readyz" {
			none(func(o *api.Options) { o.MaxCalls = 1 })
			k.busy = true
			return
		}
		fail(errors.New("x"))
		if strings.HasPrefix(path, "/v1/tokens") {
			k.book = func(m *memory) { m.peopleFail = errors.New("x") }
		}
	}
}

// TestEveryDocumentedAnswerIsGiven: of each operation every status that the
// document has can be had, and whatever is answered besides is documented: every
// house of these tests watches for that.
func TestEveryDocumentedAnswerIsGiven(t *testing.T) {
	d := document(t)
	bodies := exampleBodies(t, d)
	all := map[string]bool{}
	for _, operation := range d.Operations() {
		for _, status := range d.Statuses(operation) {
			all[status] = true
		}
	}
	for _, operation := range d.Operations() {
		body := append(bodies[operation], "")[0]
		statuses := d.Statuses(operation)
		for status := range all {
			code, _ := strconv.Atoi(status)
			if (code == 409 || code == 410) && !slices.Contains(statuses, status) {
				continue // a book that says so where none does
			}
			k := usual(operation, body)
			k.provoke(code)
			switch got := k.answer(t); {
			case got != code && slices.Contains(statuses, status):
				t.Errorf("%s: %d, and %d is documented", operation, got, code)
			case got == code && !slices.Contains(statuses, status):
				t.Errorf("%s: %d is not documented", operation, got)
			}
		}
	}
}

// TestBodiesThatAreShownAreAccepted: what people copy from the document works.
func TestBodiesThatAreShownAreAccepted(t *testing.T) {
	d := document(t)
	n := 0
	for operation, bodies := range exampleBodies(t, d) {
		for _, body := range bodies {
			n++
			if got := usual(operation, body).answer(t); got >= 300 {
				t.Errorf("%s: %d to %s", operation, got, body)
			}
		}
	}
	if n < 13 {
		t.Errorf("%d bodies are shown", n)
	}
}

// exampleBodies returns the bodies that are shown, by operation.
func exampleBodies(t *testing.T, d *apitest.Document) map[string][]string {
	t.Helper()
	shown, wrong := d.Examples()
	if wrong != nil {
		t.Error(wrong)
	}
	bodies := map[string][]string{}
	for _, s := range shown {
		if s.Status == "" {
			bodies[s.Operation] = append(bodies[s.Operation], string(s.Text))
		}
	}
	return bodies
}
