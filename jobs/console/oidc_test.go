package console_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"lethe/jobs"
	"lethe/jobs/console"
)

// A sso is a stand-in for an OpenID provider. It gives one code, for what the
// authorization request asked, and an ID token with claims that a test may
// change.
type sso struct {
	*httptest.Server
	t         *testing.T
	key       *ecdsa.PrivateKey
	algorithm string
	claims    map[string]any             // added to those that are right
	sign      func(claims []byte) string // nil for the right way
	asked     url.Values                 // of the last authorization request
	exchanged int
}

func newSSO(t *testing.T) *sso {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &sso{t: t, key: key, algorithm: "ES256", claims: map[string]any{}}
	mux := http.NewServeMux()
	say := func(path string, answer func() any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(answer())
		})
	}
	say("/.well-known/openid-configuration", func() any {
		return map[string]any{
			"issuer": s.URL, "authorization_endpoint": s.URL + "/authorize", "token_endpoint": s.URL + "/token", "jwks_uri": s.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{s.algorithm, "none", "HS256"},
		}
	})
	say("/keys", func() any {
		return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}}
	})
	mux.HandleFunc("/token", s.exchange)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// exchange gives an ID token for the code, to the client that has the verifier.
func (s *sso) exchange(w http.ResponseWriter, r *http.Request) {
	s.exchanged++
	id, secret, _ := r.BasicAuth()
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if id != "lethe" || secret != "client-secret" || r.PostFormValue("code") != "the-code" || base64.RawURLEncoding.EncodeToString(sum[:]) != s.asked.Get("code_challenge") {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	now := time.Now().Unix()
	claims := map[string]any{"iss": s.URL, "aud": "lethe", "sub": "nora-the-person", "exp": now + 60, "iat": now, "nonce": s.asked.Get("nonce"), "groups": []string{"everybody", "leads"}}
	maps.Copy(claims, s.claims)
	text, err := json.Marshal(claims)
	if err != nil {
		s.t.Error(err)
	}
	sign := s.signed
	if s.sign != nil {
		sign = s.sign
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "access-secret", "token_type": "Bearer", "id_token": sign(text)})
}

func (s *sso) signed(claims []byte) string { return signed(s.t, jose.ES256, s.key, claims) }

func signed(t *testing.T, how jose.SignatureAlgorithm, key any, claims []byte) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: how, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	if err != nil {
		t.Error(err)
		return ""
	}
	token, err := signer.Sign(claims)
	if err != nil {
		t.Error(err)
		return ""
	}
	text, _ := token.CompactSerialize()
	return text
}

// page makes a page on h with the provider.
func (s *sso) page(h *house) *console.Console {
	return h.page(true, func(o *console.Options) {
		o.Secret = []byte("secret-of-the-installation")
		o.OIDC = &console.OIDC{
			Issuer: s.URL, ClientID: "lethe", ClientSecret: "client-secret", RedirectURL: "https://lethe.example/console/sign-in/oidc/callback",
			RolesClaim: "groups", Roles: map[string]jobs.Role{"leads": jobs.RoleApprover, "team": jobs.RoleSubmitter, "it": jobs.RoleAdmin},
		}
	})
}

// round goes to the provider and comes back with its answer, which change may
// have changed.
func (s *sso) round(b *browser, change func(url.Values)) answered {
	s.t.Helper()
	away := b.get("/console/sign-in/oidc")
	to, err := url.Parse(away.header.Get("Location"))
	if err != nil || away.status != http.StatusSeeOther || !strings.HasPrefix(to.String(), s.URL+"/authorize?") {
		s.t.Fatalf("to the provider: %d %s", away.status, to)
	}
	s.asked = to.Query()
	back := url.Values{"code": {"the-code"}, "state": {s.asked.Get("state")}, "iss": {s.URL}}
	if change != nil {
		change(back)
	}
	b.header.Set("Sec-Fetch-Site", "cross-site") // the provider sent it here: a Strict cookie stays behind
	defer b.header.Set("Sec-Fetch-Site", "same-origin")
	return b.get("/console/sign-in/oidc/callback?" + back.Encode())
}

func TestPeopleSignInThroughAProvider(t *testing.T) {
	s, h := newSSO(t), newHouse()
	c := s.page(h)
	b := newBrowser(t, c)
	b.https = true
	if a := b.get("/"); a.status != http.StatusSeeOther {
		t.Fatalf("without signing in: %d", a.status)
	}
	a := s.round(b, nil)
	if a.status != http.StatusOK || !strings.Contains(a.body, `http-equiv="refresh"`) || len(a.faults()) > 0 {
		t.Fatalf("back: %d %s %q", a.status, a.text(), a.faults())
	}
	if q := s.asked; q.Get("code_challenge_method") != "S256" || q.Get("scope") != "openid" || len(q.Get("state")) < 20 || len(q.Get("nonce")) < 20 || q.Get("redirect_uri") != "https://lethe.example/console/sign-in/oidc/callback" {
		t.Errorf("asked: %v", q)
	}
	page := b.get("/console/holds")
	who := regexp.MustCompile(`oidc-[0-9a-f]{32}`).FindString(page.body)
	if page.status != http.StatusOK || who == "" || !strings.Contains(page.text(), "(approver)") {
		t.Errorf("signed in: %d %s", page.status, page.text())
	}
	if k := b.cookies["__Host-lethe"]; k == nil || k.SameSite != http.SameSiteStrictMode || b.cookies["__Host-lethe-oidc"] != nil {
		t.Errorf("cookies: %v", b.cookies)
	}
	again := newBrowser(t, c)
	s.round(again, nil)
	if !strings.Contains(again.get("/").body, who) {
		t.Error("the same person has another ID the second time")
	}
	for _, secret := range []string{"nora-the-person", "client-secret", "access-secret", "the-code"} {
		if strings.Contains(h.log.String()+page.body+a.body, secret) {
			t.Errorf("%s is shown or logged", secret)
		}
	}
	if a := again.post("/", "/console/sign-out", nil); a.status != 303 || again.get("/").status != 303 {
		t.Error("signing out does not")
	}
}

func TestAnAnswerThatIsNotTheProvidersOwnIsRefused(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for name, tt := range map[string]struct {
		claims map[string]any
		sign   func(t *testing.T, claims []byte) string
		back   func(url.Values)
	}{
		"another issuer":    {claims: map[string]any{"iss": "https://elsewhere.example"}},
		"another audience":  {claims: map[string]any{"aud": "another"}},
		"one audience more": {claims: map[string]any{"aud": []string{"lethe", "another"}}},
		"no audience":       {claims: map[string]any{"aud": []string{}}},
		"another nonce":     {claims: map[string]any{"nonce": "another"}},
		"no nonce":          {claims: map[string]any{"nonce": ""}},
		"expired":           {claims: map[string]any{"exp": now - 10}},
		"not yet good":      {claims: map[string]any{"nbf": now + 3600}},
		"no subject":        {claims: map[string]any{"sub": ""}},
		"another key":       {sign: func(t *testing.T, c []byte) string { return signed(t, jose.ES256, other, c) }},
		"a secret as the key": {sign: func(t *testing.T, c []byte) string {
			return signed(t, jose.HS256, []byte(strings.Repeat("client-secret", 3)), c)
		}},
		"algorithm none":            {sign: func(_ *testing.T, c []byte) string { return encode(`{"alg":"none"}`) + "." + encode(string(c)) + "." }},
		"no ID token":               {sign: func(*testing.T, []byte) string { return "" }},
		"a token cut short":         {sign: func(*testing.T, []byte) string { return "a.b" }},
		"another state":             {back: func(q url.Values) { q.Set("state", "another") }},
		"no state":                  {back: func(q url.Values) { q.Del("state") }},
		"another provider's answer": {back: func(q url.Values) { q.Set("iss", "https://elsewhere.example") }},
		"another code":              {back: func(q url.Values) { q.Set("code", "another") }},
		"an error of the provider's": {back: func(q url.Values) {
			q.Del("code")
			q.Set("error", "access_denied")
			q.Set("error_description", "canary")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s, h := newSSO(t), newHouse()
			maps.Copy(s.claims, tt.claims)
			if tt.sign != nil {
				s.sign = func(c []byte) string { return tt.sign(t, c) }
			}
			b := newBrowser(t, s.page(h))
			a := s.round(b, tt.back)
			if a.status != http.StatusForbidden || b.session() != "" || len(a.faults()) > 0 || strings.Contains(a.body, "canary") {
				t.Errorf("%d, session %q, %s", a.status, b.session(), a.text())
			}
			if strings.Contains(h.log.String(), "nora-the-person") || strings.Contains(h.log.String(), "canary") {
				t.Errorf("log: %s", h.log.String())
			}
		})
	}
}

func TestAnAnswerIsGoodOnceAndForItsBrowser(t *testing.T) {
	s := newSSO(t)
	c := s.page(newHouse())
	b := newBrowser(t, c)
	var answer url.Values
	s.round(b, func(q url.Values) { answer = q })
	if a := newBrowser(t, c).get("/console/sign-in/oidc/callback?" + answer.Encode()); a.status != http.StatusForbidden || s.exchanged != 1 {
		t.Errorf("in another browser: %d", a.status)
	}
	if a := b.get("/console/sign-in/oidc/callback?" + answer.Encode()); a.status != http.StatusForbidden || s.exchanged != 1 {
		t.Errorf("again: %d", a.status)
	}
	forged := newBrowser(t, c)
	forged.cookies["lethe-oidc"] = &http.Cookie{Name: "lethe-oidc", Value: base64.RawURLEncoding.EncodeToString(make([]byte, 100))}
	if a := forged.get("/console/sign-in/oidc/callback?" + answer.Encode()); a.status != http.StatusForbidden {
		t.Errorf("with a forged errand: %d", a.status)
	}
}

func TestARoleComesFromTheClaimAndFromNothingElse(t *testing.T) {
	for name, tt := range map[string]struct {
		groups any
		want   string
	}{
		"one": {"team", "(submitter)"}, "two": {[]string{"team", "leads"}, "(approver)"}, "all": {[]string{"team", "it", "leads"}, "(admin)"},
		"none": {[]string{"everybody"}, ""}, "empty": {[]string{}, ""}, "absent": {nil, ""}, "an object": {map[string]any{"leads": true}, ""}, "numbers": {[]int{1}, ""}, "a role's own name": {"admin", ""},
	} {
		s := newSSO(t)
		s.claims["groups"] = tt.groups
		b := newBrowser(t, s.page(newHouse()))
		a := s.round(b, nil)
		switch {
		case tt.want == "" && (a.status != http.StatusForbidden || b.session() != "" || !strings.Contains(a.text(), "You have no role here")):
			t.Errorf("%s: %d, session %q, %s", name, a.status, b.session(), a.text())
		case tt.want != "" && !strings.Contains(b.get("/").text(), tt.want):
			t.Errorf("%s: %d %s, want %s", name, a.status, b.get("/").text(), tt.want)
		}
	}
}

func TestAProviderThatIsAwayKeepsNobodyFromUsingTokens(t *testing.T) {
	s := newSSO(t)
	c := s.page(newHouse())
	s.Close()
	b := newBrowser(t, c)
	if a := b.get("/console/sign-in/oidc"); a.status != http.StatusForbidden || len(a.faults()) > 0 {
		t.Errorf("away: %d", a.status)
	}
	if a := b.signIn("token-abe"); a.status != http.StatusSeeOther || b.get("/").status != http.StatusOK {
		t.Errorf("with a token: %d", a.status)
	}
}
