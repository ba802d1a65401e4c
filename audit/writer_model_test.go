package audit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"lethe/audit"
	"lethe/audit/proof"

	"pgregory.net/rapid"
)

// A step is one change of the model: it writes a marker of its own and logs
// some entries, which others may log too, of one of two bodies.
type step struct {
	entries []int
	other   bool   // the second body
	end     string // how the change ends
}

// What a step shows of itself is what its answer says, whatever ran beside it.
func TestChangesAreKeptWholeOrNotAtAll(t *testing.T) {
	d := newDesk(t)
	marker, pool := 0, 0
	logged := map[string]bool{}
	rapid.Check(t, func(rt *rapid.T) {
		pool += 10
		steps := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
			return step{
				entries: rapid.SliceOfN(rapid.IntRange(0, 4), 0, 3).Draw(rt, "entries"),
				other:   rapid.IntRange(0, 5).Draw(rt, "other") == 0,
				end:     rapid.SampledFrom([]string{"well", "well", "well", "error", "panic", "cancelled", "exec"}).Draw(rt, "end"),
			}
		}), 1, 12).Draw(rt, "steps")
		answers := make([]error, len(steps))
		var wg sync.WaitGroup
		for i, s := range steps {
			wg.Go(func() { answers[i] = d.take(s, marker+i, pool) })
		}
		wg.Wait()
		var want []int
		body := map[int]bool{}
		for i, s := range steps {
			if answers[i] != nil {
				if s.end == "well" && !errors.Is(answers[i], audit.ErrConflict) {
					rt.Errorf("step %d: %v", i, answers[i])
				}
				continue
			}
			if s.end != "well" && s.end != "cancelled" {
				rt.Errorf("step %d ends with %s and was answered nil", i, s.end)
			}
			want = append(want, marker+i)
			for _, e := range s.entries {
				if was, ok := body[e]; ok && was != s.other {
					rt.Errorf("entry %d was logged with two bodies", e)
				}
				body[e] = s.other
				logged[entryID(pool+e)] = true
			}
		}
		var got, ids []int
		var heads int
		err := errors.Join(d.read.Select(&got, `SELECT id FROM state WHERE id >= ? ORDER BY id`, marker),
			d.read.Get(&heads, `SELECT count(*) FROM audit_checkpoint`))
		var stored []string
		if err = errors.Join(err, d.read.Select(&stored, `SELECT entry_id FROM audit_entry`)); err != nil {
			rt.Fatal(err)
		}
		if !slices.Equal(got, want) {
			rt.Errorf("kept %v, answered %v", got, want)
		}
		for _, id := range stored {
			if !logged[id] {
				rt.Errorf("entry %s is nobody's", id)
			}
		}
		if len(stored) != len(logged) || heads > len(stored) {
			rt.Errorf("%d entries and %d heads, want %d entries %v", len(stored), heads, len(logged), ids)
		}
		marker += len(steps)
	})
	if r, err := d.Check(t.Context()); err != nil || r.Size != int64(len(logged)) {
		t.Errorf("the log has %d entries, %v, want %d", r.Size, err, len(logged))
	}
}

// take carries a step out, as a caller with that much luck.
func (d *desk) take(s step, marker, pool int) (err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	if s.end == "cancelled" {
		go cancel()
	}
	return d.w.Do(ctx, func(ctx context.Context, tx *audit.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO state VALUES (?, 'done')`, marker); err != nil {
			return err
		}
		for _, i := range s.entries {
			e := entry(pool + i).(*proof.SubjectKeyDestroyed)
			if s.other {
				e.DestroyedAt++
			}
			if err := tx.Log(e); err != nil {
				return err
			}
		}
		switch s.end {
		case "error":
			return errNo
		case "panic":
			panic("oh")
		case "exec":
			_, err := tx.ExecContext(ctx, `INSERT INTO state VALUES (?, 'again')`, marker)
			return err
		}
		return nil
	})
}
