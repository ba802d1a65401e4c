//go:build torture

package web

import (
	"os"
	"slices"
	"strings"
)

// bug reports whether the crash lab has taken a safeguard out. It reads what
// audit/fault does, which nothing in store may import.
func bug(name string) bool {
	return slices.Contains(strings.Split(os.Getenv("LETHE_BUG"), ","), name)
}
