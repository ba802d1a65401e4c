package check

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	unitFile   = "deploy/systemd/lethe.service"
	unitConfig = "deploy/systemd/lethe.yaml"
	// credentials is where systemd shows a unit's credentials to its process.
	credentials = "/run/credentials/lethe.service/"
)

// A unit is a unit file: its lines by "Section.Name", in their order.
type unit map[string][]string

// readUnit reads the lines of a unit file. What is in them is systemd-analyze's to check.
func readUnit(path string) (unit, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	u, section := unit{}, ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		name, value, ok := strings.Cut(line, "=")
		switch {
		case strings.HasPrefix(line, "["):
			section = strings.Trim(line, "[]")
		case ok && !strings.HasPrefix(line, "#"):
			u[section+"."+name] = append(u[section+"."+name], value)
		}
	}
	return u, nil
}

// Unit checks the unit: what it must say for Lethe to be confined, to be able to work,
// and to stop in good order, and that its credentials are those of its configuration.
func Unit(root string) error {
	p := &Problems{where: unitFile}
	u, err := readUnit(filepath.Join(root, unitFile))
	if err != nil {
		p.add("%v", err)
		return p.err()
	}
	for name, want := range map[string]string{
		"NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes", "PrivateDevices": "yes",
		"MemoryDenyWriteExecute": "yes", "RestrictNamespaces": "yes", "LockPersonality": "yes", "CapabilityBoundingSet": "",
		"SystemCallArchitectures": "native", "LimitCORE": "0", "UMask": "0077", "StateDirectory": "lethe", "StateDirectoryMode": "0700",
		"TimeoutStopSec": "30", "StandardOutput": "journal", "StandardError": "journal", "Restart": "on-failure", "RestartPreventExitStatus": "2 5 30",
	} {
		if got := u["Service."+name]; len(got) != 1 || got[0] != want {
			p.add("%s must be %q, and is %q", name, want, got)
		}
	}
	if filters := u["Service.SystemCallFilter"]; len(filters) == 0 || filters[0] != "@system-service" {
		p.add("SystemCallFilter must begin with @system-service")
	}
	if user := u["Service.User"]; len(user) != 1 || user[0] == "root" || user[0] == "0" {
		p.add("User must be one that is not root")
	}
	for _, e := range u["Service.Environment"] {
		name, value, _ := strings.Cut(e, "=")
		p.environment(name, value)
	}
	p.credentials(root, u)
	return p.err()
}

// credentials checks that the unit loads what its configuration reads, and no more.
func (p *Problems) credentials(root string, u unit) {
	text, err := os.ReadFile(filepath.Join(root, unitConfig))
	if err != nil {
		p.add("%v", err)
		return
	}
	var loaded, read []string
	for _, line := range u["Service.LoadCredential"] {
		name, _, _ := strings.Cut(line, ":")
		loaded = append(loaded, name)
	}
	for _, name := range Paths(string(text)) {
		if credential, ok := strings.CutPrefix(name, credentials); ok {
			read = append(read, credential)
		} else if !strings.HasPrefix(name, "/var/lib/lethe/") {
			p.add("%s reads %s, which is none of the unit's folders", unitConfig, name)
		}
	}
	slices.Sort(read)
	for _, name := range missing(loaded, read...) {
		p.add("%s reads the credential %s, which is not loaded: LoadCredential", unitConfig, name)
	}
	for _, name := range missing(read, loaded...) {
		p.add("loads the credential %s, which nothing reads", name)
	}
}
