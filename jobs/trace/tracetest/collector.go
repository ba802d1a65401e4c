// Package tracetest is a collector of traces for tests: it takes OTLP over HTTP.
package tracetest

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A Span is what a test looks at. IDs are in hexadecimal.
type Span struct {
	Name, Trace, ID, Parent string
	Links                   []string // traces
	Attributes              map[string]string
	Failed                  bool
	Status                  string // the text beside it
	Start, End              time.Time
	Instance                string // the process
}

// A Collector keeps what it is sent.
type Collector struct {
	URL string

	mu     sync.Mutex
	spans  []Span
	raw    []byte
	header http.Header
}

// New starts a collector, which ends with the test.
func New(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{}
	server := httptest.NewServer(http.HandlerFunc(c.take))
	t.Cleanup(server.Close)
	c.URL = server.URL + "/v1/traces"
	return c
}

// Spans returns what was sent until now, in that order.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// Raw returns every byte that was sent, and the header of the last time.
func (c *Collector) Raw() ([]byte, http.Header) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.raw), c.header.Clone()
}

func (c *Collector) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var told collector.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(body, &told) != nil || r.URL.Path != "/v1/traces" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw, c.header = append(c.raw, body...), r.Header
	for _, of := range told.GetResourceSpans() {
		instance := ""
		for _, a := range of.GetResource().GetAttributes() {
			if a.GetKey() == "service.instance.id" {
				instance = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range of.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.spans = append(c.spans, span(s, instance))
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func span(s *otlp.Span, instance string) Span {
	all := Span{
		Name: s.GetName(), Trace: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()), Parent: hex.EncodeToString(s.GetParentSpanId()),
		Attributes: map[string]string{}, Failed: s.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR, Status: s.GetStatus().GetMessage(),
		Start: time.Unix(0, int64(s.GetStartTimeUnixNano())), End: time.Unix(0, int64(s.GetEndTimeUnixNano())), Instance: instance, //nolint:gosec // until 2262
	}
	for _, a := range s.GetAttributes() {
		all.Attributes[a.GetKey()] = a.GetValue().GetStringValue()
	}
	for _, l := range s.GetLinks() {
		all.Links = append(all.Links, hex.EncodeToString(l.GetTraceId()))
	}
	return all
}
