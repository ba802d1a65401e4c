package console

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"strings"

	"lethe/jobs"
)

// maxToken bounds what is taken for a token, in bytes.
const maxToken = 512

// signInView is what the page for signing in shows.
type signInView struct {
	Form, Next string
	Token      bool // one can sign in with a token
	OIDC       bool
	Wrong      bool
}

// signInPage is GET /console/sign-in.
func (c *Console) signInPage(w http.ResponseWriter, r *http.Request) {
	if open, err := c.open(r); err == nil && open {
		c.write(w, answer{status: http.StatusSeeOther, to: "/"})
		return
	}
	c.write(w, c.askIn(w, r, nextPath(r.URL.Query().Get("next")), false))
}

// askIn makes the page with a form whose token goes with a cookie of its own.
func (c *Console) askIn(w http.ResponseWriter, r *http.Request, next string, wrong bool) answer {
	nonce := rand.Text()
	http.SetCookie(w, &http.Cookie{
		Name: c.named(r, "lethe-form"), Value: nonce, Path: "/", MaxAge: int(lifetime.Seconds()),
		HttpOnly: true, Secure: c.secure(r), SameSite: http.SameSiteStrictMode,
	})
	status := http.StatusOK
	if wrong {
		status = http.StatusUnauthorized
	}
	return answer{
		status: status, page: "signin", title: "Sign in",
		data: signInView{Form: c.sign(nonce), Next: next, Token: c.Gate != nil, OIDC: c.OIDC != nil, Wrong: wrong},
	}
}

// sign returns the token of the sign-in form that goes with a cookie.
func (c *Console) sign(nonce string) string {
	mac := hmac.New(sha256.New, c.key)
	mac.Write([]byte("sign-in form\x00" + nonce))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// signIn is POST /console/sign-in: with a token of the API.
func (c *Console) signIn(w http.ResponseWriter, r *http.Request) {
	form, err := readForm(w, r)
	if err == nil {
		cookie, missing := r.Cookie(c.named(r, "lethe-form"))
		if missing != nil || !same(form.Get("form"), c.sign(cookie.Value)) {
			err = errForm
		}
	}
	if err != nil || c.Gate == nil {
		c.write(w, c.problem(nil, errors.Join(err, jobs.ErrNotFound)))
		return
	}
	token, next := strings.TrimSpace(form.Get("token")), nextPath(form.Get("next"))
	if token == "" || len(token) > maxToken {
		c.write(w, c.askIn(w, r, next, true))
		return
	}
	by, err := c.Gate.Actor(r.Context(), token)
	switch {
	case errors.Is(err, jobs.ErrUnknownToken):
		c.note(r.Context(), slog.LevelWarn, "sign-in refused", slog.String("with", kindToken))
		c.write(w, c.askIn(w, r, next, true))
		return
	case err != nil:
		c.write(w, c.problem(nil, err))
		return
	}
	err = c.begin(w, r, by, kindToken, func(ctx context.Context) { c.sessions.Put(ctx, keyToken, token) })
	if err != nil {
		c.write(w, c.problem(nil, err))
		return
	}
	c.write(w, answer{status: http.StatusSeeOther, to: next})
}

// begin gives somebody a new session, under a new ID, and ends the one he had.
func (c *Console) begin(w http.ResponseWriter, r *http.Request, by jobs.Actor, kind string, more func(context.Context)) error {
	if old, err := r.Cookie(c.cookieName(r)); err == nil {
		ctx, err := c.sessions.Load(r.Context(), old.Value)
		if err != nil {
			return err
		}
		if err := c.sessions.Destroy(ctx); err != nil {
			return err
		}
	}
	ctx, err := c.sessions.Load(r.Context(), "")
	if err != nil {
		return err
	}
	c.sessions.Put(ctx, keyKind, kind)
	c.sessions.Put(ctx, keyID, by.ID)
	c.sessions.Put(ctx, keyRole, string(by.Role))
	c.sessions.Put(ctx, keyForm, rand.Text())
	more(ctx)
	c.note(r.Context(), slog.LevelInfo, "signed in", slog.String("actor", by.ID), slog.String("role", string(by.Role)), slog.String("with", kind))
	return c.remember(w, r.WithContext(ctx), &visit{ctx: ctx, r: r})
}

// signOut is POST /console/sign-out.
func (c *Console) signOut(v *visit) (answer, error) {
	c.note(v.ctx, slog.LevelInfo, "signed out", slog.String("actor", v.by.ID))
	if err := c.sessions.Destroy(v.ctx); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusSeeOther, to: "/console/sign-in"}, nil
}

// nextPath returns where to go after signing in: path, if it is one of ours
// that can be gone to, else /.
func nextPath(path string) string {
	if regexp.MustCompile(`^/console/(new|holds|log|requests/[0-9a-f-]{36})$`).MatchString(path) {
		return path
	}
	return "/"
}

// onward makes a page that goes to path by itself: a browser brings the
// session's cookie along only when a page of ours asks.
func (c *Console) onward(path string) answer {
	return answer{status: http.StatusOK, page: "onward", title: "One moment", data: nextPath(path)}
}
