package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lethe/jobs"
)

// A Token is a bearer token as it is told of: all but the token itself.
type Token struct {
	ID        string     `json:"id" example:"tok-0a1b2c3d4e5f6071" doc:"Stands in the log as who did something"`
	Name      string     `json:"name" doc:"The operator's own words; never in the log"`
	Role      jobs.Role  `json:"role" enum:"submitter,approver,auditor,admin"`
	CreatedAt time.Time  `json:"created_at"`
	CreatedBy string     `json:"created_by" doc:"ID of a token, or open or local"`
	ExpiresAt time.Time  `json:"expires_at"`
	RevokedAt *time.Time `json:"revoked_at" doc:"null while it is not revoked"`
	LastUsed  *time.Time `json:"last_used_at" doc:"To the hour; null if never"`
	Live      bool       `json:"live" doc:"Neither expired nor revoked"`
}

// A NewToken is the answer to the making of a token.
type NewToken struct {
	Token
	Secret string `json:"token" pattern:"^lethe_[0-9a-f]{64}$" doc:"The token itself: it is shown this once"`
}

// A TokenOrder is what a [Client] asks for.
type TokenOrder struct {
	Name    string
	Role    jobs.Role
	Expires time.Duration // from now; 0 for 90 days
}

type tokenList struct {
	Tokens []Token `json:"tokens" nullable:"false" doc:"The oldest first"`
}

func (s *server) tokenRoutes() []route {
	return []route{
		{
			method: "GET", path: "/v1/tokens", handle: s.tokens, id: "list-tokens", may: jobs.ActPeople,
			summary: "List tokens, the oldest first, without the tokens themselves",
			status:  200, answer: tokenList{}, problems: []int{400, 401, 403, 404, 503},
		},
		{
			method: "POST", path: "/v1/tokens", handle: s.createToken, id: "create-token", may: jobs.ActPeople,
			summary: "Make a token",
			description: "The answer has the token, which is shown this once. The first token that is made ends that a service on loopback is open to everybody there. " +
				"Not idempotent: revoke what came of an answer that was lost.",
			takes: tokenSchema, status: 201, answer: NewToken{}, problems: []int{400, 401, 403, 404, 408, 413, 415, 422, 503},
		},
		{
			method: "DELETE", path: "/v1/tokens/{id}", handle: s.revokeToken, id: "revoke-token", may: jobs.ActPeople,
			summary:     "Revoke a token, at once and everywhere",
			description: "To revoke one again is no error.",
			status:      200, answer: Token{}, problems: []int{400, 401, 403, 404, 503},
		},
	}
}

func tokenSchema() *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: false, Required: []string{"name", "role"},
		Properties: map[string]*huma.Schema{
			"name":    str("What it is for, in your own words", jobs.MaxTokenName),
			"role":    {Type: huma.TypeString, Enum: []any{"submitter", "approver", "auditor", "admin"}},
			"expires": str("How long it is good for, such as 2160h, which is 90 days and the default", 0),
		},
	}
}

// errNoTokens is the answer of a service that keeps none.
func errNoTokens() error {
	return problem(http.StatusNotFound, "not_found", "there are no tokens here")
}

// tokens is GET /v1/tokens.
func (s *server) tokens(w http.ResponseWriter, r *http.Request) error {
	if s.Tokens == nil {
		return errNoTokens()
	}
	list, err := s.Tokens.Tokens(r.Context(), ActorOf(r))
	if err != nil {
		return err
	}
	answer := tokenList{}
	for _, t := range list {
		answer.Tokens = append(answer.Tokens, WireToken(t))
	}
	return writeJSON(w, http.StatusOK, answer)
}

// createToken is POST /v1/tokens.
func (s *server) createToken(w http.ResponseWriter, r *http.Request) error {
	if s.Tokens == nil {
		return errNoTokens()
	}
	order, err := readTokenOrder(w, r)
	if err != nil {
		return err
	}
	t, secret, err := s.Tokens.CreateToken(r.Context(), ActorOf(r), order)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/tokens/"+t.ID)
	return writeJSON(w, http.StatusCreated, NewToken{WireToken(t), secret})
}

func readTokenOrder(w http.ResponseWriter, r *http.Request) (o jobs.TokenOrder, err error) {
	if err := checkBodyHeader(r.Header); err != nil {
		return o, err
	}
	body := &pacedReader{r: http.MaxBytesReader(w, r.Body, maxRestBytes), control: http.NewResponseController(w)}
	d := newDecoder(body, nil)
	role := ""
	err = d.object("", []field{
		{"name", func(at string) (err error) { o.Name, err = d.text(at); return err }},
		{"role", d.code(&role)},
		{"expires", d.duration(&o.Life)},
	})
	if err == nil {
		err = d.end()
	}
	body.done()
	o.Role = jobs.Role(role)
	return o, err
}

// revokeToken is DELETE /v1/tokens/{id}.
func (s *server) revokeToken(w http.ResponseWriter, r *http.Request) error {
	if s.Tokens == nil {
		return errNoTokens()
	}
	t, err := s.Tokens.RevokeToken(r.Context(), ActorOf(r), r.PathValue("id"))
	if errors.Is(err, jobs.ErrNotFound) {
		return problem(http.StatusNotFound, "not_found", "there is no such token")
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, WireToken(t))
}

// WireToken returns a token as it is told of.
func WireToken(t jobs.Token) Token {
	w := Token{
		ID: t.ID, Name: t.Name, Role: t.Role, CreatedAt: t.CreatedAt.UTC(), CreatedBy: t.CreatedBy, ExpiresAt: t.ExpiresAt.UTC(),
		Live: t.Live(time.Now()),
	}
	if t.RevokedAt != nil {
		w.RevokedAt = new(t.RevokedAt.UTC())
	}
	if t.LastUsed != nil {
		w.LastUsed = new(t.LastUsed.UTC())
	}
	return w
}

// CreateToken makes a token, which is told this once. Ask once: it is not idempotent.
// 400 for a role or a life that there is not, 422 for a name that is empty or too
// long.
func (c *Client) CreateToken(ctx context.Context, o TokenOrder) (NewToken, error) {
	order := map[string]string{"name": o.Name, "role": string(o.Role)}
	if o.Expires != 0 {
		order["expires"] = o.Expires.String()
	}
	return postJSON[NewToken](ctx, c, "/v1/tokens", order)
}

// Tokens lists the tokens, the oldest first.
func (c *Client) Tokens(ctx context.Context) ([]Token, error) {
	list, err := getJSON[tokenList](ctx, c, "/v1/tokens")
	return list.Tokens, err
}

// RevokeToken revokes a token, and returns what is known of it. To revoke one again
// is no error; 404 if there is none.
func (c *Client) RevokeToken(ctx context.Context, id string) (Token, error) {
	answer, err := c.do(ctx, http.MethodDelete, tokenPath(id), nil, nil) //nolint:bodyclose // decodeAnswer closes it
	if err != nil {
		return Token{}, err
	}
	return decodeAnswer[Token](answer)
}
