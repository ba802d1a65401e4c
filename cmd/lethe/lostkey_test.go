package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"lethe/audit"
	"lethe/audit/proof"
	"lethe/jobs/ledger"
)

func TestAKeyThatIsGoneIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	none := Config{Data: filepath.Join(dir, "none")}
	if err := none.keyLost(t.Context()); err != nil {
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
	if err := config.keyLost(t.Context()); err != nil {
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
		{audit.ErrRestored, restoredWaysOut},
		{errors.Join(audit.ErrRestored, audit.ErrUnread), restoredWaysOut},
		{proof.ErrNotVerified, anchorWaysOut},
		{ledger.ErrStalled, stalledWaysOut},
		{errors.Join(audit.ErrUnread, audit.ErrBehind), waysOut},
	} {
		if got := waysFor(fmt.Errorf("%w: %w", audit.ErrRefused, tt.refusal)); got != tt.want {
			t.Errorf("%v: %s", tt.refusal, got)
		}
	}
}

// An anchor elsewhere would tell for sure; without one there is only this.
func TestAKeyWithoutItsLedgerIsWarnedOf(t *testing.T) {
	dir := t.TempDir()
	config, err := Load("", Overrides{Data: dir})
	if err != nil {
		t.Fatal(err)
	}
	warned := func() bool {
		var talk bytes.Buffer
		s := &service{config: config, logger: slog.New(slog.NewTextHandler(&talk, nil)), registry: prometheus.NewRegistry()}
		if err := errors.Join(s.openBook(t.Context()), s.Close()); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(talk.String(), "before its ledger")
	}
	if warned() {
		t.Error("at the first start")
	}
	if warned() {
		t.Error("at an ordinary start")
	}
	for _, name := range []string{"ledger.db", "ledger.db-wal", "ledger.db-shm", "log.head"} {
		_ = os.Remove(filepath.Join(dir, name))
	}
	if !warned() {
		t.Error("not warned when the ledger was gone")
	}
}
