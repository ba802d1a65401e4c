package check

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Tree checks all files of deploy/ in the repository at root.
func Tree(root string) error {
	return errors.Join(Dockerfile(root), Compose(root), Kubernetes(root), Unit(root), Images(root), Measured(root))
}

// Problems are what one check has found, each with where it is.
type Problems struct {
	where string
	found []error
}

func (p *Problems) add(format string, args ...any) {
	p.found = append(p.found, fmt.Errorf("%s: %s", p.where, fmt.Sprintf(format, args...)))
}

// in returns Problems of a part of where p is. join takes them over.
func (p *Problems) in(part string) *Problems { return &Problems{where: p.where + ", " + part} }

func (p *Problems) join(other *Problems) { p.found = append(p.found, other.found...) }

func (p *Problems) err() error { return errors.Join(p.found...) }

// image finds fault with the name of an image that is not pinned by a tag.
func (p *Problems) image(name string) {
	switch _, tag := splitImage(name); {
	case strings.Contains(name, "@sha256:"):
	case tag == "":
		p.add("image %q has no tag: pin one", name)
	case tag == "latest" || tag == "edge" || tag == "main":
		p.add("image %q is another one every day: pin a version", name)
	}
}

// splitImage parts an image's name from its tag.
func splitImage(name string) (repository, tag string) {
	name, _, _ = strings.Cut(name, "@")
	if i := strings.LastIndex(name, ":"); i > strings.LastIndex(name, "/") {
		return name[:i], name[i+1:]
	}
	return name, ""
}

// nobody finds fault with a user that is root, or is not known to be none. A name is
// what the image's own /etc/passwd makes of it, so it must be a number.
func (p *Problems) nobody(user string) {
	name, _, _ := strings.Cut(user, ":")
	n, err := strconv.Atoi(name)
	switch {
	case user == "":
		p.add("has no user: it would be root")
	case err != nil:
		p.add("the user %q is not a number, so nobody can see that it is not root", user)
	case n == 0:
		p.add("runs as root")
	}
}

// secretName is what a variable with a secret in it may be called.
var secretName = regexp.MustCompile(`(?i)(passw|secret|token|credential|private|api_?key|dsn)`)

// urlPassword is a URL with a password in it.
var urlPassword = regexp.MustCompile(`[a-z]+://[^/\s:@]*:[^/\s@]+@`)

// environment finds fault with a secret in a variable: everything that a process starts
// inherits it, and crash reports and /proc show it. The path of a file is no secret.
func (p *Problems) environment(name, value string) {
	switch {
	case secretName.MatchString(name) && !strings.HasSuffix(name, "_FILE"):
		p.add("the variable %s holds a secret: give it as a file", name)
	case urlPassword.MatchString(value):
		p.add("the variable %s holds a URL with a password: give it as a file", name)
	}
}

// missing returns which of the wanted are not among those that are there.
func missing(are []string, wanted ...string) (list []string) {
	for _, w := range wanted {
		if !slices.Contains(are, w) {
			list = append(list, w)
		}
	}
	return list
}
