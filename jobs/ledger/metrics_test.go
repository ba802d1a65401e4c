package ledger_test

import (
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"lethe/jobs/ledger"
)

// Nobody can sign here, as while an agent is away.
func TestMetricsOfAnEmptyLogAskForNoSignature(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		o := b.options()
		o.Dir, o.Signer, o.Verifier = filepath.Join(t.TempDir(), "data"), nil, b.key.Verifier
		l, err := ledger.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		r := prometheus.NewRegistry()
		r.MustRegister(ledger.NewCollector(l))
		if n, err := testutil.GatherAndCount(r, "lethe_log_size"); err != nil || n != 1 {
			t.Errorf("%d sizes, %v", n, err)
		}
	})
}
