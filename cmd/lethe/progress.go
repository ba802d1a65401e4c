package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"lethe/jobs/api"
)

// A progress tells a person how far a request is: as a bar on a terminal, in
// plain lines elsewhere.
type progress struct {
	w    io.Writer
	bar  *progressbar.ProgressBar // nil for plain lines
	last string
	at   time.Time
}

// lineEvery is how often a plain line may tell about numbers alone.
const lineEvery = 10 * time.Second

func newProgress(w io.Writer) *progress {
	p := &progress{w: w}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions64(-1,
			progressbar.OptionSetWriter(w),
			progressbar.OptionShowCount(),
			progressbar.OptionSetPredictTime(false),
			progressbar.OptionSetElapsedTime(true),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
		)
	}
	return p
}

// show tells about r, of which it prints nothing but the status, counts and why
// it waits.
func (p *progress) show(r api.Request) {
	done, total := counts(r)
	if p.bar != nil {
		p.bar.Describe(string(r.Status))
		if total > 0 && p.bar.GetMax64() != total {
			p.bar.ChangeMax64(total)
		}
		_ = p.bar.Set64(min(done, max(total-1, 0))) // at its maximum the bar would end; stop ends it
		return
	}
	line := string(r.Status)
	if why := waits(r); why != "" {
		line += " (" + legible(why) + ")"
	}
	if line == p.last && time.Since(p.at) < lineEvery {
		return
	}
	p.last, p.at = line, time.Now()
	if total > 0 {
		line += fmt.Sprintf(", %d of %d IDs", done, total)
	}
	_, _ = fmt.Fprintln(p.w, line)
}

// stop takes the bar away.
func (p *progress) stop() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}

// counts returns how many IDs are dealt with and how many there are, over all
// stores.
func counts(r api.Request) (done, total int64) {
	for _, s := range r.Stores {
		done += int64(s.Erased + s.Held + s.Refused)
		total += int64(s.Found - s.Exempt)
	}
	return done, total
}
