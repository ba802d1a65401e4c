package proof

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// errUnwitnessed is how a check ends that finds the file sound and its
// witnesses too few. What there is to say has been said.
var errUnwitnessed = errors.New("sound, but the policy asks for more witnesses")

// errEvidence is how the check of good evidence ends. It wraps ErrDiverged, and
// what there is to say has been said.
var errEvidence = fmt.Errorf("%w: this file is evidence of it", ErrDiverged)

// check verifies one file and writes about it if all is well. What a file is,
// its first line says.
func (v *verification) check(file string) error {
	text, err := readFile(file, maxFile)
	if err != nil {
		return fmt.Errorf("read the file: %w", err)
	}
	if IsEvidence(text) {
		return v.checkEvidence(file, text)
	}
	var more report
	r, err := v.open(text, &more)
	if err != nil {
		return err
	}
	v.remember(file, r.Head)
	if _, done := r.Entry.(*Completed); v.completed && !done {
		return fmt.Errorf("%w: as --completed asks: it does not say that an erasure was completed", ErrNotVerified)
	}
	if err := v.checkSubject(r, &more); err != nil {
		return err
	}
	if v.fetch != nil {
		now, err := CheckLog(r.Head, v.fetch, v.policy)
		if err != nil {
			return err
		}
		more.line("published", "the log there has %d entries, this one unchanged among them", now.Size)
		v.superseded(r, now, &more)
	}
	word := "OK"
	met, _ := r.Witnessed()
	if !met {
		word = "SOUND"
	}
	if err := v.say(word, file, more.b.String()+r.String()); err != nil {
		return err
	}
	if !met {
		return errUnwitnessed
	}
	return nil
}

// open verifies a certificate, or a proof of one memory and the certificate in
// it. Either is refused where the other was asked for: an answer must not seem to
// be about a memory that it never looked at.
func (v *verification) open(text []byte, more *report) (*Result, error) {
	verify := func(certificate []byte) (*Result, error) { return Verify(certificate, v.policy) }
	asked := v.given["memory"] || v.given["memory-file"]
	switch {
	case !asked && IsMemoryProof(text):
		return nil, errors.New("a proof of one memory is checked with --subject-key and --memory or --memory-file")
	case !asked:
		return verify(text)
	case !IsMemoryProof(text):
		return nil, fmt.Errorf("%w: it is no proof of what became of one memory", ErrNotVerified)
	}
	r, says, outcome, err := verifyMemory(text, verify, v.secret, v.memory)
	if err != nil {
		return nil, err
	}
	if v.completed && outcome != OutcomeErased && outcome != OutcomeAbsent {
		return nil, fmt.Errorf("%w: as --completed asks: of this memory it says that it was %s", ErrNotVerified, outcome)
	}
	more.line("memory", "the one you named, %s", legible(says))
	more.line("", "this place and batch alone: elsewhere, or found again later, it may have another receipt")
	return r, nil
}

func (v *verification) checkSubject(r *Result, more *report) error {
	if len(v.persons) == 0 {
		return nil
	}
	for _, who := range v.persons {
		ok, err := r.Subject(v.secret, who.json)
		if err != nil {
			return err
		}
		if ok {
			more.line("subject", "%s", who.says)
			return nil
		}
	}
	hint := ""
	if v.given["subject"] {
		hint = "; if it was asked for by more than one name, or by IDs, give all of that with --selector-file"
	}
	return fmt.Errorf("%w: it is not about the subject that you gave with this key%s", ErrNotVerified, hint)
}

// checkEvidence answers for a file that says that a log was forked.
func (v *verification) checkEvidence(file string, text []byte) error {
	heads, err := VerifyEvidence(text, v.policy)
	if err != nil {
		return err
	}
	var p report
	p.line("log", "%s", heads[0].Origin)
	for _, h := range heads {
		says := ""
		if !h.At.IsZero() {
			says = ", log says " + At(h.At).String()
		}
		p.line("head", "%d entries, root %s, key %08x%s", h.Size, h.Root, h.KeyID, says)
		for _, w := range h.Witnesses {
			p.line("", "witnessed no later than %s by %s", At(w.At), legible(w.Name))
		}
	}
	p.line("proves", "the log's key signed two histories that exclude each other; not which of them is true, nor who used the key")
	if err := v.say("FORKED", file, p.b.String()); err != nil {
		return err
	}
	return errEvidence
}

// remember keeps a head for compare, and of equal ones the first.
func (v *verification) remember(file string, h Head) {
	same := func(o fileHead) bool { return o.Origin == h.Origin && o.Size == h.Size && o.Root == h.Root }
	if !slices.ContainsFunc(v.heads, same) {
		v.heads = append(v.heads, fileHead{file, h})
	}
}

// compare compares the heads of all certificates with each other. Those of
// different sizes can be compared by way of the log alone.
func (v *verification) compare() int {
	status, apart := ExitVerified, false
	for i, a := range v.heads {
		for _, b := range v.heads[:i] {
			if a.Origin != b.Origin {
				continue
			}
			if a.Size != b.Size {
				apart = true
				continue
			}
			if err := Consistent(a.Head, b.Head, nil); err != nil {
				status = graver(status, v.report(legible(b.file)+" and "+legible(a.file), err))
			}
		}
	}
	if apart && v.fetch == nil {
		_, _ = fmt.Fprintf(v.stderr, "%s: heads of different sizes were not compared with each other: that takes --log\n", v.name)
	}
	return status
}

// report says why a check failed and returns the exit status. Evidence of a
// fork is written to a file.
func (v *verification) report(file string, err error) int {
	status := exitStatus(err)
	if status == ExitVerified || status == ExitUnwitnessed || errors.Is(err, errEvidence) {
		return status
	}
	var p report
	p.line("because", "%s", legible(err.Error()))
	if e := EvidenceOf(err); e != nil {
		path, err := e.Save(v.evidenceDir)
		if err != nil {
			p.line("evidence", "NOT kept: %s", legible(err.Error()))
		} else {
			p.line("evidence", "%s, to be kept: it proves the contradiction to anyone who has the log's key", legible(path))
		}
	}
	_ = v.say(verdict(status), file, p.b.String()) // the status says it too
	return status
}

// say writes about a file.
func (v *verification) say(word, file, text string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%-7s %s\n%s", word, legible(file), text)
	if _, err := fmt.Fprint(v.stdout, b.String()); err != nil {
		return fmt.Errorf("write the answer: %w", err) // nobody has seen it
	}
	return nil
}

func verdict(status int) string {
	switch status {
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
	case errors.Is(err, errUnwitnessed):
		return ExitUnwitnessed
	}
	return ExitError
}
