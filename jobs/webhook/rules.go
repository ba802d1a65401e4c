package webhook

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"lethe/jobs"
)

// Rules say where a notice may go.
type Rules struct {
	// Hosts, if there are any, are all that may be told: names or addresses in
	// lower case. One with http:// before it may be told in the clear too.
	Hosts []string

	// Ports that may be used. None means 443.
	Ports []int

	// Private lets Hosts, which must be given, have private and loopback
	// addresses. Link-local addresses and those that clouds answer on with
	// credentials stay refused.
	Private bool
}

// Check returns what is wrong with a URL as it stands, or "". It does not resolve
// the name, and does not repeat what it was given.
func (r Rules) Check(text string) string {
	if len(text) > jobs.MaxNotifyURL || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "must be at most " + strconv.Itoa(jobs.MaxNotifyURL) + " printable ASCII characters without spaces; write others as %XX"
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Opaque != "" || u.Host == "":
		return "must be a URL such as https://example.com/lethe"
	case u.User != nil:
		return "must not hold a user or a password: notices are signed"
	case strings.Contains(text, "#"):
		return "must not have a fragment"
	case u.Scheme != "https" && u.Scheme != "http":
		return "must begin with https://"
	}
	host := strings.ToLower(u.Hostname())
	if problem := r.checkHost(u.Scheme, host); problem != "" {
		return problem
	}
	return r.checkPort(u)
}

func (r Rules) checkHost(scheme, host string) string {
	addr, isAddr := canonical(host)
	switch {
	case !isAddr && !isName(host):
		return "must have a plain host name, or an address in its usual form"
	case isAddr && r.CheckAddress(addr) != nil:
		return "must not lead to a private, local or reserved address"
	case len(r.Hosts) > 0 && !r.listed(scheme, host):
		return "must be of a host that is in webhooks.allow_hosts, and https unless that says http"
	case len(r.Hosts) > 0:
		return ""
	case scheme != "https":
		return "must begin with https://"
	case !isAddr && isLocalName(host):
		return "must have a host name that all the world knows"
	}
	return ""
}

func (r Rules) listed(scheme, host string) bool {
	return slices.ContainsFunc(r.Hosts, func(h string) bool {
		name, plain := strings.CutPrefix(h, "http://")
		return name == host && (plain || scheme == "https")
	})
}

func (r Rules) checkPort(u *url.URL) string {
	port := 443
	if u.Scheme == "http" {
		port = 80
	}
	if p := u.Port(); p != "" || strings.HasSuffix(u.Host, ":") {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || strconv.FormatUint(n, 10) != p {
			return "must have a plain number as its port, if any"
		}
		port = int(n)
	}
	ports := r.Ports
	if len(ports) == 0 {
		ports = []int{443}
	}
	if !slices.Contains(ports, port) {
		return "must have a port that is in webhooks.ports (443, if that is not given)"
	}
	return ""
}

// canonical reads an address in its one usual form: what only some resolvers
// take for one, such as 0x7f.1, is no address.
func canonical(host string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(host)
	return a, err == nil && a.Zone() == "" && a.String() == host
}

// isName reports whether host is a name (RFC 1123) that no resolver takes for a
// number: WHATWG's URL parser and inet_aton go by the last label.
func isName(host string) bool {
	if host == "" || len(host) > 253 {
		return false
	}
	labels := strings.Split(host, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
		if strings.ContainsFunc(l, func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' }) {
			return false
		}
	}
	last := labels[len(labels)-1]
	digits := strings.Trim(last, "0123456789") == ""
	return !digits && !strings.HasPrefix(last, "0x")
}

// isLocalName reports whether a name is one of this machine or this network.
func isLocalName(host string) bool {
	if !strings.Contains(host, ".") {
		return true
	}
	for _, end := range []string{".localhost", ".local", ".internal", ".lan", ".home.arpa", ".intranet", ".corp"} {
		if strings.HasSuffix(host, end) {
			return true
		}
	}
	return false
}
