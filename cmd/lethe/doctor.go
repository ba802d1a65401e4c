package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/jobs/api"
	"lethe/jobs/ledger"
)

// checkLimit bounds one check. To read a whole database takes longer than to ask one.
const (
	checkLimit  = 20 * time.Second
	readLimit   = 10 * time.Minute
	servedLimit = time.Minute // for reading it, when somebody waits for an answer over HTTP
)

// A ward is an installation that is looked at: by a command beside it, or by the
// service itself. Nothing of it is changed.
type ward struct {
	config Config
	around *surroundings
	now    time.Time
	within bool // the service itself looks

	roomAt    func(dir string) (room, bool) // ok is false where it is not known
	openFiles func() uint64                 // 0 where it is not known

	db   *sqlx.DB // the ledger, to be read; nil if there is none, or it cannot be opened
	noDB error    // why not; nil if there is none yet
}

// A check looks at one thing.
type check struct {
	name  string // as the metric lethe_weaknesses has it, where it is a look as well
	fine  string // what is said if nothing is found
	limit time.Duration
	find  func(context.Context, *ward) []api.Finding
}

// checks are all that lethe doctor looks at. A new one is a file of its own and a line
// here. The looks of the start are part of them.
func checks() []check {
	list := []check{
		{"stores", "each store answers, and its data map fits", checkLimit, checkStoreMaps},
		{"queue", "the queue answers and is fit", checkLimit, checkQueue},
		{"ledger", "the ledger is whole", readLimit, checkLedger},
		{"log", "the log hashes to its signed head and continues what is kept of it elsewhere", checkLimit, checkLogHead},
		{"keys", "the log's key and those of all open requests are there", checkLimit, checkKeys},
		{"running", "the ledger is served, and nothing waits longer than it should", checkLimit, checkRunning},
		{"backup", "a backup was made in the last days", checkLimit, checkBackup},
		{"disk", "there is room to rewrite each database, and everything can be written to", checkLimit, checkDisk},
		{"certificates", "no certificate has expired or soon will", checkLimit, checkCertificates},
		{"time_zones", "the calendars of the laws can be read", checkLimit, checkZones},
		{"open_files", "enough files may be open at once", checkLimit, checkOpenFiles},
	}
	for _, l := range looks() {
		list = append(list, check{l.name, "nothing weak", checkLimit, func(ctx context.Context, p *ward) []api.Finding {
			return weakOf(l.find(ctx, p.around))
		}})
	}
	return list
}

// weakOf words what a look found. Nothing of it keeps the service from working.
func weakOf(found []weakness) (list []api.Finding) {
	for _, w := range found {
		list = append(list, weak(w.What, w.Fix))
	}
	return list
}

func weak(what, fix string) api.Finding {
	return api.Finding{Level: api.LevelWeak, What: what, Fix: fix}
}

func broken(what, fix string) api.Finding {
	return api.Finding{Level: api.LevelBroken, What: what, Fix: fix}
}

// examine makes all checks, one after the other. tell is told of each before it
// begins.
func (p *ward) examine(ctx context.Context, tell func(step string, done, total int)) api.Checkup {
	all := checks()
	report := api.Checkup{Level: api.LevelOK}
	add := func(name string, f api.Finding) {
		f.Check = name
		report.Findings = append(report.Findings, f)
		if f.Level == api.LevelBroken || f.Level == api.LevelWeak && report.Level == api.LevelOK {
			report.Level = f.Level
		}
	}
	add("config", api.Finding{Level: api.LevelOK, What: "the configuration can be read and makes sense"})
	p.openLedger(ctx)
	defer p.closeLedger()
	for i, c := range all {
		tell(c.name, i, len(all))
		found := p.make(ctx, c)
		for _, f := range found {
			add(c.name, f)
		}
		if len(found) == 0 {
			add(c.name, api.Finding{Level: api.LevelOK, What: c.fine})
		}
	}
	return report
}

// make makes one check. One that is not done in time has found that.
func (p *ward) make(ctx context.Context, c check) []api.Finding {
	limit := c.limit
	if p.within {
		limit = min(limit, servedLimit)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	found := c.find(ctx, p)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		found = append(found, weak(fmt.Sprintf("this check was not done within %s", limit), "see what is slow; lethe doctor with --config on the machine itself waits longer"))
	}
	return found
}

// openLedger opens the ledger to read it. A SQLite ledger that nobody has open is read
// as a file that does not change: to open it in the ordinary way would make files
// beside it.
func (p *ward) openLedger(ctx context.Context) {
	if p.config.postgres() != "" {
		begun, err := ledger.Begun(ctx, p.config.postgres())
		if err != nil || !begun {
			p.noDB = err
			return
		}
		p.db, p.noDB = ledger.Reader(ctx, p.config.postgres())
		return
	}
	path := filepath.Join(p.config.Data, ledgerFile)
	if begun, err := p.config.ledgerBegun(ctx); err != nil || !begun {
		p.noDB = err
		return
	}
	query := readingSQLite()
	if !exists(path + "-wal") {
		query.Set("immutable", "1")
	}
	p.db, p.noDB = openSQLite(path, query)
}

func (p *ward) closeLedger() {
	if p.db != nil {
		_ = p.db.Close() // it was read
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
