package check

import (
	"path"
	"regexp"
	"strings"

	core "k8s.io/api/core/v1"
)

// Configurations returns, for each workload of an overlay, the configuration that it
// reads and the rest of its command line.
func Configurations(root, overlay string) ([]Configuration, error) {
	c, err := assemble(root, overlay)
	if err != nil {
		return nil, err
	}
	var all []Configuration
	for _, w := range c.workloads {
		for _, container := range w.pod.Containers {
			all = append(all, c.configuration(w, container))
		}
	}
	return all, nil
}

// A Configuration is what one process is told.
type Configuration struct {
	Of     string   // such as "Deployment lethe-api"
	Text   string   // of the file; empty if nothing that is mounted is called so
	Args   []string // of the process, with --config FILE taken out
	Astray []string // paths in it of which no volume is mounted
}

// ownPath is an absolute path in a configuration; comments are none of it.
var ownPath = regexp.MustCompile(`(?:^|[\s:,{\[])(/[a-z][^\s,}\]]*)`)

func (c *cluster) configuration(w workload, container core.Container) Configuration {
	conf := Configuration{Of: w.kind + " " + w.name}
	file := ""
	for i := 0; i < len(container.Args); i++ {
		if container.Args[i] == "--config" && i+1 < len(container.Args) {
			file = container.Args[i+1]
			i++
			continue
		}
		conf.Args = append(conf.Args, container.Args[i])
	}
	mounted := map[string]core.Volume{}
	for _, m := range container.VolumeMounts {
		for _, v := range w.pod.Volumes {
			if v.Name == m.Name {
				mounted[m.MountPath] = v
			}
		}
	}
	if v, ok := mounted[path.Dir(file)]; ok && v.ConfigMap != nil {
		conf.Text = c.configs[v.ConfigMap.Name].Data[path.Base(file)]
	}
	for _, name := range Paths(conf.Text) {
		found := false
		for at := range mounted {
			found = found || strings.HasPrefix(name, at+"/")
		}
		if !found {
			conf.Astray = append(conf.Astray, name)
		}
	}
	return conf
}

// Paths returns the absolute paths that a configuration of Lethe's names.
func Paths(config string) (all []string) {
	for line := range strings.Lines(config) {
		line, _, _ = strings.Cut(line, " #")
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for _, m := range ownPath.FindAllStringSubmatch(line, -1) {
			all = append(all, m[1])
		}
	}
	return all
}
