package mem0_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/jmoiron/sqlx"

	"lethe/audit/audittest"
	"lethe/store"
	"lethe/store/storetest"
	"lethe/store/tables"
)

// A rewritten fixture is a pgFixture whose store rewrites its tables, and whose
// bytes are those of the server's files.
type rewritten struct {
	*pgFixture
	r *tables.Rewriter
}

func (f rewritten) Store() store.Store {
	return struct {
		*renamed
		store.Purger
	}{&renamed{f.s, f.pgFixture}, patient{f.r}}
}

// A patient store is purged until nobody is in the way: the server's own
// ANALYZE may be.
type patient struct{ store.Purger }

func (p patient) Purge(ctx context.Context) error {
	for {
		if err := p.Purger.Purge(ctx); !errors.Is(err, store.ErrBusy) || ctx.Err() != nil {
			return err
		}
	}
}

func (f rewritten) Bytes(ctx context.Context) ([]byte, error) {
	var dir string
	f.db.MustExec(`CHECKPOINT`)
	err := f.db.GetContext(ctx, &dir, `SELECT current_setting('data_directory') || '/base/' || oid FROM pg_database WHERE datname = current_database()`)
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(dir + "/*")
	if err != nil {
		return nil, err
	}
	beside, err := filepath.Glob(f.config.History + "*")
	if err != nil {
		return nil, err
	}
	var all []byte
	for _, path := range append(files, beside...) {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		all = append(all, b...)
	}
	return all, nil
}

// TestARewrittenPostgresKeepsTheContract in a database of its own, for a
// transaction of anyone in it keeps rows from going.
func TestARewrittenPostgresKeepsTheContract(t *testing.T) {
	t.Parallel()
	dsn := audittest.Postgres(t)
	db := sqlx.MustOpen("pgx", dsn)
	defer db.Close()
	n := 0
	storetest.Run(t, func(t *testing.T) storetest.Fixture {
		t.Helper()
		n++
		schema := "s" + strconv.Itoa(n)
		db.MustExec(`CREATE SCHEMA ` + schema)
		t.Cleanup(func() { db.MustExec(`DROP SCHEMA ` + schema + ` CASCADE`) })
		f := newPGAt(t, dsn+"&search_path="+schema, true, true).open()
		r, err := tables.NewRewriter(t.Context(), f.s)
		if err != nil {
			t.Fatal(err)
		}
		return rewritten{f, r}
	})
}

// BenchmarkPostgresPurge is Purge of two tables of which half is erased, beside
// the plain VACUUM (FULL) of tables of the same content.
func BenchmarkPostgresPurge(b *testing.B) {
	for _, name := range []string{"Plain", "Purge"} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				f := newPGAt(b, audittest.Postgres(b), true, false).open()
				f.db.MustExec(`INSERT INTO memories SELECT gen_random_uuid(), '{1,2,3}', jsonb_build_object('user_id',
					CASE i % 2 WHEN 0 THEN 'alice' ELSE 'bob' END, 'data', repeat('x', 200)) FROM generate_series(1, $1) i`, 20*benchPG)
				f.db.MustExec(`DELETE FROM memories WHERE payload->>'user_id' = 'alice'`)
				r, err := tables.NewRewriter(b.Context(), f.s)
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if name == "Plain" {
					f.db.MustExec(`VACUUM (FULL) memories`)
					f.db.MustExec(`VACUUM (FULL) memories_entities`)
				} else if err := (patient{r}).Purge(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			perRow(b, 10*benchPG)
		})
	}
}
