package main

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/audit/audittest"
	"lethe/jobs/api"
	"lethe/store"
	"lethe/store/mem0/webtest"
)

// farAway is how long a byte is under way to the far store, and back: half of
// what a call takes longer than to the near one.
const farAway = 5 * time.Millisecond

// scaleLimit is how long the rounds may take, if one does not take longer.
const scaleLimit = 240 * time.Second

// fromEnv is a number that the environment may set.
func fromEnv(name string, otherwise int) int {
	n, err := strconv.Atoi(os.Getenv(name))
	return cmp.Or(n, map[bool]int{true: otherwise}[err != nil])
}

// BenchmarkScale measures, one after the other and round by round, how one, two
// and four worker processes get on with the same requests: in a PostgreSQL on the
// machine, in one to which a round trip takes 10 ms, and many small ones. A door
// and a scheduler run in a process of their own.
func BenchmarkScale(b *testing.B) {
	s := newScale(b)
	for b.Loop() {
		began, took := time.Now(), time.Duration(0)
		for range fromEnv("LETHE_SCALE_ROUNDS", 3) {
			if time.Since(began)+took > scaleLimit {
				break
			}
			first := time.Now()
			s.round()
			took = time.Since(first)
		}
	}
	s.report()
}

// A scale is what is measured.
type scale struct {
	b      *testing.B
	c      *cluster
	stores map[string]*sqlx.DB
	ledger *sqlx.DB
	door   *member
	n      int                          // users so far
	rates  map[string]map[int][]float64 // of what, with how many workers: a second
	sent   atomic.Int64                 // messages to the far store
	api    *webtest.Server
}

// The names of what is measured.
const (
	scaleNear        = "PostgreSQL here: rows of one request, from filed to certified"
	scaleNearBatches = "PostgreSQL here: rows, of its batches alone"
	scaleFar         = "PostgreSQL 5 ms away: rows of one request, from filed to certified"
	scaleFarBatches  = "PostgreSQL 5 ms away: rows, of its batches alone"
	scaleSmall       = "PostgreSQL here: requests of one memory, filed by 8 clients"
	scaleAPI         = "Mem0's REST API, 5 ms a call: memories of 8 requests"
)

func newScale(b *testing.B) *scale {
	b.Helper()
	server := audittest.Start(b, "max_connections=400") // five processes take more than a hundred
	s := &scale{b: b, c: newClusterAt(b, server.Database(b)), rates: map[string]map[int][]float64{}}
	dsn := server.Database(b)
	far := sqlx.MustOpen("pgx", dsn)
	b.Cleanup(func() { far.Close() })
	far.MustExec(`CREATE TABLE memories (id uuid PRIMARY KEY, vector real[], payload jsonb); CREATE TABLE memories_entities (LIKE memories INCLUDING ALL)`)
	s.stores = map[string]*sqlx.DB{"server": s.c.store, "far": far}
	u, err := url.Parse(dsn)
	if err != nil {
		b.Fatal(err)
	}
	q := u.Query()
	host, port, _ := net.SplitHostPort(slowLine(b, filepath.Join(q.Get("host"), ".s.PGSQL.5432"), &s.sent))
	q.Set("host", host)
	q.Set("port", port)
	q.Set("sslmode", "disable")
	u.RawQuery = q.Encode()
	s.api = webtest.NewServer()
	api := memServer(b, s.api, webtest.ServerUserKey)
	s.api.Set(func(f *webtest.ServerFaults) { f.Slow = farAway })
	config, err := os.ReadFile(s.c.config)
	if err != nil {
		b.Fatal(err)
	}
	for name, text := range map[string]string{
		s.c.config: "rate: {per_second: 100000, burst: 100000}\n" + string(config) + "  - {name: far, kind: mem0-postgres, dsn_file: far, history: none}\n" +
			fmt.Sprintf("  - {name: api, kind: mem0-server, url: %q, token_file: %q, rate: 10000, burst: 10000}\n", api.URL, api.TokenFile),
		filepath.Join(filepath.Dir(s.c.config), "far"): u.String(),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	s.ledger = sqlx.MustOpen("pgx", s.c.ledger)
	b.Cleanup(func() { s.ledger.Close() })
	s.door = s.c.join(roleAPI + "," + roleScheduler)
	return s
}

// round measures everything with one worker, then with two, then with four.
func (s *scale) round() {
	var workers []*member
	for _, n := range []int{1, 2, 4} {
		for len(workers) < n {
			workers = append(workers, s.c.join(roleWorker))
		}
		time.Sleep(crewEvery + 500*time.Millisecond) // the scheduler has counted them
		s.rows(scaleNear, scaleNearBatches, "server", n, fromEnv("LETHE_SCALE_NEAR", 40_000))
		s.rows(scaleFar, scaleFarBatches, "far", n, fromEnv("LETHE_SCALE_FAR", 40_000))
		s.add(scaleSmall, n, s.small(fromEnv("LETHE_SCALE_SMALL", 100)))
		s.add(scaleAPI, n, s.overAPI(fromEnv("LETHE_SCALE_API", 800)))
	}
	for _, m := range workers {
		m.stop()
	}
}

func (s *scale) add(what string, workers int, rate float64) {
	if s.rates[what] == nil {
		s.rates[what] = map[int][]float64{}
	}
	s.rates[what][workers] = append(s.rates[what][workers], rate)
}

// user makes memories of somebody new.
func (s *scale) user(store string, n int) string {
	s.n++
	user := fmt.Sprint("user", s.n)
	s.stores[store].MustExec(`INSERT INTO memories SELECT gen_random_uuid(), ARRAY[0.1, 0.2], jsonb_build_object('user_id', $1::text, 'data', 'likes tea ' || i) FROM generate_series(1, $2::int) i`, user, n)
	return user
}

func (s *scale) file(user, in string) string {
	answer, _, err := s.door.client.Submit(s.b.Context(), api.Submission{Selector: store.Selector{UserID: user}, Stores: []string{in}})
	if err != nil {
		s.b.Fatal(err)
	}
	return answer.ID
}

// rows measures one request of so many rows, from filed to certified, and its
// batches alone, from when the first is begun to when the last is done.
func (s *scale) rows(whole, batches, in string, workers, n int) {
	user := s.user(in, n)
	s.stores[in].MustExec(`VACUUM ANALYZE memories`)
	began := time.Now()
	id := s.file(user, in)
	if done := s.door.completed(id); done.Stores[0].Erased != n {
		s.b.Fatalf("the certificate says %s", said(done.Stores[0]))
	}
	s.add(whole, workers, float64(n)/time.Since(began).Seconds())
	var took int64
	if err := s.ledger.Get(&took, `SELECT MAX(b.done_at) - MIN(b.started_at) FROM batches b JOIN jobs j ON j.id = b.job WHERE j.request = $1`, id); err != nil {
		s.b.Fatal(err)
	}
	s.add(batches, workers, float64(n)/time.Duration(took*int64(time.Millisecond)).Seconds())
}

// small measures so many requests of one memory, which clients file one after the
// other each, while the workers are at it.
func (s *scale) small(n int) float64 {
	var users []string
	for range n {
		users = append(users, s.user("server", 1))
	}
	return float64(n) / s.fileAll(users, "server").Seconds()
}

// scaleClients are how many ask at once.
const scaleClients = 8

// fileAll forgets users, and returns how long that took.
func (s *scale) fileAll(users []string, in string) time.Duration {
	began := time.Now()
	var all sync.WaitGroup
	for first := range scaleClients {
		all.Go(func() {
			var ids []string
			for i := first; i < len(users); i += scaleClients {
				ids = append(ids, s.file(users[i], in))
			}
			for _, id := range ids {
				s.door.completed(id)
			}
		})
	}
	all.Wait()
	return time.Since(began)
}

// overAPI measures so many memories of a few people behind an API that is asked for
// each, and has nothing else to do.
func (s *scale) overAPI(n int) float64 {
	var users []string
	for range scaleClients {
		s.n++
		users = append(users, fmt.Sprint("user", s.n))
		s.api.Add(standInMemories(users[len(users)-1], n/scaleClients)...)
	}
	return float64(n/scaleClients*scaleClients) / s.fileAll(users, "api").Seconds()
}

// report prints the medians, and their ratios to those of one worker, as the
// README has them.
func (s *scale) report() {
	var table strings.Builder
	table.WriteString("\n| a second | 1 worker | 2 workers | 4 workers |\n|---|---|---|---|\n")
	for _, what := range []string{scaleAPI, scaleFar, scaleFarBatches, scaleNear, scaleNearBatches, scaleSmall} {
		one := median(s.rates[what][1])
		fmt.Fprintf(&table, "| %s |", what)
		for _, n := range []int{1, 2, 4} {
			fmt.Fprintf(&table, " %.0f (%.2f) |", median(s.rates[what][n]), median(s.rates[what][n])/one)
		}
		fmt.Fprintf(&table, "\n")
	}
	s.b.ReportMetric(0, "ns/op")
	for unit, what := range map[string]string{"api": scaleAPI, "far": scaleFarBatches, "near": scaleNearBatches} {
		for _, n := range []int{2, 4} {
			s.b.ReportMetric(median(s.rates[what][n])/median(s.rates[what][1]), fmt.Sprintf("%s-x%d", unit, n))
		}
	}
	s.b.Logf("%d rounds, medians, in brackets the ratio to one worker:\n%s\n%d round trips in a batch that is far away\nall: %v",
		len(s.rates[scaleSmall][1]), table.String(), s.trips(), s.rates)
}

// trips is how often a batch goes to the store and back, with what the listing and
// the reading again of its rows take.
func (s *scale) trips() int64 {
	batches := int64(0)
	if err := s.ledger.Get(&batches, `SELECT COUNT(*) FROM batches b JOIN jobs j ON j.id = b.job WHERE j.store = 'far'`); err != nil || batches == 0 {
		s.b.Fatalf("no batches: %v", err)
	}
	return s.sent.Load() / batches
}

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

// slowLine passes bytes on to a socket and back, each way farAway later and in
// order, counts what is sent, and returns the address to ask.
func slowLine(b *testing.B, socket string, sent *atomic.Int64) (addr string) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", socket)
			if err != nil {
				near.Close()
				continue
			}
			go carry(near, far, sent)
			go carry(far, near, new(atomic.Int64))
		}
	}()
	return l.Addr().String()
}

// carry takes bytes from one end to the other, until one of them closes.
func carry(from, to net.Conn, parcels *atomic.Int64) {
	type parcel struct {
		due   time.Time
		bytes []byte
	}
	road := make(chan parcel, 1024)
	go func() {
		defer close(road)
		for {
			b := make([]byte, 64<<10)
			n, err := from.Read(b)
			if n > 0 {
				parcels.Add(1)
				road <- parcel{time.Now().Add(farAway), b[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	defer to.Close()
	for p := range road {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.bytes); err != nil {
			from.Close()
			for range road { // to its end
			}
			return
		}
	}
}
