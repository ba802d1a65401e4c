package mem0

import (
	"net/http"
	"strings"

	"lethe/jobs"
	"lethe/jobs/api"
)

// errToken is the answer to a call that shows a token in more ways than one, or in
// none that is known here.
func errToken() error {
	return &refusal{
		status: http.StatusUnauthorized,
		text:   "this call needs a Lethe token that is valid, as the API key of the client: Authorization: Token TOKEN, Authorization: Bearer TOKEN or X-API-Key: TOKEN, one of them and once",
	}
}

// admit lets in who may do what a route is for. Mem0's clients show their key in
// ways of their own; what they show is a Lethe token.
func (d *door) admit(r *http.Request, may jobs.Act) (*http.Request, error) {
	token, err := tokenOf(r.Header)
	if err != nil {
		token = "" // refused as one that is not there, and counted so
	}
	plain := r.Clone(r.Context())
	plain.Header.Del("X-API-Key")
	plain.Header.Del("Authorization")
	if err != nil {
		plain.Header.Set("Authorization", "none")
	} else if token != "" {
		plain.Header.Set("Authorization", "Bearer "+token)
	}
	inside, refused := api.Admit(plain, may, d.Options)
	if refused == nil {
		return inside, nil
	}
	if p := api.ProblemOf(refused); p.Status == http.StatusUnauthorized {
		return nil, errToken()
	}
	return nil, refused
}

// tokenOf returns the token of a call, or "" if it shows none.
func tokenOf(h http.Header) (string, error) {
	given, keys := h.Values("Authorization"), h.Values("X-API-Key")
	switch {
	case len(given)+len(keys) == 0:
		return "", nil
	case len(given)+len(keys) > 1:
		return "", errToken()
	case len(keys) == 1:
		if keys[0] == "" {
			return "", errToken()
		}
		return keys[0], nil
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	if token == "" || !strings.EqualFold(scheme, "Token") && !strings.EqualFold(scheme, "Bearer") {
		return "", errToken()
	}
	return token, nil
}
