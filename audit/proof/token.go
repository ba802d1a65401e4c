package proof

// A TokenCreated entry says that from now on whoever has a token may act in a
// role. What he does, entries say by the token's ID.
type TokenCreated struct {
	Header
	TokenID   string // code, which names no person
	Role      string // code
	By        string // code of who made it, which names no person
	CreatedAt Time
	ExpiresAt Time
}

// Kind returns [KindTokenCreated].
func (*TokenCreated) Kind() string { return KindTokenCreated }

// ID returns "token/", the token's ID and the kind.
func (e *TokenCreated) ID() string { return tokenEntryID(e.TokenID, e.Kind()) }

func (e *TokenCreated) members(m *members) {
	m.code("by", &e.By)
	m.time("created_at", &e.CreatedAt)
	m.time("expires_at", &e.ExpiresAt)
	m.code("role", &e.Role)
	m.code("token_id", &e.TokenID)
}

func (*TokenCreated) check(*checks) {}

func (e *TokenCreated) report(p *report) {
	p.line("token", "%s may act as %s until %s, unless it is revoked before", e.TokenID, e.Role, e.ExpiresAt)
	p.line("made by", "%s", e.By)
	when(p, e.CreatedAt)
}

// A TokenRevoked entry says that a token is good for nothing any more.
type TokenRevoked struct {
	Header
	TokenID   string // code, which names no person
	Role      string // code
	By        string // code of who revoked it, which names no person
	RevokedAt Time
}

// Kind returns [KindTokenRevoked].
func (*TokenRevoked) Kind() string { return KindTokenRevoked }

// ID returns "token/", the token's ID and the kind.
func (e *TokenRevoked) ID() string { return tokenEntryID(e.TokenID, e.Kind()) }

func (e *TokenRevoked) members(m *members) {
	m.code("by", &e.By)
	m.time("revoked_at", &e.RevokedAt)
	m.code("role", &e.Role)
	m.code("token_id", &e.TokenID)
}

func (*TokenRevoked) check(*checks) {}

func (e *TokenRevoked) report(p *report) {
	p.line("token", "%s, which could act as %s, is revoked", e.TokenID, e.Role)
	p.line("by", "%s", e.By)
	when(p, e.RevokedAt)
}

func tokenEntryID(token, kind string) string { return EntryID("token/"+token, kind) }
