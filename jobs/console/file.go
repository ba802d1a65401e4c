package console

import (
	"crypto/sha256"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"lethe/jobs"
)

// A formView is what the form for filing shows. It has what may be shown again
// of a form that was refused, and no selector.
type formView struct {
	Stores  []tick
	Regimes []choice
	Grounds []choice

	Ticket, Regime, Ground, Grace, Received string
	Refused                                 string
}

type tick struct {
	Name string
	On   bool
}

// A planView is what a plan shows before it is filed.
type planView struct {
	jobs.Plan
	Draft    string
	Selector []string // which fields were given, and how long they are
	Form     jobs.Submission
	Rows     int // in all stores
	Minutes  int // for how long it is kept
}

// form is GET /console/new.
func (c *Console) form(v *visit) (answer, error) {
	return c.show(v, http.StatusOK, "new", "File a request", c.formView(url.Values{"store": c.Stores}, "")), nil
}

func (c *Console) formView(given url.Values, refused string) formView {
	f := formView{
		Ticket: given.Get("ticket"), Regime: given.Get("regime"), Ground: given.Get("ground"), Grace: given.Get("grace"),
		Received: given.Get("received"), Refused: refused, Grounds: grounds(),
	}
	for _, name := range c.Stores {
		f.Stores = append(f.Stores, tick{name, slices.Contains(given["store"], name)})
	}
	for _, name := range c.Regimes {
		f.Regimes = append(f.Regimes, choice{name, regimeWords(name)})
	}
	return f
}

// plan is POST /console/plan: look before you erase.
func (c *Console) plan(v *visit) (answer, error) {
	s, err := c.submission(v.form)
	s.By = v.by
	var p jobs.Plan
	if err == nil {
		p, err = c.Planner.Plan(v.ctx, s)
	}
	if said := refusal(err); said != "" {
		return c.show(v, http.StatusUnprocessableEntity, "new", "File a request", c.formView(v.form, said)), nil
	}
	if err != nil {
		return answer{}, err
	}
	view := planView{Plan: p, Selector: shape(s.Selector), Form: s, Minutes: int(draftFor.Minutes())}
	for _, st := range p.Stores {
		view.Rows += st.Found
	}
	view.Draft = c.drafts.keep(c.sessions.GetString(v.ctx, keyForm), s)
	return c.show(v, http.StatusOK, "plan", "Look before you erase", view), nil
}

// submission reads the form.
func (c *Console) submission(form url.Values) (s jobs.Submission, err error) {
	if s.Selector, err = readSelector(form); err != nil {
		return s, err
	}
	s.Origin, s.Ticket, s.Regime, s.Ground = jobs.OriginConsole, strings.TrimSpace(form.Get("ticket")), form.Get("regime"), strings.TrimSpace(form.Get("ground"))
	if err := jobs.CheckTicket(s.Ticket); err != nil {
		return s, err
	}
	if err := jobs.CheckGround(s.Ground); err != nil {
		return s, err
	}
	if !slices.Contains(c.Regimes, s.Regime) {
		return s, &jobs.Invalid{Field: "regime", Problem: "must be one of the list"}
	}
	if s.Grace, err = readGrace(form.Get("grace")); err != nil {
		return s, err
	}
	if s.ReceivedAt, err = readTime("received", form.Get("received")); err != nil {
		return s, err
	}
	for _, name := range form["store"] {
		if !slices.Contains(c.Stores, name) || slices.Contains(s.Stores, name) {
			return s, &jobs.Invalid{Field: "stores", Problem: "must be ticked in the list, each once"}
		}
		s.Stores = append(s.Stores, name)
	}
	if len(s.Stores) == 0 {
		return s, &jobs.Invalid{Field: "stores", Problem: "must be ticked, one at least"}
	}
	return s, nil
}

// readGrace reads a duration such as 72h or 3d.
func readGrace(text string) (time.Duration, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		d = time.Duration(min(max(n, -1), 1000)) * 24 * time.Hour
	}
	if err != nil || d < 0 || d > jobs.MaxGrace {
		return 0, &jobs.Invalid{Field: "grace", Problem: "must be a time such as 72h or 3d, 90 days at most"}
	}
	return d, nil
}

// readTime reads what a datetime-local field gives, as UTC; "" is zero.
func readTime(field, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", time.RFC3339, "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil && t.Year() >= 1970 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, &jobs.Invalid{Field: field, Problem: "must be a date with a time, such as 2026-11-20T09:00"}
}

// file is POST /console/file: what was planned is filed. Asked twice, it files
// once.
func (c *Console) file(v *visit) (answer, error) {
	name := v.form.Get("draft")
	s, err := c.drafts.find(c.sessions.GetString(v.ctx, keyForm), name)
	if err != nil {
		return answer{}, err
	}
	if v.form.Get("sure") != "yes" {
		return answer{}, &jobs.Invalid{Field: "sure", Problem: "must be ticked: look at the counts before you file"}
	}
	body := sha256.Sum256([]byte(name))
	s.By, s.IdempotencyKey, s.BodyDigest = v.by, "console-"+name, body[:]
	r, _, err := c.Book.Submit(v.ctx, s)
	if err != nil {
		return answer{}, err
	}
	c.drafts.drop(name)
	c.say(v, "filed")
	return to(r.ID), nil
}
