package main

import (
	"crypto/tls"
	"net"
	"strconv"
	"time"
)

// maxDrainDelay: whoever supervises the process kills it after a while.
const maxDrainDelay = 5 * time.Minute

// A TLSConfig says how the HTTP server is reached safely. Files that are replaced
// are taken from the next connection on, without a restart.
type TLSConfig struct {
	// cert, key: the paths of PEM files with the server's certificate, followed by
	// those between it and its root, and with its private key.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`

	// client_ca: the path of a PEM file with certificates. With it, every
	// connection must show a client certificate that they have issued (mTLS),
	// besides the token of each call. Default none.
	ClientCA string `yaml:"client_ca"`

	// min: the oldest version of TLS that is spoken, "1.2" or "1.3". Default 1.2.
	Min string `yaml:"min"`

	// off: "behind-proxy", in place of cert and key, says that something in front of
	// Lethe speaks TLS and that nobody reads along between the two. Without it,
	// an address other than loopback needs cert and key.
	Off string `yaml:"off"`
}

// Words of the configuration of the door.
const (
	tlsBehindProxy = "behind-proxy"
	metricsToken   = "token"
	metricsOpen    = "open"
)

func (t *TLSConfig) paths() []*string { return []*string{&t.Cert, &t.Key, &t.ClientCA} }

// on reports whether the server speaks TLS itself.
func (t *TLSConfig) on() bool { return t != nil && t.Off == "" }

// version is the oldest version of TLS that is spoken.
func (t *TLSConfig) version() uint16 {
	if t.Min == "1.3" {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}

func (c *Config) checkDoor(add func(field, problem string)) {
	add("listen", listenProblem(c.Listen))
	if c.TLS == nil && listenProblem(c.Listen) == "" && !loopback(c.Listen) {
		add("listen", "must be a loopback address such as 127.0.0.1:8080, or come with tls: {cert: FILE, key: FILE}, or with tls: {off: behind-proxy} if something in front speaks TLS: tokens must not go over the network in the clear")
	}
	if d := time.Duration(c.DrainDelay); d < 0 || d > maxDrainDelay {
		add("drain_delay", "must be from 0s to "+maxDrainDelay.String())
	}
	switch c.Metrics {
	case metricsToken, metricsOpen:
	default:
		add("metrics", "must be token or open")
	}
	if t := c.TLS; t != nil {
		t.check(func(field, problem string) { add("tls."+field, problem) })
	}
}

func (t *TLSConfig) check(add func(field, problem string)) {
	switch {
	case t.Off != "" && t.Off != tlsBehindProxy:
		add("off", "must be behind-proxy, or left out")
	case t.Off != "" && (t.Cert != "" || t.Key != "" || t.ClientCA != "" || t.Min != ""):
		add("off", "must stand alone")
	case t.Off != "":
	case t.Cert == "":
		add("cert", "must be the path of a PEM file with the server's certificate")
	case t.Key == "":
		add("key", "must be the path of a PEM file with the server's private key")
	}
	if t.Min != "" && t.Min != "1.2" && t.Min != "1.3" {
		add("min", `must be "1.2" or "1.3"`)
	}
}

func listenProblem(addr string) string {
	_, port, err := net.SplitHostPort(addr)
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || n > 65535 {
		return "must be an address with a port, such as 127.0.0.1:8080"
	}
	return ""
}

// loopback reports whether only this machine reaches an address. A name counts
// only if it is localhost: what another one means, others decide.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}
