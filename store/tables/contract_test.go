package tables_test

import (
	"testing"

	"lethe/store/storetest"
)

func TestFourLevelsKeepTheContract(t *testing.T) {
	for _, journal := range []string{"delete", "wal"} {
		t.Run(journal, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T) storetest.Fixture { return openApp(t, journal) })
		})
	}
}
