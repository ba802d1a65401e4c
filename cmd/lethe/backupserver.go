package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"lethe/audit/durable"
	"lethe/audit/proof"
	"lethe/jobs/api"
)

// takeBackup makes a copy of the ledger for somebody far away. The file has no name
// any more when it is sent, so that nothing is left of it, however this ends.
func (s *service) takeBackup(ctx context.Context) (*api.Backup, error) {
	if s.config.postgres() != "" {
		return nil, api.ErrNotHere
	}
	f, err := os.CreateTemp(s.config.Data, durable.TmpPrefix+"*")
	if err != nil {
		return nil, fmt.Errorf("back up the ledger: %w", err)
	}
	defer removeCopy(f.Name())
	b, err := s.config.copyLedger(ctx, f.Name(), &meter{})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("back up the ledger: %w", err), f.Close())
	}
	digest, err := hex.DecodeString(b.SHA256)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &api.Backup{Content: f, Bytes: b.Bytes, SHA256: digest, Sent: func() {
		if err := noteBackupIn(s.config.Data, b); err != nil {
			s.logger.WarnContext(ctx, "a backup was sent, and that could not be noted", slog.Any("error", err))
		}
	}}, nil
}

// removeCopy removes a copy and what SQLite may have made beside it.
func removeCopy(path string) {
	for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
		_ = os.Remove(path + suffix)
	}
}

// download fills tmp with a copy that the server makes, and checks it here as well,
// under the keys that the server names.
func (s *source) download(ctx context.Context, tmp string, bar *meter) (b backup, err error) {
	client, err := s.client()
	if err != nil {
		return b, err
	}
	text, err := client.Keys(ctx)
	if err != nil {
		return b, err
	}
	if _, err := proof.ParseKeys(text); err != nil {
		return b, err
	}
	bar.say("the server makes a copy")
	at := time.Now()
	sent, err := client.Backup(ctx)
	if err != nil {
		return b, err
	}
	defer sent.Content.Close()
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return b, err
	}
	n, err := io.Copy(f, &metered{r: sent.Content, bar: bar, total: sent.Bytes})
	if err = errors.Join(err, f.Close()); err != nil {
		return b, fmt.Errorf("receive the copy: %w", err)
	}
	bar.say("checking")
	b, err = examineBackup(ctx, tmp, newestFirst(text))
	if err != nil {
		return b, err
	}
	if digest, err := hex.DecodeString(b.SHA256); err != nil || n != sent.Bytes || !bytes.Equal(digest, sent.SHA256) {
		return b, errors.New("receive the copy: what came is not what was sent")
	}
	b.At = at.UTC()
	return b, nil
}

// newestFirst turns a list of all keys that a log has had, the oldest first, into one
// that begins with the key in force.
func newestFirst(text []byte) string {
	var keys []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			keys = append([]string{line}, keys...)
		}
	}
	return strings.Join(keys, "\n")
}

// A metered reader tells how much of a total was read.
type metered struct {
	r           io.Reader
	bar         *meter
	done, total int64
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.done += int64(n)
	m.bar.at("receiving", m.done, m.total)
	return n, err
}
