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
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/audit/audittest"
	"lethe/jobs/api"
	"lethe/store"
)

// farAway is how long a byte is under way to the far store, and back: half of
// what a call takes longer than to the near one.
const farAway = 5 * time.Millisecond

// fromEnv is a number that the environment may set.
func fromEnv(name string, otherwise int) int {
	n, err := strconv.Atoi(os.Getenv(name))
	return cmp.Or(n, map[bool]int{true: otherwise}[err != nil])
}

// BenchmarkScale measures, one after the other and round by round, how one, two
// and four worker processes get on with the same requests: in a PostgreSQL on the
// machine, in one that is 5 ms away, and many small ones. A door and a scheduler
// run in a process of their own.
func BenchmarkScale(b *testing.B) {
	s := newScale(b)
	for b.Loop() {
		for range fromEnv("LETHE_SCALE_ROUNDS", 3) {
			s.round()
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
}

// The names of what is measured.
const (
	scaleNear  = "rows of one request, PostgreSQL here"
	scaleFar   = "rows of one request, PostgreSQL 5 ms away"
	scaleSmall = "requests of one memory, PostgreSQL here"
)

func newScale(b *testing.B) *scale {
	b.Helper()
	s := &scale{b: b, c: newCluster(b), rates: map[string]map[int][]float64{}}
	dsn := audittest.Schema(b)
	far := sqlx.MustOpen("pgx", dsn)
	b.Cleanup(func() { far.Close() })
	far.MustExec(`CREATE TABLE memories (id uuid PRIMARY KEY, vector real[], payload jsonb); CREATE TABLE memories_entities (LIKE memories INCLUDING ALL)`)
	s.stores = map[string]*sqlx.DB{"server": s.c.store, "far": far}
	u, err := url.Parse(dsn)
	if err != nil {
		b.Fatal(err)
	}
	q := u.Query()
	host, port, _ := net.SplitHostPort(slowLine(b, filepath.Join(q.Get("host"), ".s.PGSQL.5432")))
	q.Set("host", host)
	q.Set("port", port)
	q.Set("sslmode", "disable")
	u.RawQuery = q.Encode()
	config, err := os.ReadFile(s.c.config)
	if err != nil {
		b.Fatal(err)
	}
	for name, text := range map[string]string{
		s.c.config: string(config) + "  - {name: far, kind: mem0-postgres, dsn_file: far, history: none}\n",
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
		s.add(scaleNear, n, s.rows("server", fromEnv("LETHE_SCALE_NEAR", 60_000)))
		s.add(scaleFar, n, s.rows("far", fromEnv("LETHE_SCALE_FAR", 60_000)))
		s.add(scaleSmall, n, s.small(fromEnv("LETHE_SCALE_SMALL", 150)))
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

// rows measures one request of so many rows, from filed to certified.
func (s *scale) rows(in string, n int) float64 {
	user := s.user(in, n)
	s.stores[in].MustExec(`VACUUM ANALYZE memories`)
	began := time.Now()
	if done := s.door.completed(s.file(user, in)); done.Stores[0].Erased != n {
		s.b.Fatalf("the certificate says %s", said(done.Stores[0]))
	}
	return float64(n) / time.Since(began).Seconds()
}

// small measures so many requests of one memory, filed one after the other while
// the workers are at it.
func (s *scale) small(n int) float64 {
	var users, ids []string
	for range n {
		users = append(users, s.user("server", 1))
	}
	began := time.Now()
	for _, user := range users {
		ids = append(ids, s.file(user, "server"))
	}
	for _, id := range ids {
		s.door.completed(id)
	}
	return float64(n) / time.Since(began).Seconds()
}

// report prints the medians, and their ratios to those of one worker, as the
// README has them.
func (s *scale) report() {
	var table strings.Builder
	table.WriteString("\n| a second | 1 worker | 2 workers | 4 workers |\n|---|---|---|---|\n")
	for _, what := range []string{scaleNear, scaleFar, scaleSmall} {
		one := median(s.rates[what][1])
		fmt.Fprintf(&table, "| %s |", what)
		for _, n := range []int{1, 2, 4} {
			fmt.Fprintf(&table, " %.0f (%.2f) |", median(s.rates[what][n]), median(s.rates[what][n])/one)
			s.b.ReportMetric(median(s.rates[what][n])/one, fmt.Sprintf("%s-%dx", strings.Fields(what)[len(strings.Fields(what))-1], n))
		}
		fmt.Fprintf(&table, "\n")
	}
	s.b.ReportMetric(0, "ns/op")
	s.b.Logf("%d rounds, medians, in brackets the ratio to one worker:\n%s\nall: %v", fromEnv("LETHE_SCALE_ROUNDS", 3), table.String(), s.rates)
}

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

// slowLine passes bytes on to a socket and back, each way farAway later and in
// order, and returns the address to ask.
func slowLine(b *testing.B, socket string) (addr string) {
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
			go carry(near, far)
			go carry(far, near)
		}
	}()
	return l.Addr().String()
}

// carry takes bytes from one end to the other, until one of them closes.
func carry(from, to net.Conn) {
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
