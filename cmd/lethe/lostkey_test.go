package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"lethe/audit"
	"lethe/audit/proof"
)

func TestAKeyThatIsGoneIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	if err := keyLost(filepath.Join(dir, "none")); err != nil {
		t.Errorf("first use: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, ledgerFile), []byte("SQLite"), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := Load("", Overrides{Data: dir})
	if err != nil {
		t.Fatal(err)
	}
	s := &service{config: config, logger: slog.New(slog.DiscardHandler)}
	if err := s.openBook(t.Context()); !errors.Is(err, errLostKey) {
		t.Errorf("err = %v, want errLostKey", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, logKeyFile+"*")); len(left) > 0 {
		t.Errorf("made %v, in the way of the right one", left)
	}
	if err := os.WriteFile(filepath.Join(dir, logKeyFile+publicSuffix), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := keyLost(dir); err != nil {
		t.Errorf("with something left of it: %v", err)
	}
}

func TestWaysOutFitTheRefusal(t *testing.T) {
	for _, tt := range []struct {
		refusal error
		want    string
	}{
		{audit.ErrBehind, waysOut},
		{audit.ErrBroken, waysOut},
		{proof.ErrDiverged, waysOut},
		{audit.ErrUnread, anchorWaysOut},
		{proof.ErrNotVerified, anchorWaysOut},
		{errors.Join(audit.ErrUnread, audit.ErrBehind), waysOut},
	} {
		if got := waysFor(fmt.Errorf("%w: %w", audit.ErrRefused, tt.refusal)); got != tt.want {
			t.Errorf("%v: %s", tt.refusal, got)
		}
	}
}
