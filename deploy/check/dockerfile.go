package check

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// dockerfile is where it is in the repository. Its context is the repository.
const dockerfile = "deploy/Dockerfile"

// stages parses the Dockerfile as BuildKit does.
func stages(root string) ([]instructions.Stage, error) {
	f, err := os.Open(filepath.Join(root, dockerfile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	parsed, err := parser.Parse(f)
	if err != nil {
		return nil, err
	}
	all, _, err := instructions.Parse(parsed.AST, nil)
	return all, err
}

// Dockerfile checks the image's recipe, and that what it copies is in its context.
func Dockerfile(root string) error {
	p := &Problems{where: dockerfile}
	all, err := stages(root)
	if err != nil {
		p.add("%v", err)
		return p.err()
	}
	ignored, err := ignores(root)
	if err != nil {
		p.add("%v", err)
		return p.err()
	}
	names := map[string]bool{}
	for _, s := range all {
		if !names[s.BaseName] {
			p.image(s.BaseName)
		}
		names[s.Name] = true
		for _, c := range s.Commands {
			p.command(root, c, ignored)
		}
	}
	p.final(all[len(all)-1])
	return p.err()
}

// command checks one line of any stage.
func (p *Problems) command(root string, c instructions.Command, ignored *patternmatcher.PatternMatcher) {
	switch c := c.(type) {
	case *instructions.AddCommand:
		p.add("ADD unpacks and downloads: use COPY")
	case *instructions.EnvCommand:
		for _, e := range c.Env {
			p.environment(e.Key, e.Value)
		}
	case *instructions.ArgCommand:
		for _, a := range c.Args {
			p.environment(a.Key, "")
		}
	case *instructions.CopyCommand:
		for _, path := range c.SourcePaths {
			if c.From != "" || path == "." {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				p.add("COPY %s: there is no such file", path)
			} else if out, err := ignored.MatchesOrParentMatches(path); err != nil || out {
				p.add("COPY %s: .dockerignore keeps it out", path)
			}
		}
	}
}

// final checks what the last stage, which is the image, says of how it runs.
func (p *Problems) final(s instructions.Stage) {
	user, health, entry, labelled := "", false, false, false
	for _, c := range s.Commands {
		switch c := c.(type) {
		case *instructions.UserCommand:
			user = c.User
		case *instructions.HealthCheckCommand:
			health = len(c.Health.Test) > 1 && c.Health.Test[0] == "CMD"
		case *instructions.EntrypointCommand:
			entry = !c.PrependShell && strings.HasPrefix(strings.Join(c.CmdLine, " "), "/")
		case *instructions.CmdCommand:
			if c.PrependShell {
				p.add("CMD needs a shell, and the image has none: write it as a list")
			}
		case *instructions.LabelCommand:
			labelled = true
		case *instructions.RunCommand:
			p.add("RUN in the last stage: the image has no shell")
		}
	}
	p.nobody(user)
	if !health {
		p.add("has no HEALTHCHECK that does without a shell")
	}
	if !entry {
		p.add("ENTRYPOINT must be a list that begins with an absolute path")
	}
	if !labelled {
		p.add("has no LABEL")
	}
}

// ignores reads .dockerignore.
func ignores(root string) (*patternmatcher.PatternMatcher, error) {
	f, err := os.Open(filepath.Join(root, ".dockerignore"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	patterns, err := ignorefile.ReadAll(f)
	if err != nil {
		return nil, err
	}
	return patternmatcher.New(patterns)
}
