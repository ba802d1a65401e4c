package web_test

import (
	"testing"

	"lethe/store/storetest"
)

// TestServerKeepsTheContract, but for what hangs on memories: the server's API
// shows no history that could be erased, and a list ends after 1000.
func TestServerKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Fixture { return newServerFixture(t) })
}
