package main

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"lethe/jobs"
	web "lethe/jobs/console"
)

// An OIDCConfig says through which OpenID provider people sign in to the page,
// and who is what there. The API is for tokens alone.
type OIDCConfig struct {
	// issuer: the provider's URL, exactly as its discovery document has it.
	Issuer string `yaml:"issuer"`

	// client_id, client_secret_file: how Lethe is registered there, and the path of
	// a file with its secret.
	ClientID         string `yaml:"client_id"`
	ClientSecretFile string `yaml:"client_secret_file"`

	// redirect_url: where browsers reach the page, followed by
	// /console/sign-in/oidc/callback; register it at the provider as well.
	RedirectURL string `yaml:"redirect_url"`

	// scopes: what to ask for besides openid, such as the scope that adds the
	// claim. Default none.
	Scopes []string `yaml:"scopes"`

	// roles_claim: the claim of the ID token that says what somebody is: a string
	// or a list of strings. Default groups.
	RolesClaim string `yaml:"roles_claim"`

	// roles: which role in Lethe a value of that claim gives: {privacy-team:
	// submitter, privacy-leads: approver}. Who has several gets the first of
	// admin, approver, submitter, auditor. Who has none is not let in.
	Roles map[string]jobs.Role `yaml:"roles"`
}

const (
	oidcCallback = "/console/sign-in/oidc/callback"
	oidcClaim    = "groups"
)

// checkOIDC says what is wrong with how people sign in to the page.
func (c *Config) checkOIDC(add func(field, problem string)) {
	o := c.OIDC
	if o == nil {
		return
	}
	if webURL(o.Issuer) == nil {
		add("oidc.issuer", "must be an https URL without query, such as https://sso.example.com/realms/staff")
	}
	if o.ClientID == "" {
		add("oidc.client_id", "must be the ID under which Lethe is registered at the provider")
	}
	if o.ClientSecretFile == "" {
		add("oidc.client_secret_file", "must be the path of a file with the client's secret")
	}
	if u := webURL(o.RedirectURL); u == nil || u.Path != oidcCallback {
		add("oidc.redirect_url", "must be an https URL that ends in "+oidcCallback)
	}
	scope := regexp.MustCompile(`^[\x21\x23-\x5b\x5d-\x7e]+$`) // RFC 6749, section 3.3
	if slices.ContainsFunc(o.Scopes, func(s string) bool { return !scope.MatchString(s) }) {
		add("oidc.scopes", "must be a list of words without spaces")
	}
	if len(o.Roles) == 0 {
		add("oidc.roles", "must give a role to one group at least, such as {privacy-team: submitter}")
	}
	for _, role := range o.Roles {
		if !slices.Contains(jobs.Roles(), role) {
			add("oidc.roles", "must give submitter, approver, auditor or admin")
			return
		}
	}
}

// webURL parses the address of something that browsers are sent to. Plain http
// is for this machine alone.
func webURL(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil
	}
	local := slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return nil
	}
	return u
}

// open reads the client's secret. The provider is not asked for anything.
func (o *OIDCConfig) open() (*web.OIDC, error) {
	if o == nil {
		return nil, nil
	}
	secret, err := readSmallFile(o.ClientSecretFile, 4096)
	if err != nil {
		return nil, fmt.Errorf("read oidc.client_secret_file: %w", err)
	}
	if strings.TrimSpace(string(secret)) == "" {
		return nil, fmt.Errorf("%w: oidc.client_secret_file is empty", errUsage)
	}
	return &web.OIDC{
		Issuer: o.Issuer, ClientID: o.ClientID, ClientSecret: strings.TrimSpace(string(secret)), RedirectURL: o.RedirectURL,
		Scopes: o.Scopes, RolesClaim: o.RolesClaim, Roles: o.Roles,
	}, nil
}
