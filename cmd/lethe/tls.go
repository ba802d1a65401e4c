package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// maxCertificates bounds a file of certificates, in bytes.
const maxCertificates = 1 << 20

// certificates are those of the server, as they stand in their files. They are
// looked at with each connection, and read again once one of them is another:
// whoever renews them need tell nobody. While what stands there does not fit
// together, those from before go on.
type certificates struct {
	files TLSConfig
	told  func(error) // of what could not be read again; once for each state of the files

	mu    sync.Mutex
	state [3]fileState
	now   *tls.Config
}

// A fileState is by what a file that was replaced is known.
type fileState struct {
	size int64
	at   time.Time
}

// openCertificates reads them for the first time.
func openCertificates(files TLSConfig, told func(error)) (*certificates, error) {
	c := &certificates{files: files, told: told}
	var err error
	if c.state, err = c.look(); err == nil {
		c.now, err = c.load()
	}
	if err != nil {
		return nil, fmt.Errorf("open tls: %w", err)
	}
	return c, nil
}

// config is what the server starts with; each connection gets the newest.
func (c *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion:         c.files.version(), //nolint:gosec // 1.2 or 1.3
		NextProtos:         []string{"http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.newest(), nil },
		GetCertificate:     func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &c.newest().Certificates[0], nil },
	}
}

func (c *certificates) newest() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	state, err := c.look()
	if err == nil && state == c.state {
		return c.now
	}
	if err == nil {
		c.state = state // also if it cannot be used: it is not read again for each connection
		var next *tls.Config
		if next, err = c.load(); err == nil {
			c.now = next
			return next
		}
	}
	c.told(err)
	return c.now
}

func (c *certificates) look() (state [3]fileState, err error) {
	for i, p := range c.files.paths() {
		if *p == "" {
			continue
		}
		info, err := os.Stat(*p)
		if err != nil {
			return state, err
		}
		state[i] = fileState{info.Size(), info.ModTime()}
	}
	return state, nil
}

func (c *certificates) load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		return nil, fmt.Errorf("read cert and key: %w", err)
	}
	config := &tls.Config{
		MinVersion:   c.files.version(), //nolint:gosec // 1.2 or 1.3
		NextProtos:   []string{"http/1.1"},
		Certificates: []tls.Certificate{pair},
	}
	if c.files.ClientCA == "" {
		return config, nil
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	config.SessionTicketsDisabled = true // or a client could go on from what was believed before client_ca was changed
	if config.ClientCAs, err = certPool(c.files.ClientCA); err != nil {
		return nil, fmt.Errorf("read client_ca: %w", err)
	}
	return config, nil
}

// certPool reads a file of PEM certificates.
func certPool(path string) (*x509.CertPool, error) {
	text, err := readSmallFile(path, maxCertificates)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("it holds no PEM certificate")
	}
	return pool, nil
}
