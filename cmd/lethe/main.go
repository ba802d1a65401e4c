// Command lethe erases a person's memories from AI-memory stores and proves it.
//
// It is the daemon (lethe serve) and the command line with which people and
// scripts talk to it, or to the files it keeps. What it prints on standard
// output is the answer; standard error is talk. Nothing that identifies anyone
// is printed on either.
//
// # Decisions
//
// 2026-11-22. Errors of the flag parser are worded anew, because the library's
// own repeat what was typed, and what is typed here may be somebody's address.
//
// 2026-11-29. lethe health asks over HTTP, as any probe would, and opens nothing: it is
// for containers, whose image has no shell.
//
// 2026-11-29. An image is built without a repository to stamp from, so its version is
// given to the linker (release), and wins over the stamp.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run carries out one command line and returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot(&console{stdin: stdin, stdout: stdout, stderr: stderr})
	root.SetArgs(args)
	return report(stderr, root.ExecuteContext(ctx))
}
