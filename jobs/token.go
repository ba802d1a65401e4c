package jobs

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// ErrUnknownToken is wrapped when a token is missing, or was never made, has
// expired or been revoked. Which of them it is, nobody who asks is told.
var ErrUnknownToken = errors.New("no valid token")

// Limits of a token.
const (
	TokenPrefix   = "lethe_"
	MaxTokenName  = 100 // bytes
	TokenLife     = 90 * 24 * time.Hour
	MaxTokenLife  = 5 * 365 * 24 * time.Hour
	tokenSecret   = 32 // bytes of randomness
	tokenHexBytes = 2 * tokenSecret
)

// A Token is what is kept of a bearer token: all but the token. Its ID is the
// ID of the Actor that it makes, and stands in the log.
type Token struct {
	ID        string
	Name      string // the operator's own words; never in the log
	Role      Role
	CreatedAt time.Time
	CreatedBy string // Actor
	ExpiresAt time.Time
	RevokedAt *time.Time
	LastUsed  *time.Time // to the hour
}

// A TokenOrder is a token as its maker wants it.
type TokenOrder struct {
	Name string
	Role Role
	Life time.Duration // 0 for TokenLife
}

// Tokens tells who asks, and keeps the tokens by which it does. Errors wrap
// ErrUnknownToken, ErrForbidden, ErrNotFound or ErrInvalid; any other means that
// the ledger did not answer, and nobody is let in.
type Tokens interface {
	// Actor returns whose token it is. Without a token ("") it is ActorOpen for as
	// long as no token was ever made; afterwards nobody's. It is for doors on
	// loopback alone to call it with "".
	Actor(ctx context.Context, token string) (Actor, error)

	// CreateToken makes a token and returns it; nobody can ever be told it again.
	// Tokens returns all that were ever made, the oldest first. RevokeToken ends
	// one, for every process at once; to end it again is no error.
	CreateToken(ctx context.Context, by Actor, o TokenOrder) (t Token, secret string, err error)
	Tokens(ctx context.Context, by Actor) ([]Token, error)
	RevokeToken(ctx context.Context, by Actor, id string) (Token, error)
}

// Check returns an *Invalid if no token can be made of the order.
func (o TokenOrder) Check() error {
	known := false
	for _, r := range Roles() {
		known = known || r == o.Role
	}
	switch {
	case !known:
		return &Invalid{"role", "must be submitter, approver, auditor or admin"}
	case strings.TrimSpace(o.Name) == "" || len(o.Name) > MaxTokenName || !utf8.ValidString(o.Name) || strings.ContainsFunc(o.Name, unprintable):
		return &Invalid{"name", "must be 1 to 100 bytes of text without control characters"}
	case o.Life < 0 || o.Life > MaxTokenLife || o.Life != 0 && o.Life < time.Second:
		return &Invalid{"expires", "must be from 1s to 1825d"}
	}
	return nil
}

// unprintable is also true of what would turn the direction of a line of a list.
func unprintable(r rune) bool { return !unicode.IsGraphic(r) }

// LooksLikeToken reports whether s has a token's form: TokenPrefix and 64 hex
// digits.
func LooksLikeToken(s string) bool {
	hex, ok := strings.CutPrefix(s, TokenPrefix)
	return ok && len(hex) == tokenHexBytes && strings.Trim(hex, "0123456789abcdef") == ""
}

// Live reports whether the token is good at that time.
func (t Token) Live(now time.Time) bool { return t.RevokedAt == nil && now.Before(t.ExpiresAt) }
