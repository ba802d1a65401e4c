package witness_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lethe/audit/witness"
)

// used is a witness that has cosigned size 40 of a log, and was stopped.
func used(t *testing.T) (witness.Options, *tree) {
	t.Helper()
	log := newTree(t, 1, 64, noFork)
	o := options(t, log.verifyKey())
	s, err := witness.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, status := s.Answer(log.ask(0, 40)); status != 200 {
		t.Fatal(status)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return o, log
}

func TestAWitnessRemembersOverARestart(t *testing.T) {
	o, log := used(t)
	o.Name = "another.example/name" // an existing key has its own
	s := open(t, o)
	if !strings.HasPrefix(s.Key(), "witness.example/w1+") {
		t.Errorf("the key is %s", s.Key())
	}
	if _, status := s.Answer(log.ask(0, 64)); status != 409 {
		t.Errorf("from size 0: status %d, want 409", status)
	}
	if _, status := s.Answer(log.ask(40, 64)); status != 200 {
		t.Errorf("from size 40: status %d, want 200", status)
	}
	for name, mode := range map[string]os.FileMode{o.Key: 0o600, o.State: os.ModeDir | 0o700, filepath.Join(o.State, stateName(origin)): 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode() != mode {
			t.Errorf("%s has mode %v, %v, want %v", name, info.Mode(), err, mode)
		}
	}
}

func TestAStateThatIsNotWholeIsRefused(t *testing.T) {
	head := filepath.Join("state", stateName(origin))
	for name, harm := range map[string]func(t *testing.T, dir string){
		"the folder is lost":  func(t *testing.T, dir string) { check(t, os.RemoveAll(filepath.Join(dir, "state"))) },
		"the folder is empty": func(t *testing.T, dir string) { empty(t, filepath.Join(dir, "state")) },
		"the key is lost":     func(t *testing.T, dir string) { check(t, os.Remove(filepath.Join(dir, "witness.key"))) },
		"the index is lost":   func(t *testing.T, dir string) { check(t, os.Remove(filepath.Join(dir, "state", "witness"))) },
		"the index and the key are": func(t *testing.T, dir string) {
			check(t, errors.Join(os.Remove(filepath.Join(dir, "state", "witness")), os.Remove(filepath.Join(dir, "witness.key"))))
		},
		"the head is lost": func(t *testing.T, dir string) { check(t, os.Remove(filepath.Join(dir, head))) },
		"the head and the key are": func(t *testing.T, dir string) {
			check(t, errors.Join(os.Remove(filepath.Join(dir, head)), os.Remove(filepath.Join(dir, "witness.key"))))
		},
		"the index is cut":   func(t *testing.T, dir string) { cut(t, filepath.Join(dir, "state", "witness")) },
		"the head is empty":  func(t *testing.T, dir string) { check(t, os.Truncate(filepath.Join(dir, head), 0)) },
		"the head is cut":    func(t *testing.T, dir string) { check(t, os.Truncate(filepath.Join(dir, head), 100)) },
		"the index is empty": func(t *testing.T, dir string) { check(t, os.Truncate(filepath.Join(dir, "state", "witness"), 0)) },
		"the head is another log's": func(t *testing.T, dir string) {
			rename(t, filepath.Join(dir, head), filepath.Join(dir, "state", stateName("other")))
		},
		"the head is one more log's": func(t *testing.T, dir string) {
			link(t, filepath.Join(dir, head), filepath.Join(dir, "state", stateName("other")))
		},
		"the head is huge": func(t *testing.T, dir string) { check(t, os.Truncate(filepath.Join(dir, head), 1<<30)) },
		"the head is not cosigned": func(t *testing.T, dir string) {
			check(t, os.WriteFile(filepath.Join(dir, head), sealed(newTree(t, 1, 9, noFork).head(9)), 0o600))
		},
		"the folder is another witness": func(t *testing.T, dir string) { other(t, dir) },
		"others may read the key":       func(t *testing.T, dir string) { check(t, os.Chmod(filepath.Join(dir, "witness.key"), 0o640)) },
	} {
		t.Run(name, func(t *testing.T) {
			o, _ := used(t)
			harm(t, filepath.Dir(o.Key))
			_, hadKey := os.Stat(o.Key)
			_, hadState := os.Stat(o.State)
			s, err := witness.Open(o)
			if err == nil {
				s.Close()
				t.Fatal("the witness starts")
			}
			if _, err := os.Stat(o.Key); (err == nil) != (hadKey == nil) {
				t.Error("a key was made")
			}
			if _, err := os.Stat(o.State); (err == nil) != (hadState == nil) {
				t.Error("a folder was made")
			}
			if !errors.Is(err, witness.ErrState) && name != "others may read the key" {
				t.Errorf("%v does not wrap ErrState", err)
			}
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func cut(t *testing.T, path string) {
	info, err := os.Stat(path)
	check(t, err)
	check(t, os.Truncate(path, info.Size()-1))
}

func rename(t *testing.T, from, to string) { check(t, os.Rename(from, to)) }
func link(t *testing.T, from, to string)   { check(t, os.Link(from, to)) }

// sealed is a state file with a good digest.
func sealed(head []byte) []byte { return fmt.Appendf(nil, "sha256 %x\n%s", sha256.Sum256(head), head) }

func empty(t *testing.T, dir string) {
	check(t, os.RemoveAll(dir))
	check(t, os.Mkdir(dir, 0o700))
}

func other(t *testing.T, dir string) {
	o, _ := used(t)
	check(t, os.RemoveAll(filepath.Join(dir, "state")))
	rename(t, o.State, filepath.Join(dir, "state"))
}

func TestAKeyIsRefusedWithTheFolderOfAnother(t *testing.T) {
	a, b := options(t), options(t)
	open(t, a).Close()
	open(t, b).Close()
	a.State = b.State // neither has cosigned anything
	if s, err := witness.Open(a); !errors.Is(err, witness.ErrState) {
		t.Errorf("%v, %v, want ErrState", s, err)
	}
}

func TestAChangedByteOfTheStateIsFound(t *testing.T) {
	o, _ := used(t)
	for _, name := range []string{stateName(origin), "witness"} {
		path := filepath.Join(o.State, name)
		sound, err := os.ReadFile(path)
		check(t, err)
		for i := 0; i < len(sound); i += 1 + len(sound)/300 {
			spoilt := bytes.Clone(sound)
			spoilt[i] ^= 1
			check(t, os.WriteFile(path, spoilt, 0o600))
			if s, err := witness.Open(o); err == nil {
				s.Close()
				t.Fatalf("%s: byte %d changed, and the witness starts:\n%s", name, i, spoilt)
			}
		}
		check(t, os.WriteFile(path, sound, 0o600))
	}
	open(t, o)
}

func TestABeginningThatWasCutShortIsBegunAnew(t *testing.T) {
	log := newTree(t, 1, 5, noFork)
	o := options(t, log.verifyKey())
	open(t, o).Close()
	check(t, os.Remove(o.Key)) // it is written last
	s := open(t, o)
	if _, status := s.Answer(log.ask(0, 5)); status != 200 {
		t.Error(status)
	}
}

func TestAHeadThatWasWrittenJustBeforeACrashCounts(t *testing.T) {
	o, log := used(t)
	index := filepath.Join(o.State, "witness")
	text, err := os.ReadFile(index)
	check(t, err)
	key, _, _ := bytes.Cut(text, []byte("\n"))
	check(t, os.WriteFile(index, append(key, '\n'), 0o600))
	check(t, os.WriteFile(filepath.Join(o.State, ".lethe-tmp-1"), []byte("half"), 0o600))
	s := open(t, o)
	if _, status := s.Answer(log.ask(0, 5)); status != 409 {
		t.Errorf("status %d, want 409", status)
	}
	if again, err := os.ReadFile(index); err != nil || !bytes.Equal(again, text) {
		t.Errorf("the index is %q, %v, want %q", again, err, text)
	}
	if _, err := os.Stat(filepath.Join(o.State, ".lethe-tmp-1")); err == nil {
		t.Error("half a file was left")
	}
}

func TestTwoProcessesCannotShareAState(t *testing.T) {
	o, _ := used(t)
	s := open(t, o)
	if again, err := witness.Open(o); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Fatalf("opened twice: %v, %v", again, err)
	}
	s.Close()
	open(t, o)
}

func TestAHeadThatCannotBeKeptIsNotCosigned(t *testing.T) {
	if os.Geteuid() == 0 { // root writes anywhere, so the folder is taken away
		o, log := used(t)
		s := open(t, o)
		rename(t, o.State, o.State+".gone")
		if line, status := s.Answer(log.ask(40, 64)); status != 500 || line != "" {
			t.Errorf("status %d, %q, want 500", status, line)
		}
		rename(t, o.State+".gone", o.State)
		if _, status := s.Answer(log.ask(40, 50)); status != 200 {
			t.Errorf("when the folder is back: status %d, want 200 from the old size", status)
		}
		return
	}
	o, log := used(t)
	s := open(t, o)
	check(t, os.Chmod(o.State, 0o500))
	if line, status := s.Answer(log.ask(40, 64)); status != 500 || line != "" {
		t.Errorf("status %d, %q, want 500", status, line)
	}
	check(t, os.Chmod(o.State, 0o700))
}

// When the head is in place and the rest fails, nothing is said any more: what
// a crash would leave is not known.
func TestAfterADoubtNothingIsSaid(t *testing.T) {
	o, log := used(t)
	next := newTree(t, 3, 5, noFork)
	next.name = "log.example/next"
	o.Logs = append(o.Logs, next.verifyKey())
	s := open(t, o)
	index := filepath.Join(o.State, "witness")
	rename(t, index, index+".gone")
	check(t, os.MkdirAll(filepath.Join(index, "below"), 0o700)) // cannot be replaced
	if line, status := s.Answer(next.ask(0, 5)); status != 500 || line != "" {
		t.Errorf("status %d, %q, want 500", status, line)
	}
	check(t, os.RemoveAll(index))
	rename(t, index+".gone", index)
	if line, status := s.Answer(next.ask(0, 5)); status != 500 || line != "" {
		t.Errorf("asked again: status %d, %q, want 500", status, line)
	}
	if status, _ := get(t, serve(t, s)+"/checkpoint/"+stateName(next.name)); status != 500 {
		t.Errorf("GET: status %d, want 500", status)
	}
	if status, _ := get(t, serve(t, s)+"/readyz"); status != 503 {
		t.Errorf("GET /readyz: status %d, want 503", status)
	}
	if _, status := s.Answer(log.ask(40, 64)); status != 200 {
		t.Errorf("the other log: status %d, want 200", status)
	}
	s.Close()
	s = open(t, o) // which finds the head, and enters it
	if _, status := s.Answer(next.ask(5, 5)); status != 200 {
		t.Errorf("started again: status %d, want 200", status)
	}
}

const killedState = "LETHE_TEST_WITNESS_STATE"

// A process that is killed when the head is on disk and the client has no
// answer yet must know, when it comes back, what it was about to say.
func TestKilledBetweenDiskAndAnswerItRemembers(t *testing.T) {
	if dir := os.Getenv(killedState); dir != "" {
		dieAfterPersisting(t, dir)
	}
	o, log := used(t)
	for n := int64(41); n < 46; n++ {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), killedState+"="+filepath.Dir(o.Key))
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("the process was not killed: %v\n%s", err, out)
		}
		s := open(t, o)
		if _, status := s.Answer(log.ask(n-1, 60)); status != 409 {
			t.Fatalf("asked from size %d, which the dead process left behind: status %d, want 409", n-1, status)
		}
		if _, status := s.Answer(log.ask(n, n)); status != 200 {
			t.Fatalf("asked from size %d, which it had written: status %d, want 200", n, status)
		}
		s.Close()
	}
}

func dieAfterPersisting(t *testing.T, dir string) {
	log := newTree(t, 1, 64, noFork)
	o := options(t, log.verifyKey())
	o.Key, o.State = filepath.Join(dir, "witness.key"), filepath.Join(dir, "state")
	s := open(t, o)
	s.OnPersist(func() { syscall.Kill(os.Getpid(), syscall.SIGKILL) })
	for old := int64(40); old < 64; old++ {
		s.Answer(log.ask(old, old+1))
	}
	t.Fatal("nothing was written")
}
