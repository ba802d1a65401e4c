package mem0_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/store"
	"lethe/store/mem0"
)

const childEnv = "LETHE_TEST_ERASE"

// TestMain turns this test binary into the process that is killed.
func TestMain(m *testing.M) {
	if config := os.Getenv(childEnv); config != "" {
		if err := eraseForever(config, os.Stdin, os.Stdout); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// eraseForever erases the batches it reads, one a line.
func eraseForever(config string, in io.Reader, out io.Writer) error {
	var c mem0.SQLiteConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
	ctx := context.Background()
	s, err := mem0.OpenSQLite(ctx, c)
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

func TestKilledEraseCanBeRepeated(t *testing.T) {
	for _, mode := range []string{"delete", "wal"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			killed(t, mode)
		})
	}
}

func killed(t *testing.T, mode string) {
	c, err := mem0.CreateSQLite(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{config: c}
	for _, path := range f.paths() {
		sql(t, path, "PRAGMA journal_mode="+mode)
	}
	if err := mem0.WriteSQLite(t.Context(), c, mem0.Sample("bob", 300)); err != nil {
		t.Fatal(err)
	}
	want, err := f.Rows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.New(rand.NewPCG(1, 2))
	for range 6 {
		if err := mem0.WriteSQLite(t.Context(), c, mem0.Sample("alice", 2000)); err != nil {
			t.Fatal(err)
		}
		killOnce(t, f, time.Duration(seed.IntN(60))*time.Millisecond)
		got, err := f.Rows(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		delete(got, "memory.db sqlite_sequence memory_history")
		delete(want, "memory.db sqlite_sequence memory_history")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("rows: (-want +got)\n%s", diff)
		}
	}
}

// killOnce kills a process in the midst of erasing alice, looks at the files,
// and ends its work.
func killOnce(t *testing.T, f *fixture, after time.Duration) {
	before := openStore(t, f.config)
	plan := find(t, before, store.Selector{UserID: "alice"})
	config, _ := json.Marshal(f.config)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+string(config))
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
	for batch := range slices.Chunk(plan, 500) {
		if err := json.NewEncoder(in).Encode(batch); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(after) // a point in time at random; no point may fail
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // killed

	s := openStore(t, f.config)
	for _, path := range f.paths() {
		var answer string
		db := database(t, path)
		if err := db.Get(&answer, "PRAGMA integrity_check"); err != nil || answer != "ok" {
			t.Fatalf("integrity: %q, error %v", answer, err)
		}
		db.Close()
	}
	census, err := s.Count(t.Context(), store.Selector{UserID: "alice"}.Only())
	if err != nil {
		t.Fatal(err)
	}
	if census.Unattributable != 0 {
		t.Errorf("%d rows are orphans", census.Unattributable)
	}
	t.Logf("killed after %v: %d of %d left", after, census.IDs(), len(plan))
	for batch := range slices.Chunk(plan, 1000) {
		if _, err := s.Erase(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		if left, err := s.Remaining(t.Context(), batch); err != nil || len(left) > 0 {
			t.Fatalf("%d remaining, error %v", len(left), err)
		}
	}
	if left := find(t, s, store.Selector{UserID: "alice"}); len(left) > 0 {
		t.Errorf("%d found after", len(left))
	}
}
