package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"lethe/audit"
	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
)

// The exit statuses. Scripts rely on them: see the contract in the manual.
const (
	exitDone       = 0
	exitError      = 1
	exitUsage      = 2
	exitHeld       = 3
	exitNotFound   = 4
	exitUnverified = 5
	exitForked     = 30
)

var (
	errUsage = errors.New("usage")
	errHeld  = errors.New("held or waiting for approval")
)

// A statusError ends a command with a status of its own; all has been said.
type statusError int

func (statusError) Error() string { return "" }

// A usageError says what is wrong with a command line, without repeating it.
type usageError struct {
	command string // such as "lethe submit"
	text    string
}

func (e *usageError) Error() string { return e.text }
func (e *usageError) Unwrap() error { return errUsage }

// exitStatus is the one table from what went wrong to an exit status.
func exitStatus(err error) int {
	if p, ok := errors.AsType[*api.Problem](err); ok {
		return problemStatus(p.Status)
	}
	if s, ok := errors.AsType[statusError](err); ok {
		return int(s)
	}
	for _, row := range []struct {
		is     error
		status int
	}{
		{errUsage, exitUsage},
		{store.ErrSelector, exitUsage},
		{jobs.ErrInvalid, exitUsage},
		{errHeld, exitHeld},
		{jobs.ErrNotFound, exitNotFound},
		{proof.ErrDiverged, exitForked},
		{proof.ErrNotVerified, exitUnverified},
		{audit.ErrBroken, exitUnverified},
		{audit.ErrBehind, exitUnverified},
		{audit.ErrRestored, exitUnverified},
	} {
		if errors.Is(err, row.is) {
			return row.status
		}
	}
	if err != nil {
		return exitError
	}
	return exitDone
}

// problemStatus is the same for what the server refuses.
func problemStatus(httpStatus int) int {
	switch httpStatus {
	case http.StatusNotFound:
		return exitNotFound
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge:
		return exitUsage
	}
	return exitError
}

// meaning words an exit status for a help text.
func meaning(status int) string {
	return map[int]string{
		exitDone:       "done",
		exitError:      "error",
		exitUsage:      "usage: the command line, the selector or the configuration cannot be accepted",
		exitHeld:       "held, or waiting for approval: people have to act",
		exitNotFound:   "not found",
		exitUnverified: "a certificate, or the log, does not verify",
		exitForked:     "two signed heads contradict each other",
	}[status]
}

// exitSection is the end of a help text. Statuses 0, 1 and 2 are always there.
func exitSection(more ...int) string {
	var b strings.Builder
	b.WriteString("Exit status:\n")
	for _, s := range slices.Concat([]int{exitDone, exitError, exitUsage}, more) {
		fmt.Fprintf(&b, "%4d  %s\n", s, meaning(s))
	}
	return b.String()
}

// report says on w what went wrong, with one line of advice where there is
// any, and returns the exit status.
func report(w io.Writer, err error) int {
	status := exitStatus(err)
	if err == nil || err.Error() == "" {
		return status
	}
	if errors.Is(err, context.Canceled) {
		_, _ = fmt.Fprintln(w, "lethe: interrupted")
		return status
	}
	for line := range strings.Lines(err.Error()) {
		_, _ = fmt.Fprintf(w, "lethe: %s\n", legible(strings.TrimSuffix(line, "\n")))
	}
	if e := proof.EvidenceOf(err); e != nil {
		keepEvidence(w, e)
	}
	if unreached(err) {
		_, _ = fmt.Fprintln(w, "is lethe serve running there? --server or LETHE_SERVER says where it is")
	}
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Status == http.StatusUnauthorized {
		_, _ = fmt.Fprintln(w, "--token-file or LETHE_TOKEN_FILE names the file with your token; an admin makes one: lethe token create")
	}
	if u, ok := errors.AsType[*usageError](err); ok {
		_, _ = fmt.Fprintf(w, "see: %s --help\n", u.command)
	}
	return status
}

// legible takes out of a text what does not print. What a server or a file says
// may be anything, and must not upset a terminal or make one line look like two.
func legible(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || strconv.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, text)
}

// keepEvidence writes what proves a fork to the folder that the command was run
// in: it is worth more than the message.
func keepEvidence(w io.Writer, e *proof.Evidence) {
	path, err := e.Save(".")
	if err != nil {
		_, _ = fmt.Fprintf(w, "lethe: %v\n", err)
		return
	}
	_, _ = fmt.Fprintf(w, "lethe: what proves it is in %s, to be kept: lethe verify checks it\n", path)
}
