package main

import (
	"bytes"
	"path/filepath"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus"

	"lethe/audit/durable"
)

// backupFile is the note of the newest backup, in the data folder: a line of JSON,
// {"at": TIME, "entries": N}. It says that a copy was made and found good, and not
// that it is still there.
const backupFile = "backup.last"

type backupNote struct {
	At      time.Time `json:"at"`
	Entries int64     `json:"entries"`
}

func noteBackup(s *source, b backup) error {
	dir, err := s.dataDir()
	if err != nil {
		return err
	}
	return noteBackupIn(dir, b)
}

func noteBackupIn(dir string, b backup) error {
	line, err := json.Marshal(backupNote{At: b.At.UTC().Truncate(time.Second), Entries: b.Entries})
	if err != nil {
		return err
	}
	return durable.Replace(filepath.Join(dir, backupFile), append(line, '\n'), 0o600)
}

// lastBackup returns the note; ok is false if there is none that can be read.
func lastBackup(dir string) (n backupNote, ok bool) {
	text, err := readSmallFile(filepath.Join(dir, backupFile), 4096)
	if err != nil || json.Unmarshal(bytes.TrimSpace(text), &n) != nil || n.At.IsZero() {
		return backupNote{}, false
	}
	return n, true
}

// A backupAge collector reports when the newest backup was begun. Before the first
// there is no series: absent() finds that, and a 0 would read as 1970.
type backupAge struct {
	dir string
	at  *prometheus.Desc
}

var _ prometheus.Collector = (*backupAge)(nil)

func newBackupAge(dir string) *backupAge {
	return &backupAge{dir, prometheus.NewDesc("lethe_backup_last_success_timestamp_seconds",
		"When the newest backup that lethe backup has made was begun, as a Unix time; absent before the first, and with a PostgreSQL ledger.", nil, nil)}
}

// Describe implements prometheus.Collector.
func (b *backupAge) Describe(ch chan<- *prometheus.Desc) { ch <- b.at }

// Collect implements prometheus.Collector.
func (b *backupAge) Collect(ch chan<- prometheus.Metric) {
	if n, ok := lastBackup(b.dir); ok {
		ch <- prometheus.MustNewConstMetric(b.at, prometheus.GaugeValue, float64(n.At.Unix()))
	}
}
