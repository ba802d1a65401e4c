package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lethe/audit/keyfile"
)

const (
	logKeyFile    = "log.key"          // in the data folder
	nextSuffix    = ".next"            // of the key that follows, as keyfile names it
	overlapSuffix = ".overlap"         // of how long both keys are to sign
	keyOverlap    = 7 * 24 * time.Hour // how long they do unless told otherwise
	maxOverlap    = 10 * 365 * 24 * time.Hour
)

// An AgentConfig names a log's key that is kept by an ssh-agent.
type AgentConfig struct {
	// socket: the path of the agent's socket. Default that of SSH_AUTH_SOCK.
	Socket string `yaml:"socket"`

	// key: the comment or the SHA-256 fingerprint (SHA256:…) of an Ed25519 key
	// in the agent. The first start takes it for the log's key. A log that has a
	// key keeps it: see lethe keys rotate --agent-key. Default none.
	Key string `yaml:"key"`
}

// keyFile returns where the log's key is kept.
func (c *Config) keyFile() keyfile.File {
	f := keyfile.File{Path: filepath.Join(c.Data, logKeyFile)}
	if c.LogKeyAgent != nil {
		f.Socket = c.LogKeyAgent.Socket
	}
	return f
}

// openLogKey opens the log's key, or makes or adopts one at the first start.
// Only then must the agent answer.
func (c *Config) openLogKey(ctx context.Context) (*keyfile.Key, error) {
	f := c.keyFile()
	_, err := os.Stat(f.Path)
	if errors.Is(err, fs.ErrNotExist) && c.LogKeyAgent != nil && c.LogKeyAgent.Key != "" {
		return f.Adopt(c.LogOrigin, c.LogKeyAgent.Key)
	}
	if err := c.keyLost(ctx); err != nil {
		return nil, err
	}
	return f.Open(c.LogOrigin)
}

// overlapFile keeps how long both keys are to sign, until the rotation ends.
func overlapFile(f keyfile.File) string { return f.Path + overlapSuffix }

// readOverlap returns how long both keys are to sign, and whether anybody said
// so.
func readOverlap(f keyfile.File) (time.Duration, bool, error) {
	text, err := readSmallFile(overlapFile(f), 64)
	if errors.Is(err, fs.ErrNotExist) {
		return keyOverlap, false, nil
	} else if err != nil {
		return 0, false, fmt.Errorf("read the overlap of keys: %w", err)
	}
	d, err := time.ParseDuration(strings.TrimSpace(string(text)))
	if err != nil || d < 0 || d > maxOverlap {
		return 0, false, fmt.Errorf("%s does not hold a duration", overlapFile(f))
	}
	return d, true, nil
}

func writeOverlap(f keyfile.File, d time.Duration) error {
	return writeFile(overlapFile(f), []byte(d.String()+"\n"), 0o600)
}
