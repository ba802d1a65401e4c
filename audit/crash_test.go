package audit_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lethe/audit"
	"lethe/audit/audittest"
	"lethe/audit/keyfile"

	"github.com/jmoiron/sqlx"
)

// The server crashes while entries are enqueued and logged. What was answered
// is there afterwards, and the log grows on.
func TestTheServerCrashesInTheMiddle(t *testing.T) {
	server := audittest.Start(t)
	l := newLedgerAt(t, server.Database(t))
	run(t, &ledger{write: connect(t, l.path, "FULL", 2), Log: l.Log})
	var committed atomic.Int64
	var heads [][]byte
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			if l.post(entry(i)) == nil {
				committed.Add(1)
			}
			if h, err := l.Checkpoint(ctx); err == nil {
				heads = append(heads, h)
			}
		}
	})
	for range 2 {
		for first := int64(-1); ; time.Sleep(time.Millisecond) {
			size, err := l.Size(t.Context())
			if err == nil && first < 0 {
				first = size
			}
			if err == nil && size >= first+20 || t.Failed() {
				break
			}
		}
		server.Restart(t)
	}
	cancel()
	wg.Wait()
	for l.post(entry(1<<20)) != nil { // the pool may still have a dead connection
		time.Sleep(5 * time.Millisecond)
	}
	l.await(t, 1<<20)
	r, err := l.Check(t.Context())
	if err != nil || r.Size < committed.Load()+1 || r.Heads < 3 {
		t.Errorf("%d entries under %d heads, %v, of at least %d", r.Size, r.Heads, err, committed.Load()+1)
	}
	for _, h := range heads {
		if err := l.CheckPin(t.Context(), h); err != nil {
			t.Fatalf("a head that was handed out: %v", err)
		}
	}
	t.Logf("%d entries under %d heads, %d read meanwhile", r.Size, r.Heads, len(heads))
}

// work is what a process of the next test does until it is killed: four
// writers, each with a change of state and an entry in one transaction, and a
// sequencer, which says what heads it lets out.
func work(t *testing.T, dsn, key, number string) {
	l := &ledger{path: dsn, write: connect(t, dsn, "FULL", 8), read: connect(t, dsn, "FULL", 4)}
	var err error
	if l.key, err = keyfile.Open(key, ""); err != nil {
		t.Fatal(err)
	}
	if l.Log, err = l.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(number)
	var next atomic.Int64
	next.Store(int64(n) << 24)
	for range 4 {
		go func() {
			for {
				i := int(next.Add(1))
				tx := l.write.MustBegin()
				tx.MustExec(`INSERT INTO state VALUES ($1)`, entryID(i))
				if err := l.Enqueue(t.Context(), tx, entry(i)); err != nil {
					panic(err)
				}
				if err := tx.Commit(); err != nil {
					panic(err)
				}
				time.Sleep(time.Millisecond)
			}
		}()
	}
	s := audit.Sequencer{Log: l.Log, DB: l.write, Every: time.Millisecond, Signed: func(h audit.Head) {
		fmt.Println("head", base64.StdEncoding.EncodeToString(h.Note))
	}}
	_ = s.Run(t.Context())
}

// spawn starts a process that works, and returns what ends it.
func spawn(t *testing.T, dsn, key string, n int, heads func([]byte)) (kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledProcessesLoseNothing$")
	cmd.Env = append(os.Environ(), "AUDIT_CHILD="+strconv.Itoa(n), "AUDIT_DSN="+dsn, "AUDIT_KEY="+key)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for lines := bufio.NewReader(out); ; {
			line, err := lines.ReadString('\n')
			var text string
			if _, bad := fmt.Sscanf(line, "head %s\n", &text); bad == nil && err == nil {
				h, _ := base64.StdEncoding.DecodeString(text)
				heads(h)
			} else if err == io.EOF {
				return
			}
		}
	})
	var once sync.Once
	kill = func() {
		once.Do(func() {
			_ = cmd.Process.Kill()
			wg.Wait()
			_ = cmd.Wait() // it was killed
		})
	}
	t.Cleanup(kill)
	return kill
}

// Two processes work on one log. Three times one is killed, in turns, so that
// whoever leads is among them, and another is started.
func TestKilledProcessesLoseNothing(t *testing.T) {
	if n := os.Getenv("AUDIT_CHILD"); n != "" {
		work(t, os.Getenv("AUDIT_DSN"), os.Getenv("AUDIT_KEY"), n)
	}
	l := newPostgres(t)
	l.write.MustExec(`CREATE TABLE state (id text PRIMARY KEY)`)
	var mu sync.Mutex
	var heads [][]byte
	leaders := map[int]bool{}
	start := func(n int) func() {
		return spawn(t, l.path, l.keyFile, n, func(h []byte) {
			mu.Lock()
			defer mu.Unlock()
			heads, leaders[n] = append(heads, h), true
		})
	}
	kills := []func(){start(1), start(2)}
	for i := range 3 {
		for size, _ := l.Size(t.Context()); ; time.Sleep(time.Millisecond) {
			mu.Lock()
			moved, led := len(heads) >= 10*(i+1), len(leaders) > i/2 // when both have died, a third must have led
			mu.Unlock()
			if now, err := l.Size(t.Context()); err != nil || moved && led && now >= size+30 {
				break
			}
		}
		kills[i]()
		kills = append(kills, start(3+i))
	}
	for _, kill := range kills {
		kill()
	}
	l.enqueue(t, entry(0))
	run(t, l)
	l.await(t, 0)
	r, err := l.Check(t.Context())
	if err != nil {
		t.Error(err)
	}
	for _, h := range heads {
		if err := l.CheckPin(t.Context(), h); err != nil {
			t.Fatalf("a head that was let out: %v", err)
		}
	}
	compareWithState(t, l.read)
	t.Logf("%d entries, %d heads let out by %d processes", r.Size, len(heads), len(leaders))
}

// compareWithState finds changes without an entry, and entries without a
// change.
func compareWithState(t *testing.T, db *sqlx.DB) {
	t.Helper()
	for what, query := range map[string]string{
		"changes without an entry": `SELECT count(*) FROM state WHERE id NOT IN (SELECT entry_id FROM audit_entry UNION SELECT entry_id FROM audit_outbox)`,
		"entries without a change": `SELECT count(*) - 1 FROM audit_entry WHERE entry_id NOT IN (SELECT id FROM state)`,
		"rows logged and waiting":  `SELECT count(*) FROM audit_entry JOIN audit_outbox USING (entry_id)`,
		"rows put aside":           `SELECT count(*) FROM audit_outcast`,
	} {
		var n int
		if err := db.Get(&n, query); err != nil || n != 0 {
			t.Errorf("%d %s, %v", n, what, err)
		}
	}
}
