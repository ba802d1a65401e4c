package check

import (
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// Images checks that an image has the same tag wherever it is named, and that the
// version that is built into Lethe's own is its tag.
func Images(root string) error {
	p := &Problems{where: "images"}
	tags := map[string]map[string][]string{} // by image and tag: where
	see := func(where, image string) {
		repository, tag := splitImage(image)
		name := path.Base(repository)
		if tags[name] == nil {
			tags[name] = map[string][]string{}
		}
		if !slices.Contains(tags[name][tag], where) {
			tags[name][tag] = append(tags[name][tag], where)
		}
	}
	if all, err := stages(root); err == nil { // else Dockerfile says so
		for _, s := range all {
			for _, c := range s.Commands {
				if arg, ok := c.(*instructions.ArgCommand); ok && arg.Args[0].Key == "VERSION" && arg.Args[0].Value != nil {
					see(dockerfile, "lethe:"+strings.TrimPrefix(*arg.Args[0].Value, "v"))
				}
			}
		}
	}
	if all, err := Project(root); err == nil {
		for _, s := range all.Services {
			see(composeFile, s.Image)
			if s.Build != nil && s.Build.Args["VERSION"] != nil {
				see(composeFile, "lethe:"+strings.TrimPrefix(*s.Build.Args["VERSION"], "v"))
			}
		}
	}
	names, err := Overlays(root)
	if err != nil {
		p.add("%v", err)
	}
	for _, name := range names {
		c, err := assemble(root, name)
		if err != nil {
			continue // Kubernetes says so
		}
		for _, w := range c.workloads {
			for _, container := range w.pod.Containers {
				see(overlaysFolder+"/"+name, container.Image)
			}
		}
	}
	for name, by := range tags {
		if len(by) > 1 {
			p.add("%s has several tags: %v", name, by)
		}
	}
	return p.err()
}
