package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"lethe/jobs/queue"
)

// A QueueTLS says how to reach a Redis, and its sentinels, by TLS (rediss…://). What is left out is
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
	// the host of the URL, and for others that are learned from it, their own.
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

// A QueueSentinel says what the sentinels themselves ask for, beside what Redis
// asks for: with redis-sentinel://… the user in the URL, and queue_password_file,
// are those of Redis.
type QueueSentinel struct {
	// user: the user for the sentinels. Default none: only a password, or nothing.
	User string `yaml:"user"`

	// password_file: the path of a file that holds the password for the sentinels.
	// Default none.
	PasswordFile string `yaml:"password_file"`

	// Password is what the file holds.
	Password Secret `yaml:"-"`
}

// readQueuePassword puts the password of its file into the queue's URL, and reads
// that for the sentinels.
func (c *Config) readQueuePassword() error {
	if q := c.QueueSentinel; q != nil && q.PasswordFile != "" {
		text, err := readSmallFile(q.PasswordFile, maxSecretFile)
		if err != nil {
			return fmt.Errorf("read queue_sentinel.password_file: %w", err)
		}
		q.Password = Secret(strings.TrimRight(string(text), "\r\n"))
	}
	if c.QueuePasswordFile == "" || queueProblem(c.Queue.Reveal()) != "" || c.Queue == queueEmbedded {
		return nil // check says so
	}
	text, err := readSmallFile(c.QueuePasswordFile, maxSecretFile)
	if err != nil {
		return fmt.Errorf("read queue_password_file: %w", err)
	}
	with, ok := queue.WithPassword(c.Queue.Reveal(), strings.TrimRight(string(text), "\r\n"))
	if !ok {
		return errors.New("queue_password_file: the queue's URL has a password already; give it in one place")
	}
	c.Queue = Secret(with)
	return nil
}

// checkRedis says what is wrong with how Redis is to be reached. It is not asked.
func (c *Config) checkRedis(add func(field, problem string)) {
	at := c.Queue.Reveal()
	if c.QueuePasswordFile != "" && c.Queue == queueEmbedded {
		add("queue_password_file", "is for a Redis alone; the embedded queue has none")
	}
	if c.QueueSentinel != nil && !strings.Contains(at, "-sentinel://") {
		add("queue_sentinel", "needs a queue of the form redis-sentinel://… or rediss-sentinel://…")
	}
	if c.QueueTLS == nil {
		return
	}
	if !strings.HasPrefix(at, "rediss") {
		add("queue_tls", "needs a queue of the form rediss://…, rediss-sentinel://… or rediss-cluster://…")
	}
	if _, err := c.QueueTLS.load(); err != nil {
		add("queue_tls", err.Error())
	}
}

// queueOptions are what the queue is told of where it is.
func (c *Config) queueOptions() (queue.Options, error) {
	secure, err := c.QueueTLS.load()
	if err != nil {
		return queue.Options{}, fmt.Errorf("queue_tls: %w", err)
	}
	o := queue.Options{URL: c.Queue.Reveal(), TLS: secure}
	if q := c.QueueSentinel; q != nil {
		o.SentinelUser, o.SentinelPassword = q.User, q.Password.Reveal()
	}
	return o, nil
}

func queueProblem(s string) string {
	const urls = "must be embedded, or the URL of a Redis server such as redis://127.0.0.1:6379/0, of sentinels such as " +
		"redis-sentinel://h1:26379,h2:26379/mymaster, or of a cluster such as redis-cluster://h1:6379,h2:6379"
	scheme, rest, _ := strings.Cut(s, "://")
	switch _, err := queue.Named(s); {
	case s == queueEmbedded:
		return ""
	case !strings.HasPrefix(scheme, "redis"), rest == "", rest[0] == '/':
		return urls
	case err != nil: // what it must read, without what it does
		return strings.TrimPrefix(err.Error(), queue.ErrURL.Error()+": it ")
	}
	return ""
}
