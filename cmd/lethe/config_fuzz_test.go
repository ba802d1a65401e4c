package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// FuzzLoad: whatever a configuration holds, it is refused as wrong usage or
// means one thing, and no error repeats a password, wherever it stands: where a key
// should be, too, unless it looks like one.
func FuzzLoad(f *testing.F) {
	f.Add(goodConfig)
	f.Add("")
	f.Add("listen: 127.0.0.1:1\nstores: [{name: a, kind: mem0-postgres, dsn: 'postgres://u:hunter2@h/db', table: m, history: none}]\n")
	f.Add("queue: redis://:hunter2@127.0.0.1:6379/0\n")
	f.Add("ledger: postgres://u:hunter2@h/db\n")
	f.Add("zone: Europe/Berlin\nholidays: [de-be, 2026-12-24]\nregime: a\nregimes: [{name: a, months: 1, extend_days: 3, confirm_business_days: 2, next_working_day: true, holidays: [us]}]\nexemptions: [x]\n")
	f.Add("data: &a x\nlisten: *a\n")
	f.Add(sweptStores + "  - {name: a, stores: [app], every: 24h, where: {older_than: 90d, metadata: {a: 1}}, max_fraction: 0.5}\n  - {name: b, stores: [assistant], cron: '0 3 * * *', zone: Europe/Berlin, where: {expired: true}}\n")
	f.Add("witnesses: [{key: k, url: 'https://u:hunter2@w.example'}]\nanchors: [{file: a}]\n")
	f.Add(":hunter2@: x\n")
	f.Add("data: x\nstores:\n  ! 0000000") // the library panics
	f.Add("limits: {':hunter2@h': 1}\n':hunter2@h': 1\n':hunter2@h': 2\n")
	f.Add("stores: [{name: a, kind: tables, driver: sqlite3, file: x, places: [{table: ':hunter2@', id: i, match: {':hunter2@': b}}], waived: {':hunter2@': ':hunter2@'}}]\n")
	path := filepath.Join(f.TempDir(), "lethe.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "_file") || len(text) > 4096 {
			return // other files are read
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path, Overrides{})
		if err != nil {
			if !errors.Is(err, errUsage) {
				t.Errorf("not wrong usage: %v", err)
			}
			if strings.Contains(text, ":hunter2@") && strings.Contains(err.Error(), ":hunter2@") {
				t.Errorf("the error repeats a password: %v", err)
			}
			return
		}
		if again, err := Load(path, Overrides{}); err != nil || !reflect.DeepEqual(c, again) {
			t.Errorf("read again it is another one: %v", err)
		}
	})
}
