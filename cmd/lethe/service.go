package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"lethe/audit"
	"lethe/audit/durable"
	lab "lethe/audit/fault"
	"lethe/audit/keyfile"
	"lethe/jobs"
	web "lethe/jobs/console"
	"lethe/jobs/keyring"
	"lethe/jobs/ledger"
	"lethe/jobs/queue"
	"lethe/jobs/trace"
	"lethe/jobs/webhook"
	"lethe/store"
	"lethe/store/mem0"
	"lethe/worker"
)

const (
	windowFactor    = 8               // tasks queued or running for each one that a store takes at once
	sharedFactor    = 3               // likewise, if other processes share them: what one holds the others cannot take
	drainTimeout    = 6 * time.Second // for tasks; with the last heads to the anchors the whole stop stays under 10 s
	sqliteWriter    = 1               // SQLite has one writer
	postgresWriters = 4               // on two cores as fast as it gets
	drainGrace      = 2 * time.Second // after which tasks that still run are broken off, and given back
	httpDrain       = 3 * time.Second // for open HTTP requests
	backupsCode     = "backups"       // the exclusion that backups_until stands for
	replicasCode    = "replicas"      // the exclusion that replicas_until stands for
	archiveCode     = "wal-archive"   // the exclusion that wal_until stands for
	keysFolder      = "keys"          // in the data folder
)

// A service is everything that lethe serve runs, opened but not yet running.
type service struct {
	config   Config
	logger   *slog.Logger
	registry *prometheus.Registry
	pulses   *pulses

	keys     *keyring.Keyring
	signer   *keyfile.Key
	ledger   *ledger.Ledger
	queue    *queue.Queue
	stores   []*worker.Store
	links    []*worker.Link // to the stores, in the same order
	intake   *jobs.Intake
	holds    *jobs.Custodian
	surveyor *worker.Surveyor
	sweeper  *jobs.Sweeper
	returns  *jobs.Watch
	eraser   *worker.Eraser
	hand     *worker.Hand
	webhooks *webhook.Sender
	tracer   *trace.Tracer // nil: nothing is traced
	listener net.Listener
	oidc     *web.OIDC // nil: one signs in to the page by token alone

	certificates *certificates // nil without TLS

	publisher  *audit.Publisher
	rotator    *rotator
	guardEvery time.Duration // see watchLog

	requeued *prometheus.CounterVec
	stopping atomic.Bool // the stop was asked for; see depart
	cut      func()      // ends the delay before it; for tests
	closers  []func() error
}

// openService opens all parts from the ground up. What it opened before an
// error is closed again.
func openService(ctx context.Context, c Config, logger *slog.Logger) (_ *service, err error) {
	s := &service{config: c, logger: logger, registry: prometheus.NewRegistry(), pulses: newPulses(), guardEvery: guardEvery}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	for _, open := range []func(context.Context) error{s.openStores, s.openBook, s.openQueue, s.openDoors} {
		if err := open(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func openStore(ctx context.Context, c StoreConfig) (*worker.Store, error) {
	ws := c.kept()
	st, err := connectStore(ctx, c)
	ws.Store = st
	return ws, err
}

// connectStore opens the store itself. The error wraps store.ErrRefused only
// for what the configuration must be changed for.
func connectStore(ctx context.Context, c StoreConfig) (store.Store, error) {
	if c.Own {
		if err := makeOwnStore(ctx, c); err != nil {
			return nil, err
		}
	}
	switch c.Kind {
	case KindMem0Postgres:
		return openPostgresStore(ctx, c)
	case KindMem0Server:
		return openServerStore(ctx, c)
	case KindMem0Platform:
		return openPlatformStore(ctx, c)
	case KindTables:
		return openTablesStore(ctx, c)
	}
	return mem0.OpenSQLite(ctx, mem0.SQLiteConfig{Vectors: c.Vectors, Entities: c.Entities, History: c.History})
}

func openPostgresStore(ctx context.Context, c StoreConfig) (store.Store, error) {
	dsn, err := readSmallFile(c.DSNFile, 4096)
	if err != nil {
		return nil, fmt.Errorf("read dsn_file: %w", err)
	}
	config := mem0.ServerConfig{Rewrite: c.Purge.Rewrite()}
	config.PostgresConfig = mem0.PostgresConfig{DSN: strings.TrimSpace(string(dsn)), Table: c.Table, Entities: c.Entities, History: c.History}
	if c.AppDSNFile != "" {
		app, err := readSmallFile(c.AppDSNFile, 4096)
		if err != nil {
			return nil, fmt.Errorf("read app_dsn_file: %w", err)
		}
		config.AppDSN = strings.TrimSpace(string(app))
	}
	return mem0.OpenServer(ctx, config)
}

// kept is what the configuration alone says of a store: all but the store.
func (c *StoreConfig) kept() *worker.Store {
	ws := &worker.Store{Name: c.Name, Kind: c.Kind, Concurrency: sqliteWriter, Exclusions: c.exclusions(), Purge: c.Purge.policy()}
	if c.Kind == KindMem0Postgres || c.Driver == driverPostgres {
		ws.Rewrites = c.Purge.Rewrite()
		ws.Purge.Off = !ws.Rewrites
		if c.History == "" && c.AppDSNFile == "" { // else the history file's one writer, or two databases
			ws.Concurrency = postgresWriters
		}
	}
	if c.Kind == KindMem0Server {
		ws.AtMost, ws.Purge.Off = store.EvidenceErased, true
	}
	if c.Kind == KindMem0Platform {
		ws.Purge.Off = true
	}
	return ws
}

// exclusions lists what erasing in a store does not reach: what the operator says,
// and what its kind is known to keep.
func (c *StoreConfig) exclusions() (list []jobs.Exclusion) {
	list = append(c.residue(), c.unseen()...)
	if c.BackupsUntil > 0 {
		list = append(list, jobs.Exclusion{Code: backupsCode, For: time.Duration(c.BackupsUntil)})
	}
	if c.ReplicasUntil > 0 {
		list = append(list, jobs.Exclusion{Code: replicasCode, For: time.Duration(c.ReplicasUntil)})
	}
	if c.WALUntil > 0 {
		list = append(list, jobs.Exclusion{Code: archiveCode, For: time.Duration(c.WALUntil)})
	}
	return list
}

// makeOwnStore makes the newcomer's memory store at the first start.
func makeOwnStore(ctx context.Context, c StoreConfig) error {
	if _, err := os.Stat(c.Vectors); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dir := filepath.Dir(c.Vectors)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	_, err := mem0.CreateSQLite(ctx, dir)
	return err
}

func (p PurgeRule) policy() worker.PurgePolicy {
	return worker.PurgePolicy{Off: p.off, From: int(p.from.Minutes()), To: int(p.to.Minutes())}
}

func (s *service) openBook(ctx context.Context) (err error) {
	if err := os.MkdirAll(s.config.Data, 0o700); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	if s.keys, err = keyring.Open(filepath.Join(s.config.Data, keysFolder)); err != nil {
		return err
	}
	alone, err := s.config.keyAlone(ctx)
	if err != nil {
		return err
	}
	if s.signer, err = s.config.openLogKey(ctx); err != nil {
		return err
	}
	if alone {
		s.logger.WarnContext(ctx, "the log's key was here before its ledger: if a log was signed with it, stop and put that log's ledger back, for another history under one key is a fork")
	}
	if err := s.openLedger(ctx); err != nil || s.refused() {
		return err
	}
	lab.Point("serve/book-open")
	if s.config.postgres() == "" { // else the folder is shared with processes that write there
		if err := durable.Sweep(s.config.Data); err != nil {
			return fmt.Errorf("remove what was left half written: %w", err)
		}
	}
	if !s.config.alone() { // what still runs may be another's
		return nil
	}
	// This process has the ledger to itself, so whatever still runs in it is
	// the work of one that died.
	n, err := s.ledger.Abandoned(ctx)
	if n > 0 {
		s.logger.InfoContext(ctx, "going on with what an earlier process left", slog.Int("tasks", n))
	}
	return err
}

func (s *service) openQueue(ctx context.Context) (err error) {
	o, err := s.config.queueOptions()
	if err != nil {
		return err
	}
	o.Concurrency, o.ShutdownTimeout, o.Grace, o.Logger = s.windows().sum(), drainTimeout, drainGrace, s.logger
	o.Pulse = s.pulses.of(loopWorker)
	if s.queue, err = queue.Open(ctx, o); err != nil {
		return err
	}
	s.closers = append(s.closers, s.queue.Close)
	return nil
}

func (s *service) openDoors(ctx context.Context) (err error) {
	byName := map[string]*worker.Store{}
	var names []string
	var known []jobs.StoreName
	for _, st := range s.stores {
		byName[st.Name] = st
		names = append(names, st.Name)
		known = append(known, jobs.StoreName{Name: st.Name, Kind: st.Kind})
	}
	keep := time.Duration(s.config.SubjectKeyRetention)
	s.measure()
	if err := s.openTraces(ctx); err != nil {
		return err
	}
	if s.intake, err = s.bookOf(known, byName, keep); err != nil {
		return err
	}
	if err := s.openWebhooks(); err != nil {
		return err
	}
	s.holds = &jobs.Custodian{Ledger: s.ledger, Keys: s.keys, Now: s.ledger.Now}
	s.surveyor = &worker.Surveyor{Stores: s.stores, Secret: s.keys.Secret(), Rules: s.config.rules(), Holds: s.ledger.Standing}
	s.sweeper = &jobs.Sweeper{
		All: s.config.policies(), Ledger: s.ledger, Intake: s.intake, Stores: s.surveyor, Rules: s.config.rules(),
		Now: s.ledger.Now, Rest: s.refused, Pulse: s.pulses.of(loopSweeper), Logger: s.logger,
	}
	s.returns = s.openWatch(names)
	s.eraser = &worker.Eraser{
		Suppression: &jobs.Suppression{Keys: s.keys, Watch: s.config.watchTimes()},
		Ledger:      tracedBook{s.ledger, s.tracer}, Stores: byName, Subject: s.keys.Subject, Owner: uuid.NewString(), KeepKey: keep,
		Strict: s.config.Strict, Now: s.ledger.Now, Skew: s.ledger.Skew(), Metrics: worker.NewMetrics(s.registry, names), Logger: s.logger,
	}
	if s.tracer != nil {
		s.eraser.Trace = s.tracer
	}
	s.hand = worker.NewHand(s.eraser)
	s.hand.Grace = drainGrace
	if err := s.eraser.CheckStores(ctx); s.config.Strict && err != nil {
		return err
	}
	if err := s.guardDoor(ctx); err != nil {
		return err
	}
	if s.oidc, err = s.config.OIDC.open(); err != nil {
		return err
	}
	s.checkSelf(ctx)
	s.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", s.config.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return nil
}

// Close closes what openService opened, in reverse.
func (s *service) Close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	return errors.Join(errs...)
}

// Run serves until ctx is done, then for as long as the configuration has it go on
// with /readyz saying that it stops, and then stops in good order within 10 s. If
// the log refuses to append then, the error says why.
func (s *service) Run(ctx context.Context) error {
	ctx, arrive := s.depart(ctx)
	defer arrive()
	relay := &jobs.Relay{Outbox: awake{s.ledger, s.down, &crew{count: s.queue.Crew}}, Bell: bell{s.queue}, Windows: s.windows(), Rest: s.refused, Pulse: s.pulses.of(loopRelay), Logger: s.logger}
	reconciler := &jobs.Reconciler{
		Ledger: s.ledger, Queue: s.queue, Keys: s.keys, Sealed: s.keys.Sealed, End: s.intake.EndStopped,
		Holds:    s.holds.Turn,
		Requeued: s.rungAgain,
		Keep:     s.config.Retention.rule(),
		Rest:     s.refused, Pulse: s.pulses.of(loopReconciler), Alone: s.config.alone(), Now: s.ledger.Now, Logger: s.logger,
	}
	lab.Point("serve/ready")
	group, ctx := errgroup.WithContext(ctx)
	s.eraser.Leaving = func() bool { return ctx.Err() != nil }
	group.Go(func() error { return s.serveHTTP(ctx) })
	group.Go(func() error { return s.watchLog(ctx) })
	group.Go(func() error { return s.logTokens(ctx) })
	for _, l := range s.links {
		group.Go(func() error { return l.Run(ctx) })
	}
	finish := func() error { return nil }
	if s.config.Roles.has(roleWorker) {
		group.Go(func() error { return s.queue.Run(ctx, s.eraser.Carry) })
		group.Go(func() error { return s.hand.Run(ctx) })
	}
	if s.config.Roles.has(roleScheduler) {
		group.Go(func() error { return relay.Run(ctx) })
		group.Go(func() error { return reconciler.Run(ctx) })
		group.Go(func() error { return s.rotator.Run(ctx) })
		group.Go(func() error { return s.webhooks.Run(ctx) })
		group.Go(func() error { return s.sweeper.Run(ctx) })
		group.Go(func() error { return s.returns.Run(ctx) })
		finish = s.lastly(ctx)
	}
	s.logger.InfoContext(ctx, "serving", slog.String("listen", s.listener.Addr().String()), slog.Int("stores", len(s.stores)))
	err := group.Wait()
	var last errgroup.Group
	last.Go(s.flushTraces)
	err = errors.Join(err, finish(), last.Wait())
	s.logger.InfoContext(context.WithoutCancel(ctx), "stopped")
	return errors.Join(err, s.ledger.Log().Refusal())
}

// lastly runs what ends last until finish is called, after the rest has stopped:
// first the sequencer, so that what was committed until then is logged, then the
// publisher, so that it is brought to the anchors too.
func (s *service) lastly(ctx context.Context) (finish func() error) {
	var ends []func() error
	for _, run := range []func(context.Context) error{s.ledger.Sequence, s.publisher.Run} {
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		done := make(chan error, 1)
		go func() { done <- run(ctx) }()
		ends = append(ends, func() error {
			cancel()
			return <-done
		})
	}
	return func() error { return errors.Join(ends[0](), ends[1]()) }
}

// bell rings; what sweeps have filed yields to what people wait for.
type bell struct{ queue *queue.Queue }

func (b bell) Ring(ctx context.Context, r jobs.Ring) error { return b.queue.Ring(ctx, r, r.Low) }

// storeNames lists what a request may name.
func (s *service) storeNames() []string {
	var names []string
	for _, st := range s.stores {
		names = append(names, st.Name)
	}
	return names
}
