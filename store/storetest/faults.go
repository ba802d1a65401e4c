package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lethe/store"
)

// An Op is a method of Memory.
type Op string

// The operations that Memory counts and that can be made to fail.
const (
	Find      Op = "find" // and Count
	Erase     Op = "erase"
	Remaining Op = "remaining"
	Matching  Op = "matching"
	Purge     Op = "purge"
	Kept      Op = "kept"
)

// ErrFault is wrapped by every error that Faults cause, but for a busy Purge.
var ErrFault = errors.New("injected fault")

// Faults are what a Memory does wrong. A count is how many times it still will.
type Faults struct {
	Fail       map[Op]int        // before anything is done
	FailAfter  int               // an Erase that erases all and then fails
	Refuse     map[store.ID]bool // the store will not erase these: Refused
	Poison     map[store.ID]bool // a batch with one of these fails, untouched
	Lie        int               // an Erase that says erased and keeps all
	Resurrect  int               // an Erase whose rows come back with the next Find
	Arrive     []Record          // appear with the next Erase
	BusyPurges int               // a Purge that wraps store.ErrBusy
	Slow       time.Duration     // every call takes this long, or until its context ends
	Gate       chan struct{}     // if not nil, every Erase takes a value from it first
	Away       error             // if not nil, every call fails with it, before anything is done
	LeaveAfter error             // if not nil, the next Erase that erases sets Away to it and fails
}

// Set changes the faults, safely while the Memory is in use.
func (m *Memory) Set(change func(*Faults)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.faults)
}

// Calls returns how often an operation was called.
func (m *Memory) Calls(op Op) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls[op]
}

// spend reports whether a fault is still due, and uses it up.
func spend(n *int) bool {
	if *n <= 0 {
		return false
	}
	*n--
	return true
}

// enter begins an operation: it counts, waits, and fails where it should.
func (m *Memory) enter(ctx context.Context, op Op, ids []store.ID) error {
	if len(ids) > store.MaxBatch {
		return tooMany(len(ids))
	}
	for _, id := range ids {
		if id.Place != "memories" && id.Place != "messages" {
			return fmt.Errorf("%w: an id of no place of this store", store.ErrRefused)
		}
	}
	m.mu.Lock()
	m.calls[op]++
	slow, gate := m.faults.Slow, m.faults.Gate
	fail, away := m.faults.Fail[op] > 0, m.faults.Away
	if fail {
		m.faults.Fail[op]--
	}
	m.mu.Unlock()

	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
		}
	}
	if gate != nil && op == Erase {
		select {
		case <-gate:
		case <-ctx.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if fail {
		return ErrFault
	}
	return away
}

// Erase implements store.Store.
func (m *Memory) Erase(ctx context.Context, ids []store.ID) (store.Receipt, error) {
	if err := m.enter(ctx, Erase, ids); err != nil {
		return nil, fmt.Errorf("erase: %w", err)
	}
	sel, still := store.Still(ctx)
	if err := store.Leave(ctx); err != nil {
		return nil, fmt.Errorf("erase: %w", err)
	}
	if err := sel.Validate(); still && err != nil {
		return nil, fmt.Errorf("erase: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		if m.faults.Poison[id] {
			return nil, fmt.Errorf("erase: %w", ErrFault)
		}
	}
	lie, undo := spend(&m.faults.Lie), spend(&m.faults.Resurrect)
	receipt := make(store.Receipt, len(ids))
	for i, id := range ids {
		if still && m.keeps(sel, id) {
			receipt[i] = store.Kept
			continue
		}
		receipt[i] = m.eraseOne(id, lie, undo)
	}
	m.add(m.faults.Arrive)
	m.faults.Arrive = nil
	if err := m.faults.LeaveAfter; err != nil {
		m.faults.Away, m.faults.LeaveAfter = err, nil
		return nil, fmt.Errorf("erase: %w", err)
	}
	if spend(&m.faults.FailAfter) {
		return nil, fmt.Errorf("erase: %w", ErrFault)
	}
	return receipt, nil
}

func (m *Memory) eraseOne(id store.ID, lie, undo bool) store.Outcome {
	switch {
	case m.faults.Refuse[id]:
		return store.Refused
	case !m.left(id):
		return store.Absent
	case lie:
		return store.Erased
	}
	if r, ok := m.rows[id]; undo && ok {
		m.undone = append(m.undone, r)
	}
	m.remove(id)
	if id.Place == "memories" {
		m.residue = append(m.residue, m.history[id.Key]...)
		delete(m.history, id.Key)
	}
	return store.Erased
}

// Purge implements store.Purger.
func (m *Memory) Purge(ctx context.Context) error {
	if err := m.enter(ctx, Purge, nil); err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if spend(&m.faults.BusyPurges) {
		return fmt.Errorf("purge: %w", store.ErrBusy)
	}
	m.residue = nil
	return nil
}
