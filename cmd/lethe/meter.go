package main

import (
	"io"
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// A meter shows on a terminal how far a long step of a command is, and nothing
// elsewhere.
type meter struct{ bar *progressbar.ProgressBar }

func newMeter(w io.Writer) *meter {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &meter{}
	}
	return &meter{progressbar.NewOptions64(-1,
		progressbar.OptionSetWriter(w), progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(true),
		progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())}
}

// pages tells of a copy: how many of how many pages are there.
func (m *meter) pages(done, total int) { m.at("copying", int64(done), int64(total)) }

// at tells how far a step is.
func (m *meter) at(step string, done, total int64) {
	if m.bar == nil {
		return
	}
	m.bar.Describe(step)
	if total > 0 && m.bar.GetMax64() != total {
		m.bar.ChangeMax64(total)
	}
	_ = m.bar.Set64(min(done, max(total-1, 0))) // at its maximum the bar would end; stop ends it
}

// say tells of a step of which it is not known how long it takes.
func (m *meter) say(step string) {
	if m.bar != nil {
		m.bar.Describe(step)
	}
}

// stop takes the bar away.
func (m *meter) stop() {
	if m.bar != nil {
		_ = m.bar.Finish()
	}
}
