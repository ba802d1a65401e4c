package trace

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
)

// A sender says what becomes of spans, and keeps the errors of the collector, which
// may quote anything, to itself. OpenTelemetry's own way to tell of errors is one for
// the whole program, and writes to standard error.
type sender struct {
	inner sdk.SpanExporter
	sent  func(spans int, err error)
	log   *slog.Logger
	away  atomic.Bool
}

// ExportSpans implements sdk.SpanExporter.
func (s *sender) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := s.inner.ExportSpans(ctx, spans)
	if s.sent != nil {
		s.sent(len(spans), err)
	}
	switch was := s.away.Swap(err != nil); {
	case s.log == nil || was == (err != nil):
	case err != nil:
		s.log.WarnContext(ctx, "traces are not taken by their collector; the spans are dropped, and the work goes on")
	default:
		s.log.InfoContext(ctx, "traces are taken again")
	}
	return nil
}

// Shutdown implements sdk.SpanExporter.
func (s *sender) Shutdown(ctx context.Context) error { return s.inner.Shutdown(ctx) }

type rootKey struct{} // of the UUID of a request whose own span begins

// Ids gives the span of a request the IDs that are derived from its own.
type ids struct{}

var _ sdk.IDGenerator = ids{}

// NewIDs implements sdk.IDGenerator.
func (ids) NewIDs(ctx context.Context) (trace api.TraceID, span api.SpanID) {
	if id, ok := ctx.Value(rootKey{}).(uuid.UUID); ok {
		return api.TraceID(id), spanOf(id)
	}
	_, _ = rand.Read(trace[:]) // never fails
	_, _ = rand.Read(span[:])
	return trace, span
}

// NewSpanID implements sdk.IDGenerator.
func (ids) NewSpanID(context.Context, api.TraceID) (span api.SpanID) {
	_, _ = rand.Read(span[:])
	return span
}

type askerKey struct{} // of the span context of whoever asks

// Incoming keeps the traceparent of those who ask for Accepted, and nothing else that
// they say of traces.
func Incoming(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if told := r.Header.Get("traceparent"); told != "" {
			carrier := propagation.MapCarrier{"traceparent": told}
			asker := api.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
			r = r.WithContext(context.WithValue(r.Context(), askerKey{}, asker))
		}
		next.ServeHTTP(w, r)
	})
}

func asker(ctx context.Context) api.SpanContext {
	asker, _ := ctx.Value(askerKey{}).(api.SpanContext)
	return asker
}
