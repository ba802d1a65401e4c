package audit_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lethe/audit"
	"lethe/audit/keyfile"
)

// What the test says to the process that it kills.
const (
	killFolder = "LETHE_KILL_FOLDER"
	killFrom   = "LETHE_KILL_FROM"
)

// TestKilledChild is the process that TestKilledWritersLoseNothing kills. It
// says each change that was answered, and now and then a head that it saw.
func TestKilledChild(t *testing.T) {
	dir := os.Getenv(killFolder)
	if dir == "" {
		t.Skip("is run by TestKilledWritersLoseNothing")
	}
	from, err := strconv.Atoi(os.Getenv(killFrom))
	if err != nil {
		t.Fatal(err)
	}
	l := openLedger(t, dir)
	l.mustExec(t, `CREATE TABLE IF NOT EXISTS state (entry_id TEXT PRIMARY KEY) STRICT`)
	w := l.newWriter(t)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for {
				i := from + int(next.Add(1))
				err := w.Do(context.Background(), func(ctx context.Context, tx *audit.Tx) error {
					if _, err := tx.ExecContext(ctx, `INSERT INTO state VALUES (?)`, entryID(i)); err != nil {
						return err
					}
					return tx.Log(entry(i))
				})
				said := strconv.Itoa(i)
				if i%50 == 0 && err == nil {
					var head []byte
					head, err = l.Checkpoint(context.Background())
					said += " " + base64.StdEncoding.EncodeToString(head)
				}
				if err != nil {
					t.Error(err)
					return
				}
				fmt.Fprintln(os.Stdout, said) // one write, which a pipe keeps whole
			}
		})
	}
	wg.Wait()
}

// After each kill: no answered change is lost, no state is without its entry
// or the other way round, every head that was seen is continued by the log,
// and the newest one covers it all.
func TestKilledWritersLoseNothing(t *testing.T) {
	kills := 20
	if n, err := strconv.Atoi(os.Getenv("LETHE_KILLS")); err == nil {
		kills = n
	}
	dir := t.TempDir()
	answered, heads := 0, 0
	for kill := range kills {
		ids, seen := killOne(t, dir, (kill+1)*1_000_000)
		answered, heads = answered+len(ids), heads+len(seen)
		l := openLedger(t, dir)
		for _, i := range ids {
			var n int
			if err := l.read.Get(&n, `SELECT count(*) FROM state JOIN audit_entry USING (entry_id) WHERE entry_id = ?`, entryID(i)); err != nil || n != 1 {
				t.Fatalf("kill %d: change %d was answered and is lost: %v", kill, i, err)
			}
		}
		var single int
		if err := l.read.Get(&single, `SELECT count(*) FROM state FULL JOIN audit_entry USING (entry_id) WHERE state.entry_id IS NULL OR idx IS NULL`); err != nil || single != 0 {
			t.Fatalf("kill %d: %d states or entries without the other: %v", kill, single, err)
		}
		for _, head := range seen {
			if err := l.CheckPin(t.Context(), head); err != nil {
				t.Fatalf("kill %d: a head that was seen: %v", kill, err)
			}
		}
		if kill%10 == 9 || kill == kills-1 {
			if _, err := l.Check(t.Context()); err != nil {
				t.Fatalf("kill %d: %v", kill, err)
			}
		}
		if err := errors.Join(l.read.Close(), l.write.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if answered < kills || heads == 0 {
		t.Errorf("%d answers and %d heads in %d kills: the test shows nothing", answered, heads, kills)
	}
	t.Logf("%d kills, %d answered changes, %d heads", kills, answered, heads)
}

// killOne starts a child, kills it at some time after its first answer, and
// returns what it had said.
func killOne(t *testing.T, dir string, from int) (ids []int, heads [][]byte) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledChild$")
	cmd.Env = append(os.Environ(), killFolder+"="+dir, killFrom+"="+strconv.Itoa(from))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	for line, err := r.ReadString('\n'); err == nil; line, err = r.ReadString('\n') {
		if len(ids) == 0 {
			time.AfterFunc(time.Duration(rand.Int64N(int64(120*time.Millisecond))), func() { _ = cmd.Process.Kill() })
		}
		id, head, _ := strings.Cut(strings.TrimSpace(line), " ")
		i, err := strconv.Atoi(id)
		if err != nil {
			_ = cmd.Process.Kill()
			t.Fatalf("the child says %q", line)
		}
		ids = append(ids, i)
		if head != "" {
			text, err := base64.StdEncoding.DecodeString(head)
			if err != nil {
				t.Fatal(err)
			}
			heads = append(heads, text)
		}
	}
	_ = cmd.Wait() // killed
	return ids, heads
}

// openLedger opens the ledger of a folder, or makes it.
func openLedger(t testing.TB, dir string) *ledger {
	t.Helper()
	l := &ledger{path: filepath.Join(dir, "ledger.db")}
	l.write, l.read = connect(t, l.path, "FULL", 1), connect(t, l.path, "FULL", 4)
	var err error
	if l.key, err = keyfile.Open(filepath.Join(dir, "log.key"), "log.example/lethe"); err != nil {
		t.Fatal(err)
	}
	if err := audit.Migrate(t.Context(), l.write); err != nil {
		t.Fatal(err)
	}
	if l.Log, err = l.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}
