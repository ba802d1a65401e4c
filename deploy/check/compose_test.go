package check_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	check "deploycheck"
)

// A host runs what compose.yaml says without Docker: each service is a process of this
// machine, and what it sees of the repository, of its secrets and of its volume is in
// folders of the test's own.
type host struct {
	*testing.T
	dir     string // of the test; its folder secrets is /run/secrets
	project *types.Project
}

// Compose's story, from its secrets to a certificate: Redis by its command line and the
// list of its users, a database made by its script, Lethe's own configuration, each
// probed as it is there.
func TestComposesServicesWorkTogether(t *testing.T) {
	for _, name := range []string{"redis-server", "redis-cli", "psql"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("LEFT OUT: %s is not here", name)
		}
	}
	binaries, err := filepath.Glob("/usr/lib/postgresql*/*/bin/initdb")
	if err != nil || len(binaries) == 0 {
		t.Skip("LEFT OUT: PostgreSQL is not here")
	}
	project, err := check.Project(repository(t))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "compose-") // short, for a socket's path is
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	h := &host{T: t, dir: dir, project: project}
	h.must(os.Chmod(dir, 0o755))
	h.run("", exec.Command(filepath.Join(repository(t), "deploy/compose/secrets"), filepath.Join(dir, "secrets")))
	redis := h.redis()
	h.postgres(filepath.Dir(slices.Max(binaries)))
	config := h.lethe(redis)

	token := filepath.Join(dir, "admin.token")
	made := h.run("", exec.Command(lethe(t), "token", "create", "--role", "admin", "--name", "ops", "--config", config))
	h.must(os.WriteFile(token, made, 0o600))
	s := started(t, exec.Command(lethe(t), "serve", "--config", config, "--listen", "0.0.0.0:0"))
	h.run("ready\n", exec.Command(lethe(t), "health", "--ready", "--server", s.url))
	id := h.run("", exec.Command(lethe(t), "submit", "--id", "one", "--wait", "--server", s.url, "--token-file", token))
	certificate := h.run("", exec.Command(lethe(t), "certificate", strings.TrimSpace(string(id)), "--server", s.url, "--token-file", token))
	if !bytes.HasPrefix(certificate, []byte("c2sp.org/tlog-proof@v1")) {
		t.Errorf("no certificate: %.80s", certificate)
	}
	s.stops(t)
}

func (h *host) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// run runs a command, wants its end to be good, and what it prints to be so if that is
// said.
func (h *host) run(want string, cmd *exec.Cmd) []byte {
	h.Helper()
	var talk bytes.Buffer
	cmd.Stderr = &talk
	out, err := cmd.Output()
	if err != nil || want != "" && string(out) != want {
		h.Fatalf("%s: %v\n%s%s", filepath.Base(cmd.Path), err, out, &talk)
	}
	return out
}

// start starts a server that is killed at the end, and waits until probe is content with
// it, or it ends.
func (h *host) start(cmd *exec.Cmd, probe func() bool) bool {
	h.Helper()
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	h.must(cmd.Start())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	h.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // both stop at once, and leave no shared memory behind
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			_ = cmd.Process.Kill()
		}
	})
	for range 600 {
		select {
		case <-ended:
			h.Logf("%s has ended: %s", filepath.Base(cmd.Path), &said)
			return false
		case <-time.After(100 * time.Millisecond):
		}
		if probe() {
			return true
		}
	}
	return false
}

// here puts the test's folders in the place of a container's.
func (h *host) here(text string) string {
	return strings.ReplaceAll(text, "/run/secrets/", filepath.Join(h.dir, "secrets")+"/")
}

// redis runs the service redis on some port, until its own healthcheck is content.
func (h *host) redis() (addr string) {
	h.Helper()
	s := h.project.Services["redis"]
	volume := filepath.Join(h.dir, "redis")
	h.must(os.Mkdir(volume, 0o700))
	for range 5 { // a port may be taken
		port := fmt.Sprint(20000 + rand.IntN(10000))
		args := slices.Concat(s.Command[1:], []string{"--bind", "127.0.0.1", "--port", port})
		for i := range args {
			args[i] = h.here(args[i])
			if args[i] == "/data" {
				args[i] = volume
			}
		}
		probe := strings.ReplaceAll(h.here(s.HealthCheck.Test[1]), "$$", "$")
		probe = strings.ReplaceAll(probe, "redis-cli", "redis-cli -p "+port)
		if h.start(exec.Command(s.Command[0], args...), func() bool { return exec.Command("/bin/sh", "-c", probe).Run() == nil }) {
			return net.JoinHostPort("127.0.0.1", port)
		}
	}
	h.Fatal("redis does not get healthy")
	return ""
}

// postgres runs the service postgres on a socket, with the database that its script makes
// as the image would run it, until its own healthcheck is content.
func (h *host) postgres(bin string) {
	h.Helper()
	s := h.project.Services["postgres"]
	volume := filepath.Join(h.dir, "pg")
	h.must(os.Mkdir(volume, 0o700))
	server := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir = "/"
		if who := h.unprivileged(); who != nil {
			h.must(os.Chown(volume, int(who.Uid), int(who.Gid)))
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who}
		}
		return cmd
	}
	data := filepath.Join(volume, "data")
	initial := append([]string{"-D", data, "-U", "postgres", "--auth-local=trust", "--no-sync"}, strings.Fields(*s.Environment["POSTGRES_INITDB_ARGS"])...)
	h.run("", server("initdb", initial...))
	h.must(os.Chmod(volume, 0o755))
	ready := func(args ...string) bool {
		return exec.Command(filepath.Join(bin, "pg_isready"), append([]string{"-q", "-h", volume}, args...)...).Run() == nil
	}
	if !h.start(server("postgres", "-D", data, "-k", volume, "-c", "listen_addresses="), func() bool { return ready("-U", "postgres") }) {
		h.Fatal("postgres does not get ready")
	}
	script, err := os.ReadFile(filepath.Join(repository(h), "deploy/compose/postgres-init.sh"))
	h.must(err)
	cmd := exec.Command("/bin/bash", "-c", h.here(string(script)))
	cmd.Env = append(os.Environ(), "PGHOST="+volume)
	h.run("", cmd)
	if probe := s.HealthCheck.Test; !ready(probe[slices.Index(probe, "-U"):]...) {
		h.Errorf("postgres is not healthy by %v", probe)
	}
}

// unprivileged is somebody of this machine as whom PostgreSQL runs, since it does not as
// root; nil for who runs the test.
func (h *host) unprivileged() *syscall.Credential {
	h.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	who, err := user.Lookup("postgres")
	if err != nil {
		who, err = user.Lookup("nobody")
	}
	h.must(err)
	uid, err := strconv.ParseUint(who.Uid, 10, 32)
	h.must(err)
	gid, err := strconv.ParseUint(who.Gid, 10, 32)
	h.must(err)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// lethe writes the configuration of the service lethe with this machine's addresses.
func (h *host) lethe(redis string) string {
	h.Helper()
	text, err := os.ReadFile(filepath.Join(repository(h), "deploy/compose/lethe.yaml"))
	h.must(err)
	for container, here := range map[string]string{"redis:6379": redis, "/var/lib/lethe": filepath.Join(h.dir, "lethe")} {
		if !bytes.Contains(text, []byte(container)) {
			h.Fatalf("the configuration does not name %s", container)
		}
		text = bytes.ReplaceAll(text, []byte(container), []byte(here))
	}
	h.must(os.Mkdir(filepath.Join(h.dir, "lethe"), 0o700))
	ledger := filepath.Join(h.dir, "secrets/ledger")
	at, err := os.ReadFile(ledger)
	h.must(err)
	u, err := url.Parse(strings.TrimSpace(string(at)))
	h.must(err)
	u.Host, u.RawQuery = "", url.Values{"host": {filepath.Join(h.dir, "pg")}}.Encode()
	h.must(os.Remove(ledger))
	h.must(os.WriteFile(ledger, []byte(u.String()), 0o600))
	config := filepath.Join(h.dir, "lethe.yaml")
	h.must(os.WriteFile(config, []byte(h.here(string(text))), 0o600))
	return config
}
