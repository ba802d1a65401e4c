package check_test

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
)

// exposure is the most that systemd-analyze security may say, in tenths.
const exposure = "15"

// analyze runs systemd-analyze, where it is.
func analyze(t *testing.T, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("LEFT OUT: systemd-analyze is not here")
	}
	out, err := exec.Command("systemd-analyze", args...).CombinedOutput()
	return string(out), err
}

// unitHere writes the unit as lethe.service, with one change, into a folder of its own.
func unitHere(t *testing.T, old, new string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository(t), unitFile))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("the unit does not have %q", old)
	}
	changed := strings.ReplaceAll(string(text), old, new)
	path := filepath.Join(t.TempDir(), "lethe.service")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(changed, "/usr/local/bin/lethe", lethe(t))), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// systemd understands every line of the unit; it finds fault with one that it does not.
func TestSystemdUnderstandsTheUnit(t *testing.T) {
	if out, err := analyze(t, "verify", "--man=no", unitHere(t, "", "")); err != nil || strings.Contains(out, "lethe.service") {
		t.Errorf("verify: %v\n%s", err, out)
	}
	for old, new := range map[string]string{
		"ProtectSystem=strict":   "ProtectSystm=strict",
		"RestrictRealtime=yes":   "RestrictRealtime=perhaps",
		"ExecStart=/usr":         "ExecStart=usr",
		"@privileged @resources": "@privilegd",
	} {
		if out, err := analyze(t, "verify", "--man=no", unitHere(t, old, new)); err == nil && !strings.Contains(out, "lethe.service") {
			t.Errorf("verify finds no fault with %s", new)
		}
	}
}

// The unit leaves little open, and what makes it weaker is seen.
func TestTheUnitIsHardened(t *testing.T) {
	if out, err := analyze(t, "security", "--offline=true", "--threshold="+exposure, unitHere(t, "", "")); err != nil {
		t.Errorf("security: %v\n%s", err, out)
	}
	weak := unitHere(t, "CapabilityBoundingSet=\n", "CapabilityBoundingSet=CAP_SYS_ADMIN CAP_DAC_OVERRIDE\n")
	if out, err := analyze(t, "security", "--offline=true", "--threshold="+exposure, weak); err == nil {
		t.Errorf("security finds no fault with a unit that keeps capabilities:\n%s", out)
	}
}

// filterWord makes this test's own binary load the filter and become another program.
const filterWord = "run-filtered"

// Under the unit's filter of system calls, and without memory that is both written and
// executed, everything goes on: an erasure from end to end, a service that is probed and
// stops, a purge among it.
func TestLetheWorksUnderTheUnitsFilter(t *testing.T) {
	allowed := systemCalls(t)
	filtered := func(names []string, args ...string) *exec.Cmd {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), self, append([]string{filterWord, strings.Join(names, ","), lethe(t)}, args...)...)
		cmd.Dir = t.TempDir()
		return cmd
	}
	if out, err := filtered(allowed, "demo").CombinedOutput(); err != nil || !strings.Contains(string(out), "OK ") {
		t.Errorf("lethe demo: %v\n%s", err, out)
	}
	started(t, filtered(allowed, "serve", "--data", filepath.Join(t.TempDir(), "data"), "--listen", "127.0.0.1:0")).stops(t)
	less := slices.DeleteFunc(slices.Clone(allowed), func(name string) bool { return name == "fsync" || name == "fdatasync" })
	if out, err := filtered(less, "demo").CombinedOutput(); err == nil {
		t.Errorf("the filter does not hold: lethe demo does without fsync\n%s", out)
	}
}

// systemCalls spells out what the unit's SystemCallFilter allows on this machine.
func systemCalls(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository(t), unitFile))
	if err != nil {
		t.Fatal(err)
	}
	out, err := analyze(t, "syscall-filter")
	if err != nil {
		t.Fatal(err)
	}
	sets, name := map[string][]string{}, ""
	for line := range strings.Lines(out) {
		switch word := strings.TrimSpace(line); {
		case strings.HasPrefix(line, "@"):
			name = word
		case word != "" && !strings.HasPrefix(word, "#"):
			sets[name] = append(sets[name], word)
		}
	}
	allowed := map[string]bool{}
	var set func(name string, to bool)
	set = func(name string, to bool) {
		if !strings.HasPrefix(name, "@") {
			allowed[name] = to
		}
		for _, below := range sets[name] {
			set(below, to)
		}
	}
	set("@default", true)
	for line := range strings.Lines(string(text)) {
		if list, ok := strings.CutPrefix(strings.TrimSpace(line), "SystemCallFilter="); ok {
			list, refused := strings.CutPrefix(list, "~")
			for _, name := range strings.Fields(list) {
				set(name, !refused)
			}
		}
	}
	here, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(allowed, func(name string, yes bool) bool { return !yes || here.SyscallNames[name] == 0 && name != "read" })
	return slices.Sorted(maps.Keys(allowed))
}

// runFiltered allows this process nothing but the system calls of args[0], and becomes the
// rest of args.
func runFiltered(args []string) {
	const setMDWE, refuseExecGain = 65, 1 // PR_SET_MDWE, since Linux 6.3; MemoryDenyWriteExecute
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setMDWE, refuseExecGain, 0)
	err := seccomp.LoadFilter(seccomp.Filter{NoNewPrivs: true, Flag: seccomp.FilterFlagTSync, Policy: seccomp.Policy{
		DefaultAction: seccomp.ActionErrno,
		Syscalls:      []seccomp.SyscallGroup{{Action: seccomp.ActionAllow, Names: strings.Split(args[0], ",")}},
	}})
	if err == nil {
		err = syscall.Exec(args[1], args[1:], os.Environ())
	}
	_, _ = bytes.NewBufferString("run filtered: " + err.Error() + "\n").WriteTo(os.Stderr)
	os.Exit(1)
}
