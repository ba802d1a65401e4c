package mem0_test

import (
	"testing"

	"lethe/store/storetest"
)

func TestSQLiteKeepsTheContract(t *testing.T) {
	for _, v := range variants() {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T) storetest.Fixture { return v.open(t) })
		})
	}
}
