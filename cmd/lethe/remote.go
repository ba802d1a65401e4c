package main

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"lethe/jobs"
	"lethe/jobs/api"
)

// A remote is the server that a command talks to, and how.
type remote struct {
	server, tokenFile string
	ca, cert, certKey string
}

func (r *remote) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&r.server, "server", cmp.Or(os.Getenv("LETHE_SERVER"), "http://127.0.0.1:8080"), "`URL` of the server (LETHE_SERVER)")
	f.StringVar(&r.tokenFile, "token-file", os.Getenv("LETHE_TOKEN_FILE"), "`FILE` that holds the token (LETHE_TOKEN_FILE)")
	f.StringVar(&r.ca, "ca", os.Getenv("LETHE_CA"), "PEM `FILE` of the authorities whose server is believed (LETHE_CA; default the system's)")
	f.StringVar(&r.cert, "cert", os.Getenv("LETHE_CERT"), "PEM `FILE` of this client's certificate, if the server wants one (LETHE_CERT)")
	f.StringVar(&r.certKey, "cert-key", os.Getenv("LETHE_CERT_KEY"), "PEM `FILE` of its private key (LETHE_CERT_KEY)")
}

func (r *remote) client() (*api.Client, error) {
	token, err := readToken(r.tokenFile)
	if err != nil {
		return nil, err
	}
	transport, err := r.transport()
	if err != nil {
		return nil, err
	}
	return api.NewClient(r.server, token, transport)
}

// transport is how the server is reached; nil for the default.
func (r *remote) transport() (http.RoundTripper, error) {
	if r.ca == "" && r.cert == "" && r.certKey == "" {
		return nil, nil //nolint:nilnil // the default
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if r.ca != "" {
		pool, err := certPool(r.ca)
		if err != nil {
			return nil, fmt.Errorf("read --ca: %w", err)
		}
		config.RootCAs = pool
	}
	switch {
	case (r.cert == "") != (r.certKey == ""):
		return nil, errors.New("--cert and --cert-key must be given together")
	case r.cert != "":
		pair, err := tls.LoadX509KeyPair(r.cert, r.certKey)
		if err != nil {
			return nil, fmt.Errorf("read --cert and --cert-key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	transport.TLSClientConfig = config
	return transport, nil
}

// readToken reads a file that nobody but its owner and group may read. What is
// wrong with it is said without what stands in it.
func readToken(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("read --token-file: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return "", fmt.Errorf("read --token-file: everybody on this machine may read %s: chmod 600 it, and if others have an account here, revoke the token", path)
	}
	text, err := readSmallFile(path, 4096)
	if err != nil {
		return "", fmt.Errorf("read --token-file: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if !jobs.LooksLikeToken(token) {
		return "", fmt.Errorf("read --token-file: %s does not hold one token, as lethe token create prints it, and nothing else", path)
	}
	return token, nil
}
