package check

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

const composeFile = "deploy/compose.yaml"

// secretsFolder is where deploy/compose/secrets puts what it makes, in deploy/.
const secretsFolder = "compose/secrets.d/"

// Project reads the Compose file as Compose does: against its schema.
func Project(root string) (*types.Project, error) {
	path := filepath.Join(root, composeFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  filepath.Dir(path),
		ConfigFiles: []types.ConfigFile{{Filename: path, Content: text}},
		Environment: types.Mapping{},
	})
}

// Compose checks the Compose file: each service can do little, is reached from this
// machine alone, and finds the files that it mounts.
func Compose(root string) error {
	p := &Problems{where: composeFile}
	all, err := Project(root)
	if err != nil {
		p.add("%v", err)
		return p.err()
	}
	for _, s := range all.Services {
		in := p.in("service " + s.Name)
		in.image(s.Image)
		in.nobody(s.User)
		in.confined(s)
		in.reached(s)
		in.mounts(filepath.Join(root, filepath.Dir(composeFile)), s)
		for name, value := range s.Environment {
			if value != nil {
				in.environment(name, *value)
			}
		}
		for _, needed := range s.DependsOn {
			if needed.Condition != types.ServiceConditionHealthy {
				in.add("depends on another that has only been started: wait for service_healthy")
			}
		}
		p.join(in)
	}
	p.secrets(root, all)
	return p.err()
}

// confined checks what a service may do to its host.
func (p *Problems) confined(s types.ServiceConfig) {
	if !s.ReadOnly {
		p.add("its root can be written: read_only")
	}
	if !slices.Contains(s.CapDrop, "ALL") || len(s.CapAdd) > 0 {
		p.add("keeps capabilities: cap_drop: [ALL]")
	}
	if !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
		p.add("may gain privileges: security_opt no-new-privileges:true")
	}
	if s.Privileged || s.NetworkMode == "host" || s.Pid == "host" || s.Ipc == "host" {
		p.add("shares the host's namespaces, or has all its privileges")
	}
	if s.MemLimit == 0 || s.PidsLimit == 0 {
		p.add("has no bound on memory or processes: mem_limit, pids_limit")
	}
	if core := s.Ulimits["core"]; core == nil || core.Single+core.Hard+core.Soft != 0 {
		p.add("may leave core dumps: ulimits core 0")
	}
	if s.Logging == nil || s.Logging.Options["max-size"] == "" || s.Logging.Options["max-file"] == "" {
		p.add("its log grows without end: logging with max-size and max-file")
	}
	if s.StopGracePeriod == nil || time.Duration(*s.StopGracePeriod) < drain {
		p.add("may be killed before it has stopped: stop_grace_period of %v", drain)
	}
	if s.HealthCheck == nil || s.HealthCheck.Disable || len(s.HealthCheck.Test) < 2 {
		p.add("has no healthcheck")
	}
}

// reached checks from where a service is reached.
func (p *Problems) reached(s types.ServiceConfig) {
	for _, port := range s.Ports {
		if at, err := netip.ParseAddr(port.HostIP); err != nil || !at.IsLoopback() {
			p.add("port %d is published on %q: put 127.0.0.1: before it", port.Target, port.HostIP)
		}
	}
}

// mounts checks that what is mounted from the repository is in it, and read only.
func (p *Problems) mounts(dir string, s types.ServiceConfig) {
	for _, v := range s.Volumes {
		if v.Type != types.VolumeTypeBind {
			continue
		}
		if _, err := os.Stat(v.Source); err != nil {
			p.add("mounts %s, which is not there: Docker would make a folder of it", strings.TrimPrefix(v.Source, dir+"/"))
		}
		if !v.ReadOnly {
			p.add("may write into the repository: %s", v.Target)
		}
	}
}

// secrets checks that each is a file that deploy/compose/secrets makes, and that each
// of those is somebody's.
func (p *Problems) secrets(root string, all *types.Project) {
	dir, err := os.MkdirTemp("", "lethe-secrets-")
	if err != nil {
		p.add("%v", err)
		return
	}
	defer os.RemoveAll(dir)
	if out, err := exec.Command(filepath.Join(root, "deploy/compose/secrets"), dir).CombinedOutput(); err != nil {
		p.add("compose/secrets: %v: %s", err, out)
		return
	}
	used := map[string]bool{}
	for name, s := range all.Secrets {
		if s.Environment != "" || s.File == "" {
			p.add("the secret %s is not a file", name)
			continue
		}
		made, ok := strings.CutPrefix(s.File, filepath.Join(root, "deploy", secretsFolder)+"/")
		if _, err := os.Stat(filepath.Join(dir, made)); !ok || err != nil {
			p.add("the secret %s is a file that compose/secrets does not make", name)
		}
		used[name] = false
	}
	for _, s := range all.Services {
		for _, secret := range s.Secrets {
			used[secret.Source] = true
		}
	}
	for name, mounted := range used {
		if !mounted {
			p.add("the secret %s is nobody's", name)
		}
	}
}
