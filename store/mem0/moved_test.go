package mem0_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"lethe/store"
	"lethe/store/mem0"
)

// TestAFileThatIsNotWhereItWasIsNeitherReadNorErasedFrom: SQLite itself goes on
// with the file that it has open, whatever its name is by now.
func TestAFileThatIsNotWhereItWasIsNeitherReadNorErasedFrom(t *testing.T) {
	t.Parallel()
	c, err := mem0.CreateSQLite(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := openStore(t, c)
	ids := []store.ID{{Place: "memories", Key: "a"}}
	calls := map[string]func(context.Context) error{
		"find": func(ctx context.Context) error {
			for _, err := range s.Find(ctx, store.Selector{UserID: "alice"}) {
				return err
			}
			return nil
		},
		"count": func(ctx context.Context) error {
			_, err := s.Count(ctx, store.Selector{UserID: "alice"}.Only())
			return err
		},
		"erase":     func(ctx context.Context) error { _, err := s.Erase(ctx, ids); return err },
		"remaining": func(ctx context.Context) error { _, err := s.Remaining(ctx, ids); return err },
		"ping":      s.Ping,
	}
	all := func(when string, away bool) {
		t.Helper()
		for name, call := range calls {
			err := call(t.Context())
			if errors.Is(err, store.ErrUnavailable) != away || err != nil && !strings.Contains(err.Error(), "vectors file") {
				t.Errorf("%s, %s: error %v", when, name, err)
			}
		}
	}
	all("in place", false)
	moved := c.Vectors + ".moved"
	if err := os.Rename(c.Vectors, moved); err != nil {
		t.Fatal(err)
	}
	all("moved away", true)
	if err := os.WriteFile(c.Vectors, []byte("SQLite format 3\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	all("another one there", true)
	if err := os.Rename(moved, c.Vectors); err != nil {
		t.Fatal(err)
	}
	all("put back", false)
}
