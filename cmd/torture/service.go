//go:build torture

package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"lethe/jobs/api"
)

// Times that the lab holds the service to.
const (
	startLimit = 30 * time.Second // the machine may be busy
	stopLimit  = 10 * time.Second
	liveLimit  = 60 * time.Second // for everything, once nothing goes wrong any more
)

// A house is one installation of the service, over all its lives.
type house struct {
	*kase
	world  *world
	config string // path
	ledger string // URL, if it is in PostgreSQL
	began  time.Time
	lives  int
	limit  time.Duration // for everything, once nothing goes wrong any more
	cast   *cast         // who acts, if there are tokens
	died   *pass         // where the life before the last was killed
	blows  []time.Time   // when something fell on a life

	mu     sync.Mutex
	now    *life // the one that serves, or nil
	beside *life // another one, or nil
	turn   bool
}

// A life is one process of the service.
type life struct {
	cmd    *exec.Cmd
	url    string
	client *api.Client   // of who files
	second *api.Client   // of who decides, if there is one
	hits   string        // path
	exited chan struct{} // closed after cmd.Wait
	err    error         // of cmd.Wait
	ended  time.Time     // likewise
}

// settings are the lines of a configuration that cases differ in.
type settings struct {
	queue string
	purge string
	extra string
	most  string // beyond what limits a plan has to be approved
}

func (c *kase) house(w *world, s settings) (*house, error) {
	h := &house{kase: c, limit: liveLimit, began: time.Now(), world: w, config: filepath.Join(c.dir, "lethe.yaml")}
	var b strings.Builder
	fmt.Fprintf(&b, "listen: 127.0.0.1:0\ndata: %s\nqueue: %s\nlog_origin: torture.example/log\nlimits: {%s}\n%sstores:\n", filepath.Join(c.dir, "data"), s.queue, cmp.Or(s.most, "max_rows: 10000000, max_fraction: 1"), s.extra)
	for _, in := range w.stores {
		fmt.Fprintf(&b, "  - {name: %s, kind: mem0-sqlite, vectors: %s, entities: %s, history: %s, purge: %s}\n",
			in.name, in.files.Vectors, in.files.Entities, in.files.History, s.purge)
	}
	if err := os.Mkdir(filepath.Join(c.dir, "tmp"), 0o700); err != nil {
		return nil, err
	}
	return h, os.WriteFile(h.config, []byte(b.String()), 0o600)
}

// start begins a life under a plan of faults, and returns once it serves, or
// has died trying.
func (h *house) start(ctx context.Context, plan string, bugs ...string) (*life, error) {
	h.lives++
	l := &life{hits: filepath.Join(h.dir, fmt.Sprintf("hits-%d", h.lives)), exited: make(chan struct{})}
	l.cmd = exec.CommandContext(ctx, h.binary, "serve", "--config", h.config)
	l.cmd.Env = append(os.Environ(), "LETHE_FAULT="+plan, "LETHE_FAULT_HITS="+l.hits, fmt.Sprint("LETHE_FAULT_PACE=", pace), "LETHE_BUG="+strings.Join(bugs, ","),
		"TMPDIR="+filepath.Join(h.dir, "tmp"), "GOTRACEBACK=none", "GOGC=400") // lives are short
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := l.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(h.dir, "service.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if err := l.cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	serving := make(chan string, 1)
	go func() {
		follow(out, log, serving)
		_ = log.Close()
		l.err = l.cmd.Wait()
		l.ended = time.Now()
		close(l.exited)
	}()
	timer := time.NewTimer(stretched(startLimit))
	defer timer.Stop()
	for listen := serving; ; {
		select {
		case addr := <-listen:
			l.url = "http://" + addr
			if err := h.meet(l); err != nil {
				return nil, err
			}
			h.set(l)
			return l, nil
		case <-l.exited:
			return l, nil
		case <-timer.C:
			if l.isStopped() {
				return l, nil
			}
			l.kill()
			return nil, errors.New("the service does not start")
		case <-time.After(20 * time.Millisecond):
			if strings.Contains(plan, ":stop") && l.isStopped() {
				return l, nil
			}
		}
	}
}

// meet makes the clients of a life.
func (h *house) meet(l *life) (err error) {
	var filer string
	if h.cast != nil {
		filer = h.cast.filer.Secret
		if l.second, err = api.NewClient(l.url, h.cast.second.Secret, nil); err != nil {
			return err
		}
	}
	l.client, err = api.NewClient(l.url, filer, nil)
	return err
}

// follow copies the service's log, and says where it serves.
func follow(from io.Reader, to io.Writer, serving chan<- string) {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadBytes('\n')
		_, _ = to.Write(line)
		var said struct{ Msg, Listen string }
		if json.Unmarshal(line, &said) == nil && said.Msg == "serving" {
			serving <- said.Listen
		}
		if err != nil {
			return
		}
	}
}

func (h *house) set(l *life) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = l
}

// stand puts a life beside the one that serves.
func (h *house) stand(l *life) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.beside = l
}

// client returns that of the life that serves now, or nil; of two in turn.
func (h *house) client() *api.Client {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.turn = !h.turn
	switch {
	case h.now != nil && (h.beside == nil || h.turn):
		return h.now.client
	case h.beside != nil:
		return h.beside.client
	}
	return nil
}

func (l *life) signal(s syscall.Signal) { _ = l.cmd.Process.Signal(s) }

func (l *life) kill() {
	l.signal(syscall.SIGKILL)
	<-l.exited
}

func (l *life) dead() bool {
	select {
	case <-l.exited:
		return true
	default:
		return false
	}
}

// isStopped reports whether the process has been stopped, as by SIGSTOP.
func (l *life) isStopped() bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(l.cmd.Process.Pid) + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return strings.HasPrefix(rest, "T")
}

// stop ends a life in good order, as a supervisor would.
func (h *house) stop(l *life) error {
	h.set(nil)
	if l.dead() {
		return nil
	}
	began := time.Now()
	l.signal(syscall.SIGTERM)
	select {
	case <-l.exited:
	case <-time.After(stretched(stopLimit + 2*time.Second)): // for the machine
		l.kill()
		return fmt.Errorf("the service has not stopped %s after SIGTERM", stopLimit)
	}
	h.measure("stop after SIGTERM", time.Since(began))
	if l.err != nil {
		return fmt.Errorf("the service stopped with an error: %w", l.err)
	}
	return nil
}

// A pass is one line of a file of hits.
type pass struct {
	point  string
	hit    int
	at     int64 // Unix milliseconds
	action string
}

// passes reads what fault points a life has passed, and counts them.
func (h *house) passes(l *life) []pass {
	text, err := os.ReadFile(l.hits)
	if err != nil {
		return nil
	}
	var all []pass
	for line := range strings.Lines(string(text)) {
		var p pass
		if n, _ := fmt.Sscan(line, &p.point, &p.hit, &p.at, &p.action); n >= 3 {
			all = append(all, p)
		}
	}
	return all
}

// count adds the passes of a life to the lane's.
func (r *run) count(all []pass) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.result.Points == nil {
		r.result.Points = map[string]*passed{}
	}
	for _, p := range all {
		at := r.result.Points[p.point]
		if at == nil {
			at = &passed{Acts: map[string]int{}}
			r.result.Points[p.point] = at
		}
		at.Passes++
		if p.action != "" {
			at.Acts[p.action]++
		}
	}
}
