package check

import (
	"net"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"sigs.k8s.io/yaml"
)

// Measured checks that Compose's Prometheus asks Lethe where it listens, that its rules
// are mounted where it looks for them, and that Grafana finds Prometheus and its
// dashboards.
func Measured(root string) error {
	p := &Problems{where: composeFile}
	all, err := Project(root)
	if err != nil {
		return nil // Compose says so
	}
	p.prometheus(all)
	p.grafana(all)
	return p.err()
}

// inside returns the file of the repository that a service sees under a path.
func inside(s types.ServiceConfig, name string) (string, bool) {
	for _, v := range s.Volumes {
		if v.Type != types.VolumeTypeBind {
			continue
		}
		if name == v.Target {
			return v.Source, true
		}
		if rest, ok := strings.CutPrefix(name, v.Target+"/"); ok {
			return filepath.Join(v.Source, rest), true
		}
	}
	return "", false
}

// read reads a YAML file that a service sees under a path.
func (p *Problems) read(s types.ServiceConfig, name string, into any) bool {
	file, ok := inside(s, name)
	text, err := os.ReadFile(file)
	if !ok || err != nil {
		p.add("service %s reads %s, which is not mounted from a file that is there", s.Name, name)
		return false
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		p.add("service %s: %s: %v", s.Name, name, err)
		return false
	}
	return true
}

func (p *Problems) prometheus(all *types.Project) {
	s := all.Services["prometheus"]
	var config struct {
		RuleFiles []string `json:"rule_files"`
		Scrape    []struct {
			Job    string `json:"job_name"`
			Static []struct {
				Targets []string `json:"targets"`
			} `json:"static_configs"`
		} `json:"scrape_configs"`
	}
	file := ""
	for _, arg := range s.Command {
		if name, ok := strings.CutPrefix(arg, "--config.file="); ok {
			file = name
		}
	}
	if !p.read(s, file, &config) {
		return
	}
	if len(config.RuleFiles) == 0 {
		p.add("prometheus has no rules")
	}
	for _, name := range config.RuleFiles {
		if !path.IsAbs(name) {
			name = path.Join(path.Dir(file), name)
		}
		var rules struct{ Groups []any }
		if p.read(s, name, &rules) && len(rules.Groups) == 0 {
			p.add("prometheus: %s has no groups of rules", name)
		}
	}
	asked := false
	for _, job := range config.Scrape {
		for _, static := range job.Static {
			for _, target := range static.Targets {
				asked = asked || job.Job == "lethe" && target == "lethe:"+p.listens(all)
			}
		}
	}
	if !asked {
		p.add("prometheus does not ask lethe where it listens, as the job lethe that rules and dashboards go by")
	}
}

// listens returns the port of Lethe in its configuration.
func (p *Problems) listens(all *types.Project) string {
	var config struct{ Listen string }
	if !p.read(all.Services["lethe"], "/etc/lethe/lethe.yaml", &config) {
		return ""
	}
	_, port, err := net.SplitHostPort(config.Listen)
	if err != nil {
		p.add("lethe listens on %q: %v", config.Listen, err)
	}
	return port
}

func (p *Problems) grafana(all *types.Project) {
	s := all.Services["grafana"]
	var sources struct {
		Datasources []struct{ URL string }
	}
	if p.read(s, "/etc/grafana/provisioning/datasources/prometheus.yaml", &sources) {
		for _, d := range sources.Datasources {
			at, err := url.Parse(d.URL)
			if err != nil || all.Services[at.Hostname()].Name == "" {
				p.add("grafana asks %s, which is no service", d.URL)
			}
		}
	}
	var boards struct {
		Providers []struct{ Options struct{ Path string } }
	}
	if !p.read(s, "/etc/grafana/provisioning/dashboards/lethe.yaml", &boards) {
		return
	}
	for _, provider := range boards.Providers {
		dir, ok := inside(s, provider.Options.Path)
		found, err := filepath.Glob(filepath.Join(dir, "*.json"))
		if !ok || err != nil || len(found) == 0 {
			p.add("grafana finds no dashboards in %s", provider.Options.Path)
		}
	}
}
