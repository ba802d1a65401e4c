package trace

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"

	"lethe/jobs"
)

// What bounds a collector that does not keep up.
const (
	queued       = 2048 // spans; more are dropped
	sendEvery    = time.Second
	sendLimit    = 5 * time.Second // for one batch, all tries together
	retryFirst   = time.Second     // after a try that failed
	retryLast    = 2 * time.Second // at most
	parentWithin = 24 * time.Hour  // after the filing of its request, a step links
)

// Options say where spans are sent. What is empty is what the standard environment
// says (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS and their like).
type Options struct {
	Endpoint string            // http or https URL that takes OTLP, with its path
	Headers  map[string]string // secrets
	TLS      *tls.Config
	Ratio    float64 // which part of all requests is traced, from 0 to 1
	Version  string  // of this program
	Sent     func(spans int, err error)
	Logger   *slog.Logger
}

// A Tracer sends spans until it is closed. It may be used concurrently, and none of
// its methods but Close waits for anything. A nil Tracer sends nothing.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   api.Tracer
	ratio    float64
	now      func() time.Time
}

// Open returns a Tracer. Nobody is asked: a collector that is away is tried again.
func Open(ctx context.Context, o Options) (*Tracer, error) {
	to := []otlptracehttp.Option{
		otlptracehttp.WithTimeout(sendLimit),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: retryFirst, MaxInterval: retryLast, MaxElapsedTime: sendLimit}),
	}
	if o.Endpoint != "" {
		to = append(to, otlptracehttp.WithEndpointURL(o.Endpoint))
	}
	if o.Headers != nil {
		to = append(to, otlptracehttp.WithHeaders(o.Headers))
	}
	if o.TLS != nil {
		to = append(to, otlptracehttp.WithTLSClientConfig(o.TLS))
	}
	inner, err := otlptracehttp.New(ctx, to...)
	if err != nil {
		return nil, fmt.Errorf("open traces: %w", err)
	}
	about := resource.NewSchemaless(
		attribute.String("service.name", "lethe"), attribute.String("service.version", o.Version),
		attribute.String("service.instance.id", uuid.NewString()))
	if told, err := resource.Merge(about, resource.Environment()); err == nil { // OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES
		about = told
	}
	provider := sdk.NewTracerProvider(
		sdk.WithResource(about), sdk.WithIDGenerator(ids{}), sdk.WithSampler(sdk.AlwaysSample()), // see sampled
		sdk.WithBatcher(&sender{inner: inner, sent: o.Sent, log: o.Logger},
			sdk.WithMaxQueueSize(queued), sdk.WithBatchTimeout(sendEvery), sdk.WithExportTimeout(sendLimit)),
	)
	return &Tracer{provider: provider, tracer: provider.Tracer("lethe"), ratio: o.Ratio, now: time.Now}, nil
}

// Close sends what there is, for as long as ctx lets it.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// Step begins a step of the work on a task, of so many IDs, 0 if they are not known.
// What it returns is called once, at the step's end: with a code that says how it
// ended, "" for well, and whether that is a failure. A step that begins with the
// context that it returns is a part of it.
func (t *Tracer) Step(ctx context.Context, name string, task jobs.Task, ids int) (context.Context, func(code string, failed bool)) {
	id, ok := t.sampled(task.Request)
	if !ok {
		return ctx, func(string, bool) {}
	}
	about := []attribute.KeyValue{request(id), attribute.String("lethe.store", task.Store), attribute.Int("lethe.attempt", task.Attempts)}
	if ids > 0 {
		about = append(about, attribute.Int("lethe.ids", ids))
	}
	ctx, span := t.begin(ctx, name, id, api.WithAttributes(about...), api.WithSpanKind(api.SpanKindConsumer))
	return ctx, func(code string, failed bool) {
		if code != "" {
			span.SetAttributes(attribute.String("lethe.outcome", code))
		}
		if failed {
			span.SetStatus(codes.Error, code)
		}
		span.End()
	}
}

// begin begins a span below a request, or below the step that ctx is about.
func (t *Tracer) begin(ctx context.Context, name string, id uuid.UUID, o ...api.SpanStartOption) (context.Context, api.Span) {
	switch {
	case api.SpanContextFromContext(ctx).IsValid(): // a part of a step
	case t.now().Sub(filed(id)) < parentWithin:
		ctx = api.ContextWithRemoteSpanContext(ctx, root(id))
	default:
		o = append(o, api.WithLinks(api.Link{SpanContext: root(id)}))
	}
	return t.tracer.Start(ctx, name, o...)
}

// Accepted says that a request has been filed, since began. Whoever asked for it is
// linked to, see Incoming.
func (t *Tracer) Accepted(ctx context.Context, r jobs.Request, began time.Time) {
	id, ok := t.sampled(r.ID)
	if !ok {
		return
	}
	o := []api.SpanStartOption{
		api.WithTimestamp(began), api.WithSpanKind(api.SpanKindServer),
		api.WithAttributes(request(id), attribute.String("lethe.origin", r.Origin), attribute.String("lethe.regime", r.Regime), attribute.Int("lethe.stores", len(r.Jobs))),
	}
	if asker := asker(ctx); asker.IsValid() {
		o = append(o, api.WithLinks(api.Link{SpanContext: asker}))
	}
	_, span := t.begin(context.WithoutCancel(ctx), "accept", id, o...)
	span.End()
}

// Ended says that a request has come to its end: the root of its trace.
func (t *Tracer) Ended(ctx context.Context, r string, status jobs.Status) {
	id, ok := t.sampled(r)
	if !ok {
		return
	}
	_, span := t.tracer.Start(context.WithValue(context.WithoutCancel(ctx), rootKey{}, id), "request",
		api.WithNewRoot(), api.WithTimestamp(filed(id)), api.WithAttributes(request(id), attribute.String("lethe.outcome", string(status))))
	span.End()
}

// sampled reports whether a request is traced, which is the same in every process and
// for all its spans. Its ID is taken apart, so it must be one.
func (t *Tracer) sampled(request string) (uuid.UUID, bool) {
	if t == nil {
		return uuid.UUID{}, false
	}
	id, err := uuid.Parse(request)
	if err != nil {
		return id, false
	}
	return id, float64(binary.BigEndian.Uint32(id[12:])) < t.ratio*(1<<32) // random bits of a UUID
}

func request(id uuid.UUID) attribute.KeyValue {
	return attribute.String("lethe.request_id", id.String())
}

// filed is when a request was filed, as its ID says (UUID version 7).
func filed(id uuid.UUID) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:]) >> 16))
}

// root is the span of the request itself.
func root(id uuid.UUID) api.SpanContext {
	return api.NewSpanContext(api.SpanContextConfig{TraceID: api.TraceID(id), SpanID: spanOf(id), TraceFlags: api.FlagsSampled, Remote: true})
}

func spanOf(id uuid.UUID) (s api.SpanID) {
	copy(s[:], id[8:])
	return s
}
