package ledger_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	_ "github.com/mattn/go-sqlite3"

	"lethe/audit/audittest"
	"lethe/audit/keyfile"
	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/jobs/keyring"
	"lethe/jobs/ledger"
	"lethe/store"
)

const (
	keepKey = 24 * time.Hour
	lease   = 8 * time.Second
)

// A book is a ledger with all that a daemon has around it, and a clock that
// stands still.
type book struct {
	*ledger.Ledger
	intake *jobs.Intake
	keys   *keyring.Keyring
	key    *keyfile.Key
	on     where
	dir    string   // SQLite
	url    string   // PostgreSQL
	raw    *sqlx.DB // sees the tables from outside
	rest   func()   // ends the sequencer

	mu  sync.Mutex
	now time.Time
}

// where is which database a book is kept in.
type where string

const (
	onSQLite   where = "SQLite"
	onPostgres where = "PostgreSQL"
)

// onEach runs a test on both databases: what a ledger promises, it promises on
// both. Tests mostly wait for the disk, so they wait together.
func onEach(t *testing.T, test func(*testing.T, where)) {
	for _, on := range []where{onSQLite, onPostgres} {
		t.Run(string(on), func(t *testing.T) {
			t.Parallel()
			test(t, on)
		})
	}
}

func newBook(t testing.TB, on where) *book {
	t.Helper()
	url := ""
	if on == onPostgres {
		url = audittest.Schema(t)
	}
	return newBookAt(t, on, url)
}

// quarterPast is the last time before now that is a quarter past an hour, so that
// no test sees an hour end that it did not wait for.
func quarterPast(now time.Time) time.Time {
	return now.UTC().Add(-15 * time.Minute).Truncate(time.Hour).Add(15 * time.Minute)
}

func newBookAt(t testing.TB, on where, url string) *book {
	t.Helper()
	dir := t.TempDir()
	b := &book{on: on, url: url, dir: filepath.Join(dir, "data"), now: quarterPast(time.Now())}
	var err error
	if b.keys, err = keyring.Open(filepath.Join(dir, "keys")); err != nil {
		t.Fatal(err)
	}
	if b.key, err = keyfile.Open(filepath.Join(dir, "log.key"), "log.example/lethe"); err != nil {
		t.Fatal(err)
	}
	b.open(t)
	t.Cleanup(func() { b.Close() })
	b.look(t)
	return b
}

// look opens a view of the tables from outside.
func (b *book) look(t testing.TB) {
	t.Helper()
	driver, address := "sqlite3", "file:"+filepath.Join(b.dir, "ledger.db")+"?_busy_timeout=10000"
	if b.on == onPostgres {
		driver, address = "pgx", b.url
	}
	raw, err := sqlx.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	b.raw = raw
	t.Cleanup(func() { raw.Close() })
}

// open opens the ledger, also again after a crash or a stop.
func (b *book) open(t testing.TB) {
	t.Helper()
	b.openWith(t, b.options())
}

func (b *book) openWith(t testing.TB, o ledger.Options) {
	t.Helper()
	var err error
	if b.Ledger, err = ledger.Open(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	b.rest = sequence(b.Ledger)
	b.intake = &jobs.Intake{
		Ledger: b.Ledger, Keys: b.keys, KeepKey: keepKey, Now: b.Now,
		Stores: []jobs.StoreName{{Name: "memories", Kind: "mem0-sqlite"}, {Name: "notes", Kind: "tables-sqlite"}},
	}
}

// sequence logs what l commits, as its process does, until rest is called.
func sequence(l *ledger.Ledger) (rest func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = l.Sequence(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// Close closes the ledger and what runs beside it.
func (b *book) Close() error {
	b.rest()
	return b.Ledger.Close()
}

func (b *book) options() ledger.Options {
	o := ledger.Options{Keys: b.keys, Origin: b.key.Origin, Signer: b.key.Signer, Now: b.Now}
	if b.on == onPostgres {
		o.URL = b.url
	} else {
		o.Dir = b.dir
	}
	return o
}

func (b *book) Now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *book) advance(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

// submit files a request for the user id in the named stores, or in every store.
func (b *book) submit(t testing.TB, id string, stores ...string) jobs.Request {
	t.Helper()
	r, _, err := b.intake.Submit(t.Context(), jobs.Submission{By: jobs.ActorLocal, Selector: user(id), Stores: stores, Origin: jobs.OriginAPI})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// stage keeps ids for a request, a batch at a time.
func (b *book) stage(t testing.TB, ids ...string) jobs.Staging {
	t.Helper()
	s, err := b.intake.Stage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for part := range slices.Chunk(ids, store.MaxBatch) {
		if err := s.Add(t.Context(), part); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (b *book) request(t testing.TB, id string) jobs.Request {
	t.Helper()
	r, err := b.Request(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// rings takes whatever is ready out of the outbox.
func (b *book) rings(t testing.TB) []jobs.Ring {
	t.Helper()
	rings, err := b.Enqueue(t.Context(), map[string]int{"memories": 1000, "notes": 1000})
	if err != nil {
		t.Fatal(err)
	}
	return rings
}

func (b *book) claim(t testing.TB, r jobs.Ring) jobs.Task {
	t.Helper()
	task, err := b.Claim(t.Context(), r, "test", lease)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// tasks claims all that is ready.
func (b *book) tasks(t testing.TB) []jobs.Task {
	t.Helper()
	var list []jobs.Task
	for _, r := range b.rings(t) {
		list = append(list, b.claim(t, r))
	}
	return list
}

// task claims the only ready row, which must be of that kind.
func (b *book) task(t testing.TB, kind jobs.TaskKind) jobs.Task {
	t.Helper()
	list := b.tasks(t)
	if len(list) != 1 || list[0].Kind != kind {
		t.Fatalf("claimed %v, want one %s", list, kind)
	}
	return list[0]
}

// plan freezes batches of the given sizes and commits them.
func (b *book) plan(t testing.TB, task jobs.Task, sizes ...int) {
	t.Helper()
	round, seq, err := b.Replan(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	for i, size := range sizes {
		if err := b.Freeze(t.Context(), task, round, seq+i, someIDs(fmt.Sprint(task.Job, round, i), size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Planned(t.Context(), task, jobs.Planned{Round: round, Digest: "d"}, 0); err != nil {
		t.Fatal(err)
	}
}

// recount finds a plan as it was made, with so many rows more.
func (b *book) recount(t testing.TB, task jobs.Task, more ...int) []jobs.Excess {
	t.Helper()
	j, err := b.Job(t.Context(), task.Job)
	if err != nil {
		t.Fatal(err)
	}
	places := slices.Clone(j.Places)
	for i, n := range more {
		places[i].Found += n
	}
	drifts, err := b.Recounted(t.Context(), task, jobs.Recount{Places: places, MapVersion: j.MapVersion})
	if err != nil {
		t.Fatal(err)
	}
	return drifts
}

func someIDs(prefix string, n int) []store.ID {
	ids := make([]store.ID, n)
	for i := range ids {
		ids[i] = store.ID{Place: "memories", Key: fmt.Sprintf("%s-%d", prefix, i)}
	}
	return ids
}

// erase begins and finishes the batch of a task, all of it erased.
func (b *book) erase(t testing.TB, task jobs.Task) jobs.Batch {
	t.Helper()
	batch, err := b.Begin(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Finish(t.Context(), task, receipt(batch, len(batch.IDs), 0, 0, 0)); err != nil {
		t.Fatal(err)
	}
	return batch
}

func receipt(b jobs.Batch, erased, absent, held, refused int) jobs.Receipt {
	r := jobs.Receipt{Erased: erased, Absent: absent, Held: held, Refused: refused}
	for _, id := range b.IDs {
		r.Leaves = append(r.Leaves, proof.ReceiptLeaf(make([]byte, 32), b.ID, id.String(), 'e'))
	}
	r.Root = proof.ReceiptRoot(r.Leaves)
	return r
}

// complete certifies the request of a settle task whose jobs are verified.
func (b *book) complete(ctx context.Context, task jobs.Task) error {
	rec, err := b.Record(ctx, task.Request)
	if err != nil {
		return err
	}
	return b.Complete(ctx, task, jobs.CompletedEntry(rec, nil, b.Now()), jobs.Ending{KeyUntil: b.Now().Add(keepKey)})
}

// finish brings a request for one store, filed and not begun, to its end.
func (b *book) finish(t testing.TB, sizes ...int) {
	t.Helper()
	b.plan(t, b.task(t, jobs.PlanTask), sizes...)
	if len(sizes) > 0 {
		for _, task := range b.tasks(t) {
			b.erase(t, task)
		}
	}
	b.settle(t)
}

func (b *book) settle(t testing.TB) {
	t.Helper()
	task := b.task(t, jobs.SettleTask)
	if err := b.Verified(t.Context(), task, b.Now(), jobs.Verification{}); err != nil {
		t.Fatal(err)
	}
	if err := b.complete(t.Context(), task); err != nil {
		t.Fatal(err)
	}
}

// tables writes out every row of the book and of the log.
func (b *book) tables(t testing.TB) string {
	t.Helper()
	var s strings.Builder
	for _, table := range []string{"requests", "staged", "jobs", "batches", "outbox", "holds", "tokens", "audit_entry", "audit_checkpoint"} {
		rows, err := b.raw.Queryx(`SELECT * FROM ` + table + ` ORDER BY 1, 2`)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			values, err := rows.SliceScan()
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&s, "%s %x\n", table, values)
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return s.String()
}

func (b *book) count(t testing.TB, query string, args ...any) (n int) {
	t.Helper()
	if err := b.raw.Get(&n, b.raw.Rebind(`SELECT COUNT(*) FROM `+query), args...); err != nil {
		t.Fatal(err)
	}
	return n
}

func user(id string) store.Selector { return store.Selector{UserID: id} }
