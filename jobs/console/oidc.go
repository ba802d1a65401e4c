package console

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"lethe/jobs"
)

// OIDC says with whose word people may sign in (OpenID Connect Core 1.0, the
// authorization code flow with PKCE). All fields but Scopes and Transport must
// be set.
type OIDC struct {
	Issuer       string // exactly as it stands in the provider's ID tokens
	ClientID     string
	ClientSecret string
	RedirectURL  string // where the page is reached, and /console/sign-in/oidc/callback

	RolesClaim string               // of the ID token: a string or a list of strings
	Roles      map[string]jobs.Role // by a value of that claim
	Scopes     []string             // to be asked for besides openid

	Transport http.RoundTripper // nil for http.DefaultTransport
}

// awayFor is how long somebody may take at the provider.
const awayFor = 10 * time.Minute

// patience is how long the provider may take for one answer.
const patience = 10 * time.Second

// errNoRole is what somebody is told whom the provider knows and we do not.
var errNoRole = errors.New("no role")

// errProvider is wrapped by whatever goes wrong with the provider, and by an
// answer that is not what it should be.
var errProvider = errors.New("sign-in through the provider")

// A provider is what discovery told of it.
type provider struct {
	oauth    oauth2.Config
	verifier *oidc.IDTokenVerifier
}

// discovered asks the provider about itself, once it has answered.
func (c *Console) discovered(ctx context.Context) (*provider, error) {
	c.provider.Lock()
	defer c.provider.Unlock()
	if c.found != nil {
		return c.found, nil
	}
	p, err := oidc.NewProvider(c.outside(context.WithoutCancel(ctx)), c.OIDC.Issuer) // it fetches keys later, too
	if err != nil {
		return nil, fmt.Errorf("%w: discovery: %w", errProvider, err)
	}
	c.found = &provider{
		oauth: oauth2.Config{
			ClientID: c.OIDC.ClientID, ClientSecret: c.OIDC.ClientSecret, Endpoint: p.Endpoint(), RedirectURL: c.OIDC.RedirectURL,
			Scopes: append([]string{oidc.ScopeOpenID}, c.OIDC.Scopes...),
		},
		verifier: p.Verifier(&oidc.Config{ClientID: c.OIDC.ClientID}),
	}
	return c.found, nil
}

// outside returns a context in which the provider is talked to.
func (c *Console) outside(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, &http.Client{Transport: c.OIDC.Transport, Timeout: patience})
}

// An errand is what the browser keeps for us while somebody is at the provider.
type errand struct {
	State, Nonce, Verifier, Next string
	Until                        time.Time
}

// leave is GET /console/sign-in/oidc: off to the provider.
func (c *Console) leave(w http.ResponseWriter, r *http.Request) {
	p, err := c.discovered(r.Context())
	if err != nil {
		c.write(w, c.problem(nil, c.logged(r.Context(), err)))
		return
	}
	e := errand{
		State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(),
		Next: nextPath(r.URL.Query().Get("next")), Until: time.Now().Add(awayFor),
	}
	sealed, err := c.seal(e)
	if err != nil {
		c.write(w, c.problem(nil, err))
		return
	}
	c.setErrand(w, r, sealed, int(awayFor.Seconds()))
	c.write(w, answer{
		status: http.StatusSeeOther,
		to:     p.oauth.AuthCodeURL(e.State, oidc.Nonce(e.Nonce), oauth2.S256ChallengeOption(e.Verifier)),
	})
}

// setErrand sets the one cookie that is Lax, for the provider's answer to bring.
func (c *Console) setErrand(w http.ResponseWriter, r *http.Request, sealed string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: c.named(r, "lethe-oidc"), Value: sealed, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: c.secure(r), SameSite: http.SameSiteLaxMode,
	})
}

// comeBack is GET /console/sign-in/oidc/callback: back from the provider.
func (c *Console) comeBack(w http.ResponseWriter, r *http.Request) {
	c.setErrand(w, r, "", -1) // good for one answer
	next, by, err := c.arrived(r)
	if err == nil {
		err = c.begin(w, r, by, kindOIDC, func(context.Context) {})
	}
	if err != nil {
		c.write(w, c.problem(nil, c.logged(r.Context(), err)))
		return
	}
	c.write(w, c.onward(next))
}

// arrived checks the provider's answer and returns who it says has come.
func (c *Console) arrived(r *http.Request) (next string, by jobs.Actor, err error) {
	e, err := c.unseal(r)
	if err != nil {
		return "", by, err
	}
	q := r.URL.Query()
	switch {
	case !same(q.Get("state"), e.State) || time.Now().After(e.Until):
		return "", by, errForm
	case q.Has("iss") && q.Get("iss") != c.OIDC.Issuer: // RFC 9207, section 2.4
		return "", by, fmt.Errorf("%w: the answer is another provider's", errProvider)
	case q.Get("code") == "":
		return "", by, fmt.Errorf("%w: the provider refused", errProvider) // its reason is not ours to repeat
	}
	p, err := c.discovered(r.Context())
	if err != nil {
		return "", by, err
	}
	ctx := c.outside(r.Context())
	tokens, err := p.oauth.Exchange(ctx, q.Get("code"), oauth2.VerifierOption(e.Verifier))
	if err != nil {
		return "", by, fmt.Errorf("%w: the code was not exchanged", errProvider) // the cause holds the answer's body
	}
	raw, _ := tokens.Extra("id_token").(string)
	token, err := p.verifier.Verify(ctx, raw)
	if err != nil {
		return "", by, fmt.Errorf("%w: the ID token does not verify", errProvider) // likewise
	}
	if !same(token.Nonce, e.Nonce) || len(token.Audience) != 1 || token.Audience[0] != c.OIDC.ClientID || token.Subject == "" {
		return "", by, fmt.Errorf("%w: the ID token is for somebody else", errProvider)
	}
	by, err = c.actor(token)
	return e.Next, by, err
}

// actor makes an Actor of an ID token. The ID says nothing to who lacks the
// installation's secret, and is the same each time.
func (c *Console) actor(token *oidc.IDToken) (jobs.Actor, error) {
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return jobs.Actor{}, fmt.Errorf("%w: the ID token has no claims", errProvider)
	}
	role := c.OIDC.role(claims[c.OIDC.RolesClaim])
	if role == "" {
		return jobs.Actor{}, errNoRole
	}
	mac := hmac.New(sha256.New, c.Secret)
	mac.Write([]byte("lethe oidc actor v1\n" + token.Issuer + "\n" + token.Subject))
	return jobs.Actor{ID: "oidc-" + hex.EncodeToString(mac.Sum(nil))[:32], Role: role}, nil
}

// role returns the role that a claim gives, "" for none. Of several it is the
// first of admin, approver, submitter and auditor.
func (o *OIDC) role(claim any) jobs.Role {
	var values []any
	switch v := claim.(type) {
	case string:
		values = []any{v}
	case []any:
		values = v
	}
	for _, role := range []jobs.Role{jobs.RoleAdmin, jobs.RoleApprover, jobs.RoleSubmitter, jobs.RoleAuditor} {
		if slices.ContainsFunc(values, func(v any) bool {
			group, ok := v.(string)
			return ok && o.Roles[group] == role
		}) {
			return role
		}
	}
	return ""
}

// logged notes what went wrong with the provider, for the operator.
func (c *Console) logged(ctx context.Context, err error) error {
	c.note(ctx, slog.LevelWarn, "sign-in refused", slog.String("with", kindOIDC), slog.Any("error", err))
	return err
}
