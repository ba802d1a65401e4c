//go:build race

package proof_test

// raceEnabled says that the tests are some ten times slower than otherwise.
const raceEnabled = true
