package storetest

import (
	"context"
	"strings"

	"lethe/store"
)

// MemoryFixture is the Fixture of a Memory.
type MemoryFixture struct{ *Memory }

// NewMemoryFixture returns the Fixture of an empty Memory.
func NewMemoryFixture() MemoryFixture { return MemoryFixture{NewMemory()} }

// Store implements Fixture.
func (f MemoryFixture) Store() store.Store { return f.Memory }

// Add implements Fixture.
func (f MemoryFixture) Add(_ context.Context, records ...Record) error {
	f.Memory.Add(records...)
	return nil
}

// AddHistory implements Fixture.
func (f MemoryFixture) AddHistory(_ context.Context, memory, text string) error {
	f.Memory.AddHistory(memory, text)
	return nil
}

// Rows implements Fixture.
func (f MemoryFixture) Rows(context.Context) (map[string]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rows := make(map[string]string)
	for id, r := range f.rows {
		rows[id.String()] = r.record.Text
	}
	for memory, texts := range f.history {
		for i, text := range texts {
			rows["history/"+memory+"/"+itoa(i)] = text
		}
	}
	return rows, nil
}

// Bytes implements Fixture.
func (f MemoryFixture) Bytes(ctx context.Context) ([]byte, error) {
	rows, err := f.Rows(ctx)
	var all strings.Builder
	for _, text := range rows {
		all.WriteString(text)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, text := range f.residue {
		all.WriteString(text)
	}
	return []byte(all.String()), err
}
