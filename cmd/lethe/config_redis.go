package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// A QueueTLS says how to reach a Redis by TLS (rediss://…). What is left out is
// the system's: its authorities, and the name of the host in the URL.
type QueueTLS struct {
	// ca: the path of a PEM file with the authorities that the server's
	// certificate must lead to. Default the system's.
	CA string `yaml:"ca"`

	// cert, key: the paths of PEM files with the certificate and its key that
	// lethe shows, if the server asks for one. Default none.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`

	// server_name: the name that the server's certificate must be for. Default
	// the host of the URL.
	ServerName string `yaml:"server_name"`
}

// load reads the files. A nil QueueTLS gives nil.
func (q *QueueTLS) load() (*tls.Config, error) {
	if q == nil {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: q.ServerName}
	if q.CA != "" {
		text, err := readSmallFile(q.CA, maxEvidenceFile)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, errors.New("ca holds no certificate in PEM")
		}
	}
	if (q.Cert == "") != (q.Key == "") {
		return nil, errors.New("give both cert and key, or neither")
	}
	if q.Cert != "" {
		pair, err := tls.LoadX509KeyPair(q.Cert, q.Key)
		if err != nil {
			return nil, fmt.Errorf("cert and key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// readQueuePassword puts the password of its file into the queue's URL.
func (c *Config) readQueuePassword() error {
	if c.QueuePasswordFile == "" || queueProblem(c.Queue.Reveal()) != "" || c.Queue == queueEmbedded {
		return nil // check says so
	}
	text, err := readSmallFile(c.QueuePasswordFile, maxSecretFile)
	if err != nil {
		return fmt.Errorf("read queue_password_file: %w", err)
	}
	u, err := url.Parse(c.Queue.Reveal())
	if err != nil {
		return nil //nolint:nilerr // check says so, without the URL
	}
	if _, given := u.User.Password(); given {
		return errors.New("queue_password_file: the queue's URL has a password already; give it in one place")
	}
	u.User = url.UserPassword(u.User.Username(), strings.TrimRight(string(text), "\r\n"))
	c.Queue = Secret(u.String())
	return nil
}

// checkRedis says what is wrong with how Redis is to be reached. It is not asked.
func (c *Config) checkRedis(add func(field, problem string)) {
	if c.QueuePasswordFile != "" && c.Queue == queueEmbedded {
		add("queue_password_file", "is for a Redis alone; the embedded queue has none")
	}
	if c.QueueTLS == nil {
		return
	}
	if !strings.HasPrefix(c.Queue.Reveal(), "rediss://") {
		add("queue_tls", "needs a queue of the form rediss://…")
	}
	if _, err := c.QueueTLS.load(); err != nil {
		add("queue_tls", err.Error())
	}
}
