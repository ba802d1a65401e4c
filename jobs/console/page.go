package console

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"lethe/jobs"
	"lethe/store"
)

//go:embed templates/*.html
var templates embed.FS

//go:embed assets
var assets embed.FS

// An answer is what a call is answered with: a page, a file or another place.
type answer struct {
	status int // 0 for 200

	page, title string
	data        any

	file []byte
	name string // under which it is kept

	to string // path or URL to go to, with a status of 303
}

// A frame is what all pages are made with.
type frame struct {
	Title   string
	By      jobs.Actor
	Known   bool // somebody is signed in, or nobody needs to
	Open    bool
	Form    string // the token of the forms
	Note    string
	Now     time.Time
	Version string

	MayFile, MayHold, MaySeeHolds, MaySeePolicies bool

	Data any
}

// pages are the templates, by name.
type pages map[string]*template.Template

func readPages() (pages, error) {
	names, err := templates.ReadDir("templates")
	if err != nil {
		return nil, err
	}
	all := pages{}
	for _, n := range names {
		name, _ := strings.CutSuffix(n.Name(), ".html")
		if name == "layout" {
			continue
		}
		t := template.New("layout.html").Funcs(words()).Option("missingkey=error")
		if all[name], err = t.ParseFS(templates, "templates/layout.html", "templates/"+n.Name()); err != nil {
			return nil, fmt.Errorf("read page: %w", err)
		}
	}
	return all, nil
}

// show makes the answer of a page.
func (c *Console) show(v *visit, status int, page, title string, data any) answer {
	f := frame{Title: title, Now: time.Now().UTC(), Version: c.Version, Data: data}
	if v != nil {
		f.By, f.Known, f.Open, f.Form = v.by, true, v.kind == kindOpen, c.sessions.GetString(v.ctx, keyForm)
		f.Note = remark(c.sessions.GetString(v.ctx, keyNote))
		if f.Note != "" {
			c.sessions.Remove(v.ctx, keyNote)
		}
		f.MayFile, f.MayHold = v.by.May(jobs.ActFile), v.by.May(jobs.ActHold)
		f.MaySeePolicies = c.Sweeps != nil && v.by.May(jobs.ActPolicies)
		f.MaySeeHolds = c.Holds != nil && v.by.May(jobs.ActHolds)
	}
	return answer{status: status, page: page, title: title, data: f}
}

// write sends an answer.
func (c *Console) write(w http.ResponseWriter, a answer) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	h := w.Header()
	switch {
	case a.to != "":
		h.Set("Location", a.to)
		w.WriteHeader(a.status)
	case a.file != nil:
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": a.name}))
		_, _ = w.Write(a.file) // a client that has gone needs no answer
	default:
		c.writePage(w, a)
	}
}

func (c *Console) writePage(w http.ResponseWriter, a answer) {
	f, framed := a.data.(frame)
	if !framed {
		f = frame{Title: a.title, Now: time.Now().UTC(), Version: c.Version, Data: a.data}
	}
	var page bytes.Buffer
	if err := c.pages[a.page].Execute(&page, f); err != nil {
		panic(fmt.Errorf("console: page %s: %w", a.page, err)) // api.Protect answers
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(a.status)
	_, _ = w.Write(page.Bytes())
}

// A mishap is an error as a person is told of it.
type mishap struct {
	status        int
	Title, Detail string
	Fix           string
	SignIn        bool
}

// mishaps is the one table from errors to pages. The first that fits is taken.
func mishaps() []struct {
	is error
	mishap
} {
	const nothing = "Nothing was changed."
	return []struct {
		is error
		mishap
	}{
		{errSignIn, mishap{http.StatusUnauthorized, "You are not signed in", "Your session has ended, or your token was revoked or has expired. " + nothing, "Sign in again.", true}},
		{errOnward, mishap{http.StatusUnauthorized, "You are not signed in", nothing, "Sign in again.", true}},
		{errForm, mishap{http.StatusForbidden, "This form has expired", nothing + " The form was made for another session, or too long ago.", "Open the page again and send it from there.", false}},
		{errForeign, mishap{http.StatusForbidden, "Refused", nothing + " The call came from a page of another origin.", "If a proxy stands before Lethe, it must pass Host on unchanged.", false}},
		{errNoRole, mishap{http.StatusForbidden, "You have no role here", "The sign-in service knows you, but none of your groups has a role in Lethe.", "Ask whoever runs Lethe to map one of your groups to a role.", false}},
		{errProvider, mishap{http.StatusForbidden, "You were not signed in", "The sign-in service did not answer, or its answer cannot be accepted.", "Try again. If that does not help, the log of Lethe says why.", true}},
		{errTooBig, mishap{http.StatusRequestEntityTooLarge, "The form is too large", nothing, "File it with lethe submit --ids-file.", false}},
		{errShape, mishap{http.StatusBadRequest, "The form cannot be read", nothing, "Send it from its page.", false}},
		{errDraft, mishap{http.StatusConflict, "This plan is no longer at hand", nothing + " A plan is kept for 15 minutes and is filed once.", "Look at the list whether the request was filed; if not, fill in the form again.", false}},
		{jobs.ErrSelfApproval, mishap{http.StatusForbidden, "You filed this request yourself", nothing + " Who filed a request may not approve it.", "Ask somebody else who may approve.", false}},
		{jobs.ErrPlanChanged, mishap{http.StatusConflict, "The plan has changed", nothing + " What is there to erase is not what was shown to you.", "Look at the new counts and decide again.", false}},
		{jobs.ErrNotWaiting, mishap{http.StatusConflict, "It does not wait for an approval", nothing + " Somebody else may have decided meanwhile.", "Look at the request again.", false}},
		{jobs.ErrBegun, mishap{http.StatusConflict, "Erasing has begun", nothing + " It is too late to reject.", "Cancel the request: it stops between two batches.", false}},
		{jobs.ErrPlacing, mishap{http.StatusConflict, "The hold is being placed", nothing + " It can be released once it is in force.", "Try again in a minute.", false}},
		{jobs.ErrForbidden, mishap{http.StatusForbidden, "You may not do this", nothing + " Your role does not allow it.", "Ask somebody whose role does.", false}},
		{jobs.ErrNotFound, mishap{http.StatusNotFound, "Not found", "There is nothing at this address, or it is not for you to see.", "Begin at the list of requests.", false}},
		{jobs.ErrConflict, mishap{http.StatusConflict, "Not as things are", nothing, "Look at the list, then try again.", false}},
		{jobs.ErrTooLate, mishap{http.StatusConflict, "Too late, or too early", nothing + " The request has ended, or what you asked for is not there yet.", "Look at the request again.", false}},
		{jobs.ErrGone, mishap{http.StatusGone, "Destroyed on schedule", "The key was destroyed when it was due.", "", false}},
		{jobs.ErrRefused, mishap{http.StatusServiceUnavailable, "The log refuses to append", nothing + " The log was found not to be what it was, so nothing is taken in.", "Tell whoever runs Lethe: /readyz says why.", false}},
		{jobs.ErrBroken, mishap{http.StatusServiceUnavailable, "There is no proof of this", "What the log holds of it does not verify.", "Tell whoever runs Lethe: lethe log check says what is wrong.", false}},
	}
}

// problem makes the page that tells a person about err, and nothing of err's own
// text but what its type promises to be free of values.
func (c *Console) problem(v *visit, err error) answer {
	for _, m := range mishaps() {
		if errors.Is(err, m.is) {
			return c.show(v, m.status, "error", m.Title, m.mishap)
		}
	}
	m := mishap{
		http.StatusServiceUnavailable, "No answer", "The book of requests did not answer. What you asked for may or may not have been done.",
		"Look at the list, then try again.", false,
	}
	if d, ok := errors.AsType[*jobs.StoreDown](err); ok {
		m.Title, m.Detail, m.Fix = "Store "+d.Store+" is down", "What is in it cannot be counted now. Nothing was changed.", "Try again when it is back: /readyz says why it is down."
	} else if said := refusal(err); said != "" {
		m.status, m.Title, m.Detail, m.Fix = http.StatusUnprocessableEntity, "This cannot be accepted", "Nothing was changed. "+said, "Correct it and send it again."
	} else {
		c.unanswered(v, err)
	}
	return c.show(v, m.status, "error", m.Title, m)
}

// unanswered notes an error that nobody foresaw, unless its asker has gone.
func (c *Console) unanswered(v *visit, err error) {
	switch {
	case v == nil:
		c.note(context.Background(), slog.LevelError, "page not answered", slog.Any("error", err))
	case v.ctx.Err() == nil:
		c.note(v.ctx, slog.LevelError, "page not answered", slog.String("route", v.r.Pattern), slog.Any("error", err))
	}
}

// refusal returns which field cannot be accepted and why, or "" if err is
// about no field. It never has a value in it.
func refusal(err error) string {
	if f, ok := errors.AsType[*store.FieldError](err); ok {
		return strings.TrimPrefix(f.Field, "selector.") + " " + f.Problem + "."
	}
	if f, ok := errors.AsType[*jobs.Invalid](err); ok {
		return f.Field + " " + f.Problem + "."
	}
	return ""
}

// asset is GET /console/assets/{name}.
func (c *Console) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	text, err := assets.ReadFile("assets/" + name)
	if err != nil {
		c.write(w, c.problem(nil, jobs.ErrNotFound))
		return
	}
	w.Header().Set("Content-Type", mediaType(name))
	_, _ = w.Write(text)
}

// mediaType does not ask the system, which may know other types.
func mediaType(name string) string {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	}
	return "image/svg+xml"
}
