package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// A TracesConfig says where the work on requests is traced to, by OpenTelemetry. What
// is left out is what the standard environment says (OTEL_EXPORTER_OTLP_ENDPOINT and
// its like).
type TracesConfig struct {
	// endpoint: the URL of a collector that takes OTLP over HTTP, such as
	// https://otel.example.com:4318/v1/traces. A URL without a path gets /v1/traces.
	Endpoint string `yaml:"endpoint"`

	// headers_file: the path of a file with the headers that the collector wants,
	// such as "Authorization: Bearer …", one a line. Only over TLS, or on loopback.
	HeadersFile string `yaml:"headers_file"`

	// tls: how to reach an https collector. See QueueTLS.
	TLS *QueueTLS `yaml:"tls"`

	// ratio: which part of all requests is traced, from 0 to 1. Of a request all is
	// traced or nothing, by every process. Default 1.
	Ratio *float64 `yaml:"ratio"`
}

// paths returns the fields that are paths.
func (t *TracesConfig) paths() []*string {
	all := []*string{&t.HeadersFile}
	if t.TLS != nil {
		all = append(all, &t.TLS.CA, &t.TLS.Cert, &t.TLS.Key)
	}
	return all
}

// traced reports whether traces are configured, in the file or in the environment.
func (c *Config) traced() bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return false
	}
	return c.Traces != nil || environmentTraces()
}

func environmentTraces() bool {
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

// traceRatio is that of the file or else of the environment.
func (c *Config) traceRatio() float64 {
	if c.Traces != nil && c.Traces.Ratio != nil {
		return *c.Traces.Ratio
	}
	switch sampler := os.Getenv("OTEL_TRACES_SAMPLER"); {
	case strings.HasSuffix(sampler, "always_off"):
		return 0
	case strings.HasSuffix(sampler, "traceidratio"):
		if ratio, err := strconv.ParseFloat(os.Getenv("OTEL_TRACES_SAMPLER_ARG"), 64); err == nil && ratio >= 0 && ratio <= 1 {
			return ratio
		}
	}
	return 1
}

// headers reads the headers of their file.
func (t *TracesConfig) headers() (map[string]string, error) {
	if t.HeadersFile == "" {
		return nil, nil
	}
	text, err := readSmallFile(t.HeadersFile, maxSecretFile)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		name = strings.TrimSpace(name)
		if !ok || name == "" || strings.ContainsAny(name, " \t\"") {
			return nil, errors.New(`must have "Name: value" in each line`) // and repeats no secret
		}
		all[name] = strings.TrimSpace(value)
	}
	return all, nil
}

// checkTraces says what is wrong with the collector. It is not asked.
func (c *Config) checkTraces(add func(field, problem string)) {
	t := c.Traces
	if t == nil {
		return
	}
	u, err := url.Parse(t.Endpoint)
	switch {
	case t.Endpoint == "" && !environmentTraces():
		add("traces.endpoint", "must be the URL of a collector, or OTEL_EXPORTER_OTLP_ENDPOINT must be set")
	case t.Endpoint == "":
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		add("traces.endpoint", "must be an http or https URL, such as https://otel.example.com:4318/v1/traces")
	case u.User != nil:
		add("traces.endpoint", "must not have a user or a password in it: give them in headers_file")
	case t.HeadersFile != "" && u.Scheme == "http" && !loopback(net.JoinHostPort(u.Hostname(), "80")):
		add("traces.headers_file", "is sent over TLS alone: make endpoint https://…")
	}
	if t.HeadersFile != "" {
		if _, err := t.headers(); err != nil {
			add("traces.headers_file", err.Error())
		}
	}
	if _, err := t.TLS.load(); err != nil {
		add("traces.tls", err.Error())
	}
	if t.Ratio != nil && !(*t.Ratio >= 0 && *t.Ratio <= 1) {
		add("traces.ratio", fmt.Sprintf("must be from 0 to 1, and is %v", *t.Ratio))
	}
}

// endpoint is where spans are sent, or "" if the environment says so.
func (t *TracesConfig) endpoint() string {
	u, err := url.Parse(t.Endpoint)
	if t.Endpoint == "" || err != nil {
		return ""
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	return u.String()
}
