package check_test

import (
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	check "deploycheck"
)

// nonroot is the user of the image.
const nonroot = 65532

// scratch is a folder for all tests, removed at the end.
var scratch string

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == filterWord {
		runFiltered(os.Args[2:])
	}
	var err error
	if scratch, err = os.MkdirTemp("", "deploy-check-"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(scratch)
	os.Exit(code)
}

func lethe(t testing.TB) string { return filepath.Join(image(t), "usr/local/bin/lethe") }

// Both files need nothing of the system but its kernel.
func TestTheBinariesAreStatic(t *testing.T) {
	for _, name := range []string{"lethe", "lethe-verify"} {
		f, err := elf.Open(filepath.Join(image(t), "usr/local/bin", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
				t.Errorf("%s is linked dynamically: it has a segment %s", name, p.Type)
			}
		}
		if libs, err := f.ImportedLibraries(); err != nil || len(libs) > 0 {
			t.Errorf("%s needs %v, %v", name, libs, err)
		}
		f.Close()
	}
}

// inRoot runs the image's lethe as the image would: as its user, with nothing to see but
// its own files, none of which it may write, and a data folder and /tmp.
func inRoot(t *testing.T, ctx context.Context, args ...string) *exec.Cmd {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("LEFT OUT: an empty root needs root")
	}
	root := image(t)
	for _, dir := range []string{"tmp", "var/lib/lethe"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(filepath.Join(root, dir), nonroot, nonroot); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(ctx, "/usr/local/bin/lethe", args...)
	cmd.Dir, cmd.Env = "/var/lib/lethe", []string{"PATH=/usr/local/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: nonroot, Gid: nonroot}}
	return cmd
}

func TestTheImageErasesAloneInAnEmptyRoot(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"version", "lethe v1.0.0 go"},
		{"demo", "OK "},
	} {
		out, err := inRoot(t, t.Context(), tt.args).CombinedOutput()
		if err != nil || !strings.Contains(string(out), tt.want) {
			t.Errorf("lethe %s: %v\n%s", tt.args, err, out)
		}
	}
}

// The story of a container: the first token, the start on every address, the probe, the
// stop, which is in good order and within the grace period.
func TestTheImageServesIsProbedAndStops(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository(t), small, "lethe.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(image(t), "etc/lethe/lethe.yaml")
	if err := os.MkdirAll(filepath.Dir(config), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, text, 0o644); err != nil {
		t.Fatal(err)
	}
	serve := []string{"serve", "--config", "/etc/lethe/lethe.yaml", "--listen", "0.0.0.0:0"}
	if out, err := inRoot(t, t.Context(), serve...).CombinedOutput(); err == nil || !strings.Contains(string(out), "without an admin's token") {
		t.Fatalf("it serves strangers without a token: %v\n%s", err, out)
	}
	// The pod of the first start: on loopback, and ready once its ledger and its key are there.
	first := started(t, inRoot(t, t.Context(), append(serve[:3:3], "--listen", "127.0.0.1:0")...))
	if out, err := inRoot(t, t.Context(), "log", "check", "--config", "/etc/lethe/lethe.yaml").CombinedOutput(); err != nil {
		t.Errorf("lethe log check beside the first start: %v\n%s", err, out)
	}
	out, err := inRoot(t, t.Context(), "token", "create", "--role", "admin", "--name", "ops", "--config", "/etc/lethe/lethe.yaml").Output()
	if err != nil || !strings.HasPrefix(string(out), "lethe_") {
		t.Fatalf("the first token: %v", err)
	}
	first.stops(t)
	s := started(t, inRoot(t, t.Context(), serve...))
	for _, args := range [][]string{{"health"}, {"health", "--ready"}} {
		if out, err := inRoot(t, t.Context(), append(args, "--server", s.url)...).CombinedOutput(); err != nil {
			t.Errorf("lethe %s: %v\n%s", args, err, out)
		}
	}
	s.stops(t)
	if out, err := inRoot(t, t.Context(), "health", "--server", s.url).CombinedOutput(); err == nil {
		t.Errorf("lethe health says that what has stopped is well: %s", out)
	}
}

// A server is a lethe that serves.
type server struct {
	cmd *exec.Cmd
	url string
	log *bytes.Buffer
	end chan struct{} // closed when all that it said has been read
}

// started starts a lethe serve and waits until it says where.
func started(t *testing.T, cmd *exec.Cmd) *server {
	t.Helper()
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &server{cmd: cmd, log: &bytes.Buffer{}, end: make(chan struct{})}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	at := make(chan string, 1)
	go func() {
		defer close(s.end)
		for lines := bufio.NewScanner(said); lines.Scan(); {
			s.log.Write(append(lines.Bytes(), '\n'))
			var line struct{ Msg, Listen string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
				at <- line.Listen
			}
		}
	}()
	select {
	case listen := <-at:
		_, port, err := net.SplitHostPort(listen)
		if err != nil {
			t.Fatal(err)
		}
		s.url = "http://127.0.0.1:" + port
	case <-s.end:
		t.Fatalf("it does not serve: %v\n%s", cmd.Wait(), s.log)
	case <-time.After(time.Minute):
		t.Fatal("it does not serve after a minute")
	}
	return s
}

// stops asks the server to stop, and finds fault with another end than the good one.
func (s *server) stops(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.end:
	case <-time.After(30 * time.Second):
		t.Fatal("it is still there 30 s after SIGTERM")
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("it ends with %v\n%s", err, s.log)
	}
}

// Each process of each overlay is told what lethe serve --check accepts, with the roles
// and flags that it is started with, and finds every file in a volume that is mounted.
func TestEveryConfigMapIsAccepted(t *testing.T) {
	overlays, err := check.Overlays(repository(t))
	if err != nil || len(overlays) == 0 {
		t.Fatal(overlays, err)
	}
	for _, overlay := range overlays {
		configs, err := check.Configurations(repository(t), overlay)
		if err != nil || len(configs) == 0 {
			t.Fatal(overlay, configs, err)
		}
		for _, c := range configs {
			if c.Text == "" || len(c.Astray) > 0 {
				t.Errorf("%s, %s: its configuration has %d bytes, and names %v, which no volume has", overlay, c.Of, len(c.Text), c.Astray)
			}
			path := secretsInPlace(t, c.Text)
			args := append(c.Args, "--config", path, "--check")
			if out, err := exec.Command(lethe(t), args...).CombinedOutput(); err != nil || !strings.Contains(string(out), "the configuration is good") {
				t.Errorf("%s, %s: lethe %v: %v\n%s", overlay, c.Of, args, err, out)
			}
		}
	}
}
