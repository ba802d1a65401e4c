package proof

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
)

// Exit statuses of [RunVerify].
const (
	ExitVerified    = 0
	ExitError       = 1 // a file could not be read, or not be checked as asked
	ExitUsage       = 2
	ExitNotVerified = 5
	ExitUnwitnessed = 10 // sound, but the policy asks for more witnesses
	ExitDiverged    = 30
)

// VerifyUsage says how [RunVerify] is called, after the command's name.
const VerifyUsage = ` FILE... --key KEY_OR_FILE | --policy FILE
       [--completed] [--log DIR_OR_URL] [--evidence DIR]
       [--subject-key HEX_OR_FILE [--subject NAME | --selector-file FILE]
       [--memory ID | --memory-file FILE]]

Checks erasure certificates, proofs for one memory, and evidence that a log was
forked. Needs no network, unless --log is a URL.

  --key KEY_OR_FILE     the log's verifier key, or a file with one or more
  --policy FILE         whom to believe (C2SP tlog-policy): logs, witnesses, and
                        how many of these must have seen the log
  --completed           refuse what does not say that an erasure was completed,
                        and of memories those that were held or refused
  --log DIR_OR_URL      also compare with the log as it is published, by its
                        tiles (what lethe log export writes, or http://HOST/log),
                        and say whether an entry supersedes the certificate,
                        because what was erased has come back since
  --evidence DIR        where evidence of a fork is written (.)
  --subject-key HEX_OR_FILE
                        the request's subject key, 64 hexadecimal digits
  --subject NAME        says whether NAME is whom the certificate is about, tried
                        as user_id, agent_id, app_id and run_id
  --selector-file FILE  the same of a selector's JSON
  --memory ID           what a proof for one memory is to be about
  --memory-file FILE    the same, with the ID in a file

Of several certificates the heads are compared too: one log has one root for
each size. Two heads that contradict each other are written to a file, which is
evidence against whoever signed them; lethe-verify checks that file as well.

Status 0 says that the files are genuine and not that anything was erased: the
proof that a request was accepted, or the certificate of one that was cancelled,
verifies too. Read what it says, or give --completed.

Exit status: that of the gravest file. The gravest comes first:
  30  two signed heads contradict each other
   5  a file does not verify
   1  a file could not be read, or not be checked as asked
  10  sound, but the policy asks for more witnesses
   0  all verified
   2  usage; no file was looked at
`

// A verification is one run of the command.
type verification struct {
	name             string // of the command
	files            []string
	key, policyFile  string
	log, evidenceDir string
	subjectKey       string // hexadecimal, or a file
	subjectName      string
	selectorFile     string
	memory           string
	memoryFile       string
	completed        bool
	given            map[string]bool // flags
	fetchURL         func(url string) Fetch

	policy  *Policy
	fetch   Fetch      // keeps what it has fetched
	entries Fetch      // does not: there may be much of them
	secret  []byte     // the subject key
	persons []selector // any of which the certificate may be about
	heads   []fileHead
	search  *search // for what supersedes them
	stdout  io.Writer
	stderr  io.Writer
}

// A selector is what a certificate may be about, and how to call it.
type selector struct {
	json []byte
	says string
}

// A fileHead is the head of a certificate, with the name of its file.
type fileHead struct {
	file string
	Head
}

// RunVerify is the body of lethe-verify and of lethe verify: it checks the
// files that args name and returns the exit status, the gravest of all. A file
// that could not be read is graver than one with too few witnesses: of the
// latter it is known that it is sound. Flags may stand anywhere. The name is
// that of the command, for messages; fetchURL returns a Fetch for a log's URL.
func RunVerify(name string, args []string, fetchURL func(url string) Fetch, stdout, stderr io.Writer) int {
	v := verification{name: name, fetchURL: fetchURL, given: map[string]bool{}, stdout: stdout, stderr: stderr}
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
		status = graver(status, v.report(file, v.check(file)))
	}
	return graver(status, v.compare())
}

// graver returns the status that says more against what was checked.
func graver(a, b int) int {
	order := []int{ExitVerified, ExitUnwitnessed, ExitError, ExitNotVerified, ExitDiverged}
	return order[max(slices.Index(order, a), slices.Index(order, b))]
}

func (v *verification) parse(name string, args []string) error {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	for flag, to := range map[string]*string{
		"key": &v.key, "policy": &v.policyFile, "log": &v.log, "evidence": &v.evidenceDir,
		"subject-key": &v.subjectKey, "subject": &v.subjectName, "selector-file": &v.selectorFile,
		"memory": &v.memory, "memory-file": &v.memoryFile,
	} {
		flags.StringVar(to, flag, "", "")
	}
	flags.BoolVar(&v.completed, "completed", false, "")
	for len(args) > 0 {
		if err := flags.Parse(args); err != nil {
			return usageFault(err)
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
	flags.Visit(func(f *flag.Flag) { v.given[f.Name] = true })
	return v.checkFlags()
}

// usageFault replaces what the flag package says, which repeats the command
// line: a name or a key may stand there.
func usageFault(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	return errors.New("a flag that is not known, or has no value")
}

func (v *verification) checkFlags() error {
	asks := v.given["subject"] || v.given["selector-file"] || v.given["memory"] || v.given["memory-file"]
	switch {
	case len(v.files) == 0:
		return errors.New("no file given")
	case !v.given["key"] && !v.given["policy"]:
		return errors.New("--key or --policy is required")
	case v.given["key"] && v.given["policy"]:
		return errors.New("--key and --policy exclude each other")
	case v.given["subject"] && v.given["selector-file"]:
		return errors.New("--subject and --selector-file exclude each other")
	case v.given["memory"] && v.given["memory-file"]:
		return errors.New("--memory and --memory-file exclude each other")
	case v.given["subject-key"] != asks:
		return errors.New("--subject-key goes together with --subject, --selector-file or --memory")
	}
	return nil
}
