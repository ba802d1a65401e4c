package check

import (
	"regexp"
	"slices"
	"time"

	core "k8s.io/api/core/v1"
)

// drain is how long Lethe may take to stop, with as much again to spare.
const drain = 20 * time.Second

// podAlone checks what a pod may do, by the rules of the Pod Security Standard
// "restricted" and a little more.
func (p *Problems) podAlone(pod core.PodSpec) {
	s := pod.SecurityContext
	switch {
	case s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot:
		p.add("may run as root: runAsNonRoot")
	case s.RunAsUser == nil || *s.RunAsUser == 0:
		p.add("runs as root, or as whom the image says: runAsUser")
	case s.FSGroup == nil:
		p.add("cannot read its Secrets, nor write its volume: fsGroup")
	case s.SeccompProfile == nil || s.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault:
		p.add("may make any system call: seccompProfile RuntimeDefault")
	}
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		p.add("mounts a token of the cluster's API: automountServiceAccountToken: false")
	}
	if pod.EnableServiceLinks == nil || *pod.EnableServiceLinks {
		p.add("is told of every service in its environment: enableServiceLinks: false")
	}
	if pod.HostNetwork || pod.HostPID || pod.HostIPC {
		p.add("shares the node's namespaces")
	}
}

// container checks one container by itself.
func (p *Problems) container(c core.Container) {
	p.image(c.Image)
	s := c.SecurityContext
	if s == nil {
		s = &core.SecurityContext{}
	}
	if s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
		p.add("its root can be written: readOnlyRootFilesystem")
	}
	if s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || s.Privileged != nil && *s.Privileged {
		p.add("may gain privileges: allowPrivilegeEscalation: false")
	}
	if s.Capabilities == nil || !slices.Contains(s.Capabilities.Drop, "ALL") || len(s.Capabilities.Add) > 0 {
		p.add("keeps capabilities: drop: [ALL]")
	}
	if s.RunAsUser != nil && *s.RunAsUser == 0 || s.RunAsNonRoot != nil && !*s.RunAsNonRoot {
		p.add("runs as root")
	}
	for _, e := range c.Env {
		p.environment(e.Name, e.Value)
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			p.add("the variable %s holds a secret: give it as a file", e.Name)
		}
	}
	for _, e := range c.EnvFrom {
		if e.SecretRef != nil {
			p.add("all of the Secret %s is in the environment: give it as files", e.SecretRef.Name)
		}
	}
	for _, port := range c.Ports {
		if port.HostPort != 0 {
			p.add("port %d is the node's, too", port.ContainerPort)
		}
	}
	if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
		p.add("does not say what it needs: resources")
	}
}

// probes checks that each probe asks what is meant by it.
func (p *Problems) probes(c core.Container) {
	for _, probe := range []struct {
		name, path string
		is         *core.Probe
	}{
		{"startupProbe", "/healthz", c.StartupProbe},
		{"livenessProbe", "/healthz", c.LivenessProbe},
		{"readinessProbe", "/readyz", c.ReadinessProbe},
	} {
		switch {
		case probe.is == nil || probe.is.HTTPGet == nil:
			p.add("has no %s", probe.name)
		case probe.is.HTTPGet.Path != probe.path:
			// A liveness probe that asks whether the database answers kills what waits for it.
			p.add("%s must ask %s", probe.name, probe.path)
		case !slices.ContainsFunc(c.Ports, func(port core.ContainerPort) bool { return port.Name == probe.is.HTTPGet.Port.String() }):
			p.add("%s asks a port that there is none of", probe.name)
		}
	}
}

// grace checks that the drain fits into what is left before the kill.
func (p *Problems) grace(pod core.PodSpec, config string) {
	left := time.Duration(0)
	if seconds := pod.TerminationGracePeriodSeconds; seconds != nil {
		left = time.Duration(*seconds) * time.Second
	}
	if need := drain + delay(config); left < need {
		p.add("is killed before it has stopped: terminationGracePeriodSeconds must be %v", need)
	}
}

// delayLine is the one line of a configuration that makes Lethe's stop longer.
var delayLine = regexp.MustCompile(`(?m)^drain_delay: *([0-9a-z]+)`)

// delay returns the drain_delay of a configuration.
func delay(config string) time.Duration {
	m := delayLine.FindStringSubmatch(config)
	if m == nil {
		return 0
	}
	d, err := time.ParseDuration(m[1])
	if err != nil {
		return time.Hour // lethe serve --check says so
	}
	return d
}
