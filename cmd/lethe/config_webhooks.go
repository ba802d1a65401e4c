package main

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"lethe/jobs/webhook"
)

// maxSecretFile bounds a file with secrets, in bytes.
const maxSecretFile = 4096

// A WebhooksConfig says who may be told when the status of a request changes.
// Whoever files a request may give a notify_url; endpoints are told of every
// request. What is told names nobody.
type WebhooksConfig struct {
	// secret_file: the path of a file with the secret that signs notices
	// (Standard Webhooks): whsec_ and the base64 of 24 to 64 random bytes. To
	// change it, put the new one before the old, one a line, until all receivers
	// know it. Required.
	SecretFile string `yaml:"secret_file"`

	// allow_hosts: the only hosts that may be told, such as hooks.example.com.
	// "http://hooks.lan" lets one be told without TLS. Default any host that all
	// the world can reach, over https.
	AllowHosts []string `yaml:"allow_hosts"`

	// allow_private: whether allow_hosts may have private and loopback
	// addresses. Link-local ones and those on which clouds hand out credentials
	// stay refused. Default false.
	AllowPrivate bool `yaml:"allow_private"`

	// ports: the ports that may be used. Default [443].
	Ports []int `yaml:"ports"`

	// endpoints: who is told of every request. The same rules hold for them.
	Endpoints []WebhookEndpoint `yaml:"endpoints"`
}

// A WebhookEndpoint is told of every request.
type WebhookEndpoint struct {
	// name: how logs call it. Lower-case letters, digits, dots, dashes and
	// underscores, at most 63; unique.
	Name string `yaml:"name"`

	// url: where it is told.
	URL Secret `yaml:"url"`

	// url_file: the path of a file that holds the URL, instead of url.
	URLFile string `yaml:"url_file"`
}

// paths returns the fields that are paths.
func (w *WebhooksConfig) paths() []*string {
	all := []*string{&w.SecretFile}
	for i := range w.Endpoints {
		all = append(all, &w.Endpoints[i].URLFile)
	}
	return all
}

func (w *WebhooksConfig) rules() webhook.Rules {
	return webhook.Rules{Hosts: w.AllowHosts, Ports: w.Ports, Private: w.AllowPrivate}
}

func (w *WebhooksConfig) secrets() (webhook.Secrets, error) {
	text, err := readSmallFile(w.SecretFile, maxSecretFile)
	if err != nil {
		return nil, err
	}
	return webhook.ParseSecrets(string(text))
}

// targets returns the endpoints' URLs by their names.
func (w *WebhooksConfig) targets() (map[string]string, error) {
	all := make(map[string]string)
	for i := range w.Endpoints {
		e := &w.Endpoints[i]
		all[e.Name] = e.URL.Reveal()
		if e.URLFile != "" {
			text, err := readSmallFile(e.URLFile, maxSecretFile)
			if err != nil {
				return nil, fmt.Errorf("endpoints[%d]: read url_file: %w", i, err)
			}
			all[e.Name] = strings.TrimSpace(string(text))
		}
	}
	return all, nil
}

// checkWebhooks says what is wrong with the receivers. None of them is asked.
func (c *Config) checkWebhooks(add func(field, problem string)) {
	w := c.Webhooks
	if w == nil {
		return
	}
	if w.SecretFile == "" {
		add("webhooks.secret_file", "must be the path of a file with the secret that signs what is told")
	} else if _, err := w.secrets(); err != nil {
		add("webhooks.secret_file", err.Error())
	}
	if w.AllowPrivate && len(w.AllowHosts) == 0 {
		add("webhooks.allow_private", "needs allow_hosts: without it whoever files a request could reach into this network")
	}
	for i, h := range w.AllowHosts {
		name := strings.TrimPrefix(h, "http://")
		one := webhook.Rules{Hosts: []string{name}, Private: w.AllowPrivate}
		if a, err := netip.ParseAddr(name); err == nil && a.Is6() {
			name = "[" + name + "]"
		}
		if one.Check("https://"+name+"/") != "" {
			add(fmt.Sprintf("webhooks.allow_hosts[%d]", i), "must be a host name or an address in lower case, without a port; private addresses need allow_private")
		}
	}
	for i, p := range w.Ports {
		if p < 1 || p > 65535 {
			add(fmt.Sprintf("webhooks.ports[%d]", i), "must be from 1 to 65535")
		}
	}
	w.checkEndpoints(add)
}

func (w *WebhooksConfig) checkEndpoints(add func(field, problem string)) {
	targets, err := w.targets()
	if err != nil {
		add("webhooks.endpoints", err.Error())
		return
	}
	name := regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)
	seen := map[string]bool{}
	for i := range w.Endpoints {
		e := &w.Endpoints[i]
		at := fmt.Sprintf("webhooks.endpoints[%d].", i)
		switch {
		case !name.MatchString(e.Name):
			add(at+"name", "must be 1 to 63 of a-z, 0-9, dot, dash and underscore, and start with a letter or digit")
		case seen[e.Name]:
			add(at+"name", "is taken by another endpoint; give each its own")
		case (e.URL == "") == (e.URLFile == ""):
			add(at+"url", "give either url or url_file")
		default:
			field := "url"
			if e.URLFile != "" {
				field = "url_file"
			}
			add(at+field, w.rules().Check(targets[e.Name]))
		}
		seen[e.Name] = true
	}
}

// endpointNames lists who is told of every request.
func endpointNames(targets map[string]string) []string { return slices.Sorted(maps.Keys(targets)) }
