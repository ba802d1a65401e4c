package check_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// image builds the image once for all tests, without an engine, and returns the folder
// that has its files.
var image = func() func(testing.TB) string {
	var (
		once sync.Once
		dir  string
	)
	return func(t testing.TB) string {
		t.Helper()
		once.Do(func() { dir = buildImage(t, scratch) })
		if dir == "" {
			t.Fatal("the image could not be built")
		}
		return dir
	}
}()

// buildImage carries out the Dockerfile in a folder of its own below dir: each stage is a
// folder, and the base images are this machine.
func buildImage(t testing.TB, dir string) string {
	t.Helper()
	f, err := os.Open(filepath.Join(repository(t), dockerfile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	parsed, err := parser.Parse(f)
	if err != nil {
		t.Fatal(err)
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir, err = os.MkdirTemp(dir, "image-")
	if err != nil {
		t.Fatal(err)
	}
	b := &builder{TB: t, context: repository(t), dir: dir, ignored: patterns(t)}
	for _, s := range stages {
		b.stage(s)
	}
	return b.root
}

// A builder carries out the stages of a Dockerfile.
type builder struct {
	testing.TB
	context, dir  string
	ignored       *patternmatcher.PatternMatcher
	root, workdir string   // of this stage
	env           []string // of this stage
}

func patterns(t testing.TB) *patternmatcher.PatternMatcher {
	t.Helper()
	f, err := os.Open(filepath.Join(repository(t), ignore))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := ignorefile.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	m, err := patternmatcher.New(lines)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (b *builder) stage(s instructions.Stage) {
	name := s.Name
	if name == "" {
		name = "last"
	}
	b.root, b.workdir, b.env = filepath.Join(b.dir, name), "/", nil
	b.must(os.MkdirAll(b.root, 0o755))
	for _, c := range s.Commands {
		switch c := c.(type) {
		case *instructions.WorkdirCommand:
			b.workdir = c.Path
			b.must(os.MkdirAll(filepath.Join(b.root, c.Path), 0o755))
		case *instructions.EnvCommand:
			for _, e := range c.Env {
				b.env = append(b.env, e.Key+"="+e.Value)
			}
		case *instructions.ArgCommand:
			b.env = append(b.env, c.Args[0].Key+"="+*c.Args[0].Value)
		case *instructions.CopyCommand:
			b.copy(c)
		case *instructions.RunCommand:
			b.run(strings.Join(c.CmdLine, " "))
		}
	}
}

func (b *builder) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// run has this machine's shell carry out a line; the line's paths are the stage's.
func (b *builder) run(line string) {
	b.Helper()
	cmd := exec.Command("/bin/sh", "-ec", strings.ReplaceAll(line, " /", " "+b.root+"/"))
	cmd.Dir, cmd.Env = filepath.Join(b.root, b.workdir), append(os.Environ(), b.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("RUN %s: %v\n%s", line, err, out)
	}
}

// copy is COPY. Modes are those of --chmod; owners stay this process's.
func (b *builder) copy(c *instructions.CopyCommand) {
	b.Helper()
	from, out := b.context, b.ignored
	if c.From != "" {
		from, out = filepath.Join(b.dir, c.From), nil
	}
	dest := c.DestPath
	if !filepath.IsAbs(dest) {
		dest = filepath.Join(b.workdir, dest)
	}
	into := strings.HasSuffix(c.DestPath, "/") || c.DestPath == "."
	for _, source := range c.SourcePaths {
		path := filepath.Join(from, source)
		to := filepath.Join(b.root, dest)
		if info, err := os.Stat(path); err != nil {
			b.Fatal(err)
		} else if !info.IsDir() && into {
			to = filepath.Join(to, filepath.Base(source))
		}
		b.tree(path, to, out)
	}
}

// tree copies a file or a folder, but for what is ignored.
func (b *builder) tree(from, to string, ignored *patternmatcher.PatternMatcher) {
	b.must(filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(b.context, path)
		if err != nil {
			return err
		}
		if ignored != nil && name != "." {
			if d.IsDir() && (d.Name() == ".git" || name == "bin") {
				return filepath.SkipDir
			}
			if out, err := ignored.MatchesOrParentMatches(filepath.ToSlash(name)); err != nil || out && !d.IsDir() {
				return err
			}
		}
		part, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return nil // made for its files; an empty one is made below
		}
		target := filepath.Join(to, part)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(target, text, info.Mode().Perm())
	}))
	if info, err := os.Stat(from); err == nil && info.IsDir() {
		b.must(os.MkdirAll(to, 0o755))
	}
}

// What is built twice, in two folders, is the same byte for byte: whoever has the
// sources can see that an image is made of them.
func TestTheBinaryIsReproducible(t *testing.T) {
	again := buildImage(t, t.TempDir())
	for _, name := range []string{"usr/local/bin/lethe", "usr/local/bin/lethe-verify"} {
		a, err := os.ReadFile(filepath.Join(image(t), name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(again, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs between two builds (%d and %d bytes)", name, len(a), len(b))
		}
	}
}
