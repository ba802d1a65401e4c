package proof_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/note"
)

// A desk is a folder of an auditor's with everything in it that can come in.
type desk struct{ dir string }

func layOut(t *testing.T) desk {
	t.Helper()
	d := desk{t.TempDir()}
	signer, vkey := newKey(t, 1, origin)
	stranger, _ := newKey(t, 2, origin)
	policy, ws := twoOfThree(t)
	clock := newClock(t, 1, noon+1)
	l := newTree(t, 40)
	f := l.fork(t, 20, 40)
	put := func(name string, text []byte) { write(t, filepath.Join(d.dir, name), text) }
	put("log.pub", []byte(vkey+"\n"))
	put("policy", policy.Text())
	put("subject.key", []byte(strings.Repeat("07", 32)+"\n"))
	put("plain.tlog-proof", l.certificate(t, 3, 30, signer).Text())
	put("seen.tlog-proof", l.certificate(t, 3, 30, signer, clock, ws[0], ws[1]).Text())
	put("lonely.tlog-proof", l.certificate(t, 3, 30, signer, clock, ws[2]).Text())
	put("forged.tlog-proof", bytes.Replace(l.certificate(t, 3, 30, signer).Text(), []byte("index 3"), []byte("index 4"), 1))
	put("stranger.tlog-proof", l.certificate(t, 3, 30, stranger).Text())
	put("split.tlog-proof", f.certificate(t, 3, 30, signer, ws[0], ws[1]).Text())
	put("key.tlog-proof", l.certificate(t, 4, 30, signer).Text())
	put("ours.evidence", evidence(t, policy, f, l, 30, 40, signer).Text())
	put("forged.evidence", evidence(t, policy, l, l, 30, 40, signer).Text())
	kept := &tree{}
	kept.append(t, encode(t, erasedAlone()))
	put("residue.tlog-proof", kept.certificate(t, 0, 1, signer).Text())
	put("noise", []byte("hello\n"))
	for name, l := range map[string]*tree{"log": l, "fork": f} {
		for _, path := range []string{"checkpoint", "tile/0/000.p/40", "tile/entries/000.p/40"} {
			b, err := l.fetch(t, 40, signer)(path)
			if err != nil {
				t.Fatal(err)
			}
			put(filepath.Join(name, path), b)
		}
	}
	return d
}

// run runs the command in the desk's folder, whose files are named without it
// in what comes out.
func (d desk) run(t *testing.T, args string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	t.Chdir(d.dir)
	web := func(string) proof.Fetch { return nil }
	status := proof.RunVerify("lethe-verify", strings.Fields(args), web, &out, &out)
	return status, out.String()
}

func TestAnswersAreTheGoldenOnes(t *testing.T) {
	for _, row := range []struct {
		name   string
		args   string
		status int
	}{
		{"key", "plain.tlog-proof --key log.pub", 0},
		{"residue", "residue.tlog-proof --key log.pub", 0},
		{"met", "seen.tlog-proof --policy policy", 0},
		{"unmet", "lonely.tlog-proof --policy policy", 10},
		{"unseen", "plain.tlog-proof --policy policy", 10},
		{"refused", "forged.tlog-proof stranger.tlog-proof noise --key log.pub", 5},
		{"gravest", "seen.tlog-proof lonely.tlog-proof missing --policy policy", 1},
		{"subject", "plain.tlog-proof --key log.pub --subject alice --subject-key subject.key", 0},
		{"nobody", "plain.tlog-proof --key log.pub --subject bob --subject-key subject.key", 5},
		{"split", "seen.tlog-proof split.tlog-proof --policy policy", 30},
		{"published", "seen.tlog-proof --policy policy --log log", 0},
		{"forked", "seen.tlog-proof --policy policy --log fork", 30},
		{"evidence", "ours.evidence forged.evidence --key log.pub", 30},
		{"forged-evidence", "forged.evidence --key log.pub", 5},
	} {
		t.Run(row.name, func(t *testing.T) {
			file, err := filepath.Abs(filepath.Join("testdata", "answers", row.name+".txt"))
			if err != nil {
				t.Fatal(err)
			}
			status, out := layOut(t).run(t, row.args)
			got := "$ lethe-verify " + row.args + "\n" + out
			if status != row.status {
				t.Errorf("status %d, want %d\n%s", status, row.status, got)
			}
			if os.Getenv("UPDATE_GOLDEN") != "" {
				write(t, file, []byte(got))
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestForksAreKeptAsEvidence(t *testing.T) {
	d := layOut(t)
	for _, args := range []string{
		"seen.tlog-proof split.tlog-proof --policy policy --evidence kept",
		"split.tlog-proof seen.tlog-proof plain.tlog-proof --key log.pub --evidence kept",
		"plain.tlog-proof --key log.pub --log fork --evidence kept",
	} {
		if err := os.MkdirAll(filepath.Join(d.dir, "kept"), 0o755); err != nil {
			t.Fatal(err)
		}
		if status, out := d.run(t, args); status != proof.ExitDiverged || strings.Count(out, "FORKED") != 1 {
			t.Fatalf("%s: status %d\n%s", args, status, out)
		}
		files, err := filepath.Glob(filepath.Join(d.dir, "kept", "fork-log.example-lethe-30*.evidence"))
		if err != nil || len(files) != 1 {
			t.Fatalf("%s: %v, %v", args, files, err)
		}
		status, out := d.run(t, files[0]+" --key log.pub")
		if status != proof.ExitDiverged || !strings.Contains(out, "two histories that exclude each other") {
			t.Errorf("%s: status %d\n%s", args, status, out)
		}
		if err := os.RemoveAll(filepath.Join(d.dir, "kept")); err != nil {
			t.Fatal(err)
		}
	}
	// That it cannot be kept changes nothing about what was found.
	status, out := d.run(t, "seen.tlog-proof split.tlog-proof --key log.pub --evidence missing")
	if status != proof.ExitDiverged || !strings.Contains(out, "NOT kept") {
		t.Errorf("status %d\n%s", status, out)
	}
}

func TestAllFilesAreComparedWithOneStateOfTheLog(t *testing.T) {
	d := layOut(t)
	signer, _ := newKey(t, 1, origin)
	l := newTree(t, 40)
	write(t, filepath.Join(d.dir, "early.tlog-proof"), l.certificate(t, 3, 20, signer).Text())
	fetched := map[string]int{}
	web := func(string) proof.Fetch {
		return func(path string) ([]byte, error) {
			fetched[path]++
			return l.fetch(t, 40, signer)(path)
		}
	}
	t.Chdir(d.dir)
	args := strings.Fields("seen.tlog-proof early.tlog-proof --key log.pub")
	const apart = "heads of different sizes were not compared"
	var out, talk bytes.Buffer
	if status := proof.RunVerify("lethe-verify", args, web, &out, &talk); status != 0 || !strings.Contains(talk.String(), apart) {
		t.Errorf("without --log: status %d\n%s%s", status, &out, &talk)
	}
	talk.Reset()
	args = append(args, "--log", "https://log.example/")
	if status := proof.RunVerify("lethe-verify", args, web, &out, &talk); status != 0 || talk.Len() > 0 {
		t.Errorf("with --log: status %d\n%s%s", status, &out, &talk)
	}
	for path, n := range fetched {
		if n != 1 {
			t.Errorf("%s was fetched %d times", path, n)
		}
	}
	if len(fetched) < 2 {
		t.Errorf("fetched %v", fetched)
	}
}

func TestGravestFileGivesTheStatus(t *testing.T) {
	d := layOut(t)
	for _, row := range []struct {
		args   string
		status int
	}{
		{"seen.tlog-proof --policy policy", 0},
		{"seen.tlog-proof lonely.tlog-proof --policy policy", 10},
		{"missing lonely.tlog-proof --policy policy", 1},
		{"lonely.tlog-proof missing --policy policy", 1},
		{"forged.tlog-proof missing lonely.tlog-proof --policy policy", 5},
		{"lonely.tlog-proof missing forged.tlog-proof --policy policy", 5},
		{"ours.evidence forged.tlog-proof missing --policy policy", 30},
		{"forged.tlog-proof ours.evidence --policy policy", 30},
	} {
		if status, out := d.run(t, row.args); status != row.status {
			t.Errorf("%s: status %d, want %d\n%s", row.args, status, row.status, out)
		}
	}
}

func TestSubjectsAreTriedByEveryName(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "log.pub"), []byte(vkey))
	d := desk{dir}
	key := strings.Repeat("07", 32)
	for _, field := range []string{"user_id", "agent_id", "app_id", "run_id"} {
		e := completed()
		selector, err := proof.CanonicalSelector([]byte(`{"` + field + `":"ann\"\u00e9"}`))
		if err != nil {
			t.Fatal(err)
		}
		e.Subject = proof.SubjectCommitment(subjectKey(), selector)
		var l tree
		l.append(t, encode(t, e))
		write(t, filepath.Join(dir, "c"), l.certificate(t, 0, 1, []note.Signer{signer}...).Text())
		status, out := d.run(t, "c --key log.pub --subject ann\"é --subject-key "+key)
		if status != 0 || !strings.Contains(out, "matches the name and key you gave, as "+field+"\n") || strings.Contains(out, "ann") {
			t.Errorf("%s: status %d\n%s", field, status, out)
		}
	}
}

func TestUsageRepeatsNothing(t *testing.T) {
	d := layOut(t)
	key := strings.Repeat("07", 32)
	secret := regexp.MustCompile("secret|0707|alice@")
	for _, row := range []struct {
		args   string
		status int
		says   string
	}{
		{"", 2, "no file given"},
		{"plain.tlog-proof", 2, "--key or --policy is required"},
		{"plain.tlog-proof --key log.pub --policy policy", 2, "exclude each other"},
		{"plain.tlog-proof --key log.pub --subject alice@x", 2, "--subject-key goes together"},
		{"plain.tlog-proof --key log.pub --subject-key " + key, 2, "--subject-key goes together"},
		{"plain.tlog-proof --key log.pub --subject alice@x --selector-file s --subject-key " + key, 2, "exclude each other"},
		{"plain.tlog-proof --secret=alice@x", 2, "a flag that is not known"},
		{"plain.tlog-proof --key", 2, "has no value"},
		{"plain.tlog-proof --key log.pub --subject alice@x --subject-key " + key + "secret", 1, "no such file, and not 64"},
		{"plain.tlog-proof --key log.pub --subject alice@x --subject-key log.pub", 1, "want 64 hexadecimal digits"},
		{"plain.tlog-proof --key log.pub --subject \xff --subject-key " + key, 1, "UTF-8"},
		{"plain.tlog-proof --policy log.pub", 1, "policy, line 1"},
		{"plain.tlog-proof --key policy", 1, "verifier key, line 1"},
		{"key.tlog-proof --key log.pub --subject alice@x --subject-key " + key, 1, "has none"},
	} {
		status, out := d.run(t, row.args)
		if status != row.status || !strings.Contains(out, row.says) || secret.MatchString(out) {
			t.Errorf("%s: status %d, want %d with %q\n%s", row.args, status, row.status, row.says, out)
		}
	}
}
