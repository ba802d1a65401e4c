package mem0_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lethe/store"
)

// realPG loads rows that the real Mem0 2.0.18 has written: twelve memories each
// of alice and bob, their entities, history and raw messages.
func realPG(t *testing.T, dir string) *pgFixture {
	t.Helper()
	f := newPG(t, true, false)
	for _, table := range []string{f.config.Table, f.config.Entities} {
		file, err := os.Open(filepath.Join(dir, table+".jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		for lines := bufio.NewScanner(file); lines.Scan(); {
			var row struct {
				ID      string
				Payload json.RawMessage
			}
			if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
				t.Fatal(err)
			}
			f.db.MustExec(`INSERT INTO `+table+` VALUES ($1, '{0.5}', $2)`, row.ID, string(row.Payload))
		}
	}
	history, err := os.ReadFile(filepath.Join(dir, "history.db"))
	if err != nil {
		t.Fatal(err)
	}
	f.config.History = filepath.Join(t.TempDir(), "history.db")
	if err := os.WriteFile(f.config.History, history, 0o600); err != nil {
		t.Fatal(err)
	}
	return f.open()
}

func TestRealPostgresErasure(t *testing.T) {
	f := realPG(t, "testdata/realpg")
	before, err := f.Rows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	census, err := f.s.Count(t.Context(), store.Selector{UserID: "alice"}.Only())
	if err != nil || census.Unattributable != 0 {
		t.Fatalf("unattributable %d, error %v", census.Unattributable, err)
	}
	want := map[string]int{"messages": 10, "entities": 15, "memories": 12, "history": 12}
	for _, p := range census.Places {
		if p.Found != want[p.Place] {
			t.Errorf("place %s: found %d, want %d", p.Place, p.Found, want[p.Place])
		}
	}
	ids := find(t, f.s, store.Selector{UserID: "alice"})
	if r, err := f.s.Erase(t.Context(), ids); err != nil || r.Count(store.Erased) != 37 || len(ids) != 37 {
		t.Errorf("erased %d of %d, error %v; want 37", r.Count(store.Erased), len(ids), err)
	}
	if left, err := f.s.Remaining(t.Context(), ids); err != nil || len(left) > 0 {
		t.Errorf("%d remaining, error %v", len(left), err)
	}
	after, err := f.Rows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(before) != 2*49 || len(after) != 49 {
		t.Errorf("%d rows before, %d after; want 98 and 49", len(before), len(after))
	}
	for name, row := range after {
		if strings.Contains(row, "alice") || before[name] != row {
			t.Errorf("row %s is alice's or has changed", name)
		}
	}
}
