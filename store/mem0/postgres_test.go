package mem0_test

import (
	"testing"

	"lethe/store/storetest"
)

func TestPostgresKeepsTheContract(t *testing.T) {
	for _, v := range []struct {
		name           string
		uuids, history bool
	}{{"Mem0", true, true}, {"HistoryDisabled", true, false}, {"TextKeys", false, true}} {
		t.Run(v.name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) storetest.Fixture { return newPG(t, v.uuids, v.history).open() })
		})
	}
}
