//go:build !torture

package web

// bug reports whether the crash lab (cmd/torture) has taken a safeguard out. In a
// released binary none of them can be: the compiler removes the question.
func bug(string) bool { return false }
