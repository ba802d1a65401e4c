package console

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/alexedwards/scs/v2"

	"lethe/jobs"
)

// maxForm bounds the body of a form, in bytes.
const maxForm = 1 << 20

// liveHeader is sent by the script when it asks for a page anew. Such a call
// does not keep a session from being idle.
const liveHeader = "Lethe-Live"

// What a session holds, by key.
const (
	keyKind  = "kind" // one of the kinds below
	keyToken = "token"
	keyID    = "id"
	keyRole  = "role"
	keyForm  = "form" // the token of its forms
	keyNote  = "note" // to be shown once, by its code

	kindOpen  = "open"
	kindToken = "token"
	kindOIDC  = "oidc"
)

// The ways in which a call can be nobody's.
var (
	errSignIn  = errors.New("sign in first")
	errForm    = errors.New("the form has expired")
	errForeign = errors.New("call from a page of another origin")
	errTooBig  = errors.New("form too large")
	errShape   = errors.New("malformed form")
	errOnward  = errors.New("came from elsewhere")
)

// A visit is one call, by somebody who is known.
type visit struct {
	ctx  context.Context // of the call, with its session
	r    *http.Request
	by   jobs.Actor
	kind string
	form url.Values // of a POST
}

// visited makes a handler of a route: who is it, may he, was it his own form,
// and only then what the route does.
func (c *Console) visited(t route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := c.meet(r)
		if err != nil {
			c.turnAway(w, r, v, err)
			return
		}
		a, err := c.perform(w, v, t)
		if err != nil {
			a = c.problem(v, err)
		}
		if err := c.remember(w, r, v); err != nil {
			a = c.problem(nil, err)
		}
		c.write(w, a)
	})
}

func (c *Console) perform(w http.ResponseWriter, v *visit, t route) (answer, error) {
	if err := v.by.Check(t.may); err != nil {
		return answer{}, err
	}
	if v.r.Method == http.MethodPost {
		form, err := readForm(w, v.r)
		if err != nil {
			return answer{}, err
		}
		if !same(form.Get("form"), c.sessions.GetString(v.ctx, keyForm)) {
			return answer{}, errForm
		}
		v.form = form
	}
	return t.do(v)
}

// meet finds out who makes a call. With an error the visit is nil, or one whose
// session is over.
func (c *Console) meet(r *http.Request) (*visit, error) {
	token := ""
	if cookie, err := r.Cookie(c.cookieName(r)); err == nil {
		token = cookie.Value
	}
	ctx, err := c.sessions.Load(r.Context(), token)
	if err != nil {
		return nil, fmt.Errorf("load session: %w", err)
	}
	v := &visit{ctx: ctx, r: r}
	if v.by, v.kind, err = c.who(ctx, r); err != nil {
		if errors.Is(err, errSignIn) && token == "" && r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.Method == http.MethodGet {
			err = errOnward // the cookie may only have been kept back
		}
		return v, err
	}
	if c.sessions.GetString(ctx, keyForm) == "" {
		c.sessions.Put(ctx, keyKind, v.kind)
		c.sessions.Put(ctx, keyForm, rand.Text())
	}
	return v, nil
}

// who says whose session ctx has. A token is asked for anew each time.
func (c *Console) who(ctx context.Context, r *http.Request) (by jobs.Actor, kind string, err error) {
	if open, err := c.open(r); err != nil || open {
		return jobs.ActorOpen, kindOpen, err
	}
	switch kind = c.sessions.GetString(ctx, keyKind); kind {
	case kindToken:
		if c.Gate == nil {
			break
		}
		by, err = c.Gate.Actor(ctx, c.sessions.GetString(ctx, keyToken))
		if errors.Is(err, jobs.ErrUnknownToken) {
			return by, "", errors.Join(errSignIn, c.sessions.Destroy(ctx))
		}
		return by, kind, err
	case kindOIDC:
		return jobs.Actor{ID: c.sessions.GetString(ctx, keyID), Role: jobs.Role(c.sessions.GetString(ctx, keyRole))}, kind, nil
	}
	return by, "", errSignIn
}

// open reports whether nobody has to sign in.
func (c *Console) open(r *http.Request) (bool, error) {
	switch {
	case c.OIDC != nil:
		return false, nil
	case c.Open == nil:
		return true, nil
	}
	return c.Open(r)
}

// turnAway answers a call of somebody who is not known.
func (c *Console) turnAway(w http.ResponseWriter, r *http.Request, v *visit, err error) {
	if v != nil {
		if err := c.remember(w, r, v); err != nil {
			c.write(w, c.problem(nil, err))
			return
		}
	}
	switch {
	case errors.Is(err, errOnward):
		c.write(w, c.onward(r.URL.Path))
	case errors.Is(err, errSignIn) && r.Method == http.MethodGet && r.Header.Get(liveHeader) == "":
		to := "/console/sign-in"
		if next := nextPath(r.URL.Path); next != "/" {
			to += "?next=" + url.QueryEscape(next)
		}
		c.write(w, answer{status: http.StatusSeeOther, to: to})
	default:
		c.write(w, c.problem(nil, err))
	}
}

// remember keeps what the call has changed in its session, and that it was not
// idle.
func (c *Console) remember(w http.ResponseWriter, r *http.Request, v *visit) error {
	switch c.sessions.Status(v.ctx) {
	case scs.Destroyed:
		c.setCookie(w, r, "", -1)
	case scs.Modified:
		if r.Header.Get(liveHeader) != "" {
			return nil
		}
		token, _, err := c.sessions.Commit(v.ctx)
		if err != nil {
			return fmt.Errorf("keep session: %w", err)
		}
		c.setCookie(w, r, token, 0)
	case scs.Unmodified:
	}
	return nil
}

// setCookie sets the session's cookie, for as long as the browser runs; how
// long the session lasts is not the browser's to say.
func (c *Console) setCookie(w http.ResponseWriter, r *http.Request, token string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: c.cookieName(r), Value: token, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: c.secure(r), SameSite: http.SameSiteStrictMode,
	})
}

// secure reports whether the browser came by https.
func (c *Console) secure(r *http.Request) bool { return c.Secure || r.TLS != nil }

func (c *Console) cookieName(r *http.Request) string { return c.named(r, "lethe") }

// named prefixes the name of a cookie so that no neighbouring host and no plain
// HTTP can set it (RFC 6265bis, section 4.1.3.2).
func (c *Console) named(r *http.Request, name string) string {
	if c.secure(r) {
		return "__Host-" + name
	}
	return name
}

// readForm reads a POST's body. Only stores may be given more than once.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(kind) != "application/x-www-form-urlencoded" {
		return nil, errShape
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, errTooBig
		}
		return nil, errShape // the cause may quote
	}
	for name, values := range r.PostForm {
		if len(values) > 1 && name != "store" {
			return nil, errShape
		}
	}
	return r.PostForm, nil
}

// same compares two secrets; nothing is the same as an empty one.
func same(a, b string) bool {
	return b != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// filed reports whether the visitor filed r himself.
func (v *visit) filed(r jobs.Request) bool { return r.FiledBy == v.by.ID }

// say keeps a remark for the next page.
func (c *Console) say(v *visit, code string) { c.sessions.Put(v.ctx, keyNote, code) }

func (c *Console) note(ctx context.Context, level slog.Level, text string, attrs ...slog.Attr) {
	c.Logger.LogAttrs(ctx, level, text, attrs...)
}
