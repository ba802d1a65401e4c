package tables_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/store"
	"lethe/store/storetest"
	"lethe/store/tables"
)

const childEnv = "LETHE_TEST_TABLES_DIR"

// TestMain turns this test binary into the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := eraseForever(dir, os.Stdin, os.Stdout); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// eraseForever erases the batches it reads from an app.
func eraseForever(dir string, in io.Reader, out io.Writer) error {
	ctx := context.Background()
	s, err := tables.Open(ctx, appMap(dir))
	if err != nil {
		return err
	}
	io.WriteString(out, "ready\n")
	batches := json.NewDecoder(in)
	for {
		var ids []store.ID
		if err := batches.Decode(&ids); err != nil {
			return err
		}
		if _, err := s.Erase(ctx, ids); err != nil {
			return err
		}
	}
}

// people returns n records of a user.
func people(user string, n int) []storetest.Record {
	records := make([]storetest.Record, n)
	for i := range records {
		records[i] = storetest.Record{ID: fmt.Sprintf("%s %d", user, i), UserID: user, Text: user + " was here", Message: i%2 == 0}
	}
	return records
}

// A process that dies midway, or between the files of one commit, leaves rows
// that a Find still finds, and nothing below rows that are gone.
func TestKilledEraseOfFourLevelsCanBeRepeated(t *testing.T) {
	for _, journal := range []string{"delete", "wal"} {
		t.Run(journal, func(t *testing.T) {
			t.Parallel()
			a := openApp(t, journal)
			if err := a.Add(t.Context(), people("bob", 200)...); err != nil {
				t.Fatal(err)
			}
			want, err := a.Rows(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			seed := rand.New(rand.NewPCG(3, 4))
			for range 3 {
				if err := a.Add(t.Context(), people("alice", 800)...); err != nil {
					t.Fatal(err)
				}
				killOnce(t, a, time.Duration(seed.IntN(50))*time.Millisecond)
				got, err := a.Rows(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("rows: (-want +got)\n%s", diff)
				}
			}
		})
	}
}

// killOnce kills a process in the midst of erasing alice, looks at what is left,
// and ends its work.
func killOnce(t *testing.T, a *app, after time.Duration) {
	plan := found(t, a.s, store.Selector{UserID: "alice"})
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+a.dir)
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	go func() {
		for batch := range slices.Chunk(plan, 100) {
			if json.NewEncoder(in).Encode(batch) != nil {
				return // killed
			}
		}
	}()
	time.Sleep(after) // a point in time at random; no point may fail
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // killed

	s := openMap(t, appMap(a.dir))
	census, err := s.Count(t.Context(), store.Selector{UserID: "alice"}.Only())
	if err != nil {
		t.Fatal(err)
	}
	if census.Unattributable != 0 {
		t.Errorf("%d rows are orphans", census.Unattributable)
	}
	t.Logf("killed after %v: %d of %d left", after, census.IDs(), len(plan))
	for batch := range slices.Chunk(plan, store.MaxBatch) {
		if _, err := s.Erase(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		if left, err := s.Remaining(t.Context(), batch); err != nil || len(left) > 0 {
			t.Fatalf("%d remaining, error %v", len(left), err)
		}
	}
	if left := found(t, s, store.Selector{UserID: "alice"}); len(left) > 0 {
		t.Errorf("%d found after", len(left))
	}
}

// found returns what Find yields.
func found(t *testing.T, s store.Store, sel store.Selector) []store.ID {
	t.Helper()
	var ids []store.ID
	for id, err := range s.Find(t.Context(), sel) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}
