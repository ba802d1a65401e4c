package storetest_test

import (
	"testing"

	"lethe/store/storetest"
)

func TestMemoryKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Fixture { return storetest.NewMemoryFixture() })
}
