package proof

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Exit statuses of [RunVerify].
const (
	ExitVerified    = 0
	ExitError       = 1 // a file could not be read
	ExitUsage       = 2
	ExitNotVerified = 5
	ExitDiverged    = 30
)

// VerifyUsage says how [RunVerify] is called, after the command's name.
const VerifyUsage = ` FILE... --key KEY_OR_FILE [--log DIR_OR_URL]
       [--subject-key FILE --selector-file FILE]

Checks erasure certificates. Needs no network, unless --log is a URL.

  --key KEY_OR_FILE     the log's verifier key, or a file with one or more
  --log DIR_OR_URL      also compare with the log as it is published, by its
                        tiles (what lethe log export writes, or http://HOST/log)
  --subject-key FILE    the request's subject key, 64 hexadecimal digits
  --selector-file FILE  the selector's JSON; says whether it is what the
                        certificate is about

Exit status: 0 all verified, 1 a file could not be read, 2 usage,
5 a certificate does not verify, 30 two signed heads contradict each other.
`

// A verification is one run of the command.
type verification struct {
	files            []string
	key, log         string
	subjectKey       string
	selectorFile     string
	fetchURL         func(url string) Fetch
	keys             *Policy
	fetch            Fetch
	subject, persona []byte // the subject key and the selector
	stdout, stderr   io.Writer
}

// RunVerify is the body of lethe-verify and of lethe verify: it checks the
// certificates that args name and returns the exit status, the gravest of all.
// Flags may stand anywhere. The name is that of the command, for messages;
// fetchURL returns a Fetch for a log's URL.
func RunVerify(name string, args []string, fetchURL func(url string) Fetch, stdout, stderr io.Writer) int {
	v := verification{fetchURL: fetchURL, stdout: stdout, stderr: stderr}
	switch err := v.parse(name, args); {
	case errors.Is(err, flag.ErrHelp):
		_, _ = fmt.Fprint(stdout, "usage: ", name, VerifyUsage)
		return ExitVerified
	case err != nil:
		_, _ = fmt.Fprintf(stderr, "%s: %v\nusage: %s%s", name, err, name, VerifyUsage)
		return ExitUsage
	}
	if err := v.load(); err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return ExitError
	}
	status := ExitVerified
	for _, file := range v.files {
		err := v.check(file)
		if err != nil {
			_, _ = fmt.Fprintf(stdout, "%-7s %s\n  %-10s %v\n", verdict(err), file, "because", err)
		}
		status = max(status, exitStatus(err)) // statuses grow with gravity
	}
	return status
}

func (v *verification) parse(name string, args []string) error {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&v.key, "key", "", "")
	flags.StringVar(&v.log, "log", "", "")
	flags.StringVar(&v.subjectKey, "subject-key", "", "")
	flags.StringVar(&v.selectorFile, "selector-file", "", "")
	for len(args) > 0 {
		if err := flags.Parse(args); err != nil {
			return err
		}
		rest := flags.Args()
		if n := len(args) - len(rest); n > 0 && args[n-1] == "--" {
			v.files = append(v.files, rest...)
			break
		}
		if len(rest) == 0 {
			break
		}
		v.files, args = append(v.files, rest[0]), rest[1:]
	}
	switch {
	case len(v.files) == 0:
		return errors.New("no certificate given")
	case v.key == "":
		return errors.New("--key is required")
	case (v.subjectKey == "") != (v.selectorFile == ""):
		return errors.New("--subject-key and --selector-file go together")
	}
	return nil
}

// load reads everything but the certificates.
func (v *verification) load() error {
	var err error
	if v.keys, err = loadKeys(v.key); err != nil {
		return err
	}
	if v.subjectKey != "" {
		if v.subject, err = loadSubjectKey(v.subjectKey); err != nil {
			return err
		}
		if v.persona, err = os.ReadFile(v.selectorFile); err != nil {
			return fmt.Errorf("read selector: %w", err)
		}
	}
	switch {
	case v.log == "":
	case strings.HasPrefix(v.log, "http://"), strings.HasPrefix(v.log, "https://"):
		v.fetch = v.fetchURL(strings.TrimRight(v.log, "/"))
	default:
		v.fetch = func(path string) ([]byte, error) {
			return os.ReadFile(filepath.Join(v.log, filepath.FromSlash(path)))
		}
	}
	return nil
}

// loadKeys reads a file of keys or, if there is none of that name and it looks
// like one, takes a verifier key as it is.
func loadKeys(keyOrFile string) (*Policy, error) {
	text, err := os.ReadFile(keyOrFile)
	if err != nil && strings.Count(keyOrFile, "+") >= 2 {
		text = []byte(keyOrFile)
	} else if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	return ParseKeys(text)
}

func loadSubjectKey(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read subject key: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != 32 {
		return nil, errors.New("read subject key: want 64 hexadecimal digits")
	}
	return key, nil
}

// check verifies one file and writes about it if all is well.
func (v *verification) check(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read certificate: %w", err)
	}
	r, err := Verify(text, v.keys)
	if err != nil {
		return err
	}
	var more report
	if v.subject != nil {
		ok, err := r.Subject(v.subject, v.persona)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("%w: it is not about the subject whose key and selector you gave", ErrNotVerified)
		}
		more.line("subject", "matches the key and selector you gave")
	}
	if v.fetch != nil {
		now, err := CheckLog(r.Head, v.fetch, v.keys)
		if err != nil {
			return err
		}
		more.line("published", "the log now has %d entries, this one unchanged among them", now.Size)
	}
	if _, err := fmt.Fprintf(v.stdout, "%-7s %s\n%s%s", "OK", file, more.b.String(), r); err != nil {
		return fmt.Errorf("write the answer: %w", err) // nobody has seen it
	}
	return nil
}

func verdict(err error) string {
	switch exitStatus(err) {
	case ExitDiverged:
		return "FORKED"
	case ExitNotVerified:
		return "REFUSED"
	}
	return "ERROR"
}

func exitStatus(err error) int {
	switch {
	case err == nil:
		return ExitVerified
	case errors.Is(err, ErrDiverged):
		return ExitDiverged
	case errors.Is(err, ErrNotVerified):
		return ExitNotVerified
	}
	return ExitError
}
