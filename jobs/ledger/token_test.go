package ledger_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/jobs/ledger"
)

// token makes one, and fails the test if it cannot.
func (b *book) token(t testing.TB, role jobs.Role, life time.Duration) (jobs.Token, string) {
	t.Helper()
	made, secret, err := b.CreateToken(t.Context(), jobs.ActorLocal, jobs.TokenOrder{Name: "a name that is nobody's business", Role: role, Life: life})
	if err != nil {
		t.Fatal(err)
	}
	return made, secret
}

// wantNobody wants a token to be good for nothing.
func (b *book) wantNobody(t testing.TB, what, secret string) {
	t.Helper()
	if a, err := b.Actor(t.Context(), secret); !errors.Is(err, jobs.ErrUnknownToken) || a != (jobs.Actor{}) {
		t.Errorf("%s: %+v, err = %v, want ErrUnknownToken", what, a, err)
	} else if secret != "" && strings.Contains(err.Error(), secret) {
		t.Errorf("%s: the error repeats the token", what)
	}
}

func TestATokenIsGoodUntilItExpiresOrIsRevoked(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		short, expiring := b.token(t, jobs.RoleSubmitter, time.Hour)
		long, revoked := b.token(t, jobs.RoleAuditor, 0)
		for secret, want := range map[string]jobs.Token{expiring: short, revoked: long} {
			if a, err := b.Actor(t.Context(), secret); err != nil || a != (jobs.Actor{ID: want.ID, Role: want.Role}) {
				t.Errorf("%+v, %v, want %s", a, err, want.ID)
			}
		}
		if !long.ExpiresAt.Equal(long.CreatedAt.Add(90 * 24 * time.Hour)) {
			t.Errorf("made %s, expires %s, want 90 days", long.CreatedAt, long.ExpiresAt)
		}
		b.advance(time.Hour - time.Second)
		if _, err := b.Actor(t.Context(), expiring); err != nil {
			t.Errorf("in its last second: %v", err)
		}
		b.advance(time.Second)
		b.wantNobody(t, "expired", expiring)
		for range 2 { // again is no error
			if got, err := b.RevokeToken(t.Context(), jobs.ActorLocal, long.ID); err != nil || got.RevokedAt == nil {
				t.Fatalf("%+v, %v", got, err)
			}
		}
		b.wantNobody(t, "revoked", revoked)
		hash := sha256.Sum256([]byte(revoked))
		for what, secret := range map[string]string{
			"short": "lethe_", "another": jobs.TokenPrefix + strings.Repeat("0", 64), "in capitals": strings.ToUpper(expiring),
			"its hash": string(hash[:]), "its ID": long.ID, "a wildcard": "%", "with a space": expiring + " ", "cut": expiring[:69],
		} {
			b.wantNobody(t, what, secret)
		}
		if _, err := b.RevokeToken(t.Context(), jobs.ActorLocal, "tok-none"); !errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("revoked what is not there: %v", err)
		}
		list, err := b.Tokens(t.Context(), jobs.ActorLocal)
		if err != nil || len(list) != 2 || list[0].LastUsed == nil || list[0].LastUsed.Truncate(time.Hour) != *list[0].LastUsed {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

// Nothing that is kept is of use to who reads it: neither the token, nor in the
// log the words of its maker.
func TestATokenStandsNowhere(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		made, secret := b.token(t, jobs.RoleAdmin, 0)
		if !jobs.LooksLikeToken(secret) || len(secret) != 70 {
			t.Fatalf("a token of %d characters", len(secret))
		}
		if _, err := b.RevokeToken(t.Context(), jobs.Actor{ID: "tok-9", Role: jobs.RoleAdmin}, made.ID); err != nil {
			t.Fatal(err)
		}
		if n := b.count(t, `tokens WHERE hash = ?`, sum(secret)); n != 1 {
			t.Errorf("%d rows with the SHA-256 of the token, want 1", n)
		}
		var all []string
		for _, kind := range []string{proof.KindTokenCreated, proof.KindTokenRevoked} {
			text, err := b.Certificate(t.Context(), proof.EntryID("token/"+made.ID, kind))
			if err != nil {
				t.Fatal(err)
			}
			c, err := proof.ParseCertificate(text)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, string(c.Entry))
		}
		for i, want := range []string{`"by":"local"`, `"by":"tok-9"`} {
			if !strings.Contains(all[i], want) || !strings.Contains(all[i], `"role":"admin"`) || strings.Contains(all[i], "business") {
				t.Errorf("the log says %s", all[i])
			}
		}
		rows, bare := b.tables(t), strings.TrimPrefix(secret, jobs.TokenPrefix)
		if !strings.Contains(rows, fmt.Sprintf("%x", made.ID)) || strings.Contains(rows, fmt.Sprintf("%x", bare)) || strings.Contains(rows, bare) {
			t.Error("the token stands in the tables")
		}
	})
}

func sum(secret string) []byte {
	hash := sha256.Sum256([]byte(secret))
	return hash[:]
}

// Whoever could revoke the last token must not open the door by it.
func TestTheDoorIsOpenUntilTheFirstTokenAndNeverAgain(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		if a, err := b.Actor(t.Context(), ""); err != nil || a != jobs.ActorOpen {
			t.Fatalf("without tokens: %+v, %v", a, err)
		}
		made, _ := b.token(t, jobs.RoleAdmin, time.Hour)
		b.wantNobody(t, "with a token", "")
		if _, err := b.RevokeToken(t.Context(), jobs.ActorLocal, made.ID); err != nil {
			t.Fatal(err)
		}
		b.wantNobody(t, "with the last token revoked", "")
		b.advance(2 * time.Hour)
		b.wantNobody(t, "with all tokens expired", "")
	})
}

func TestOnlyAdminsKeepTokens(t *testing.T) {
	b := newBook(t, onSQLite)
	made, _ := b.token(t, jobs.RoleAdmin, 0)
	for _, by := range []jobs.Actor{{}, {ID: "", Role: jobs.RoleAdmin}, {ID: "t", Role: jobs.RoleSubmitter}, {ID: "t", Role: jobs.RoleApprover}, {ID: "t", Role: jobs.RoleAuditor}, {ID: "t", Role: "root"}} {
		_, _, create := b.CreateToken(t.Context(), by, jobs.TokenOrder{Name: "n", Role: jobs.RoleAdmin})
		_, list := b.Tokens(t.Context(), by)
		_, revoke := b.RevokeToken(t.Context(), by, made.ID)
		for what, err := range map[string]error{"create": create, "list": list, "revoke": revoke} {
			if !errors.Is(err, jobs.ErrForbidden) {
				t.Errorf("%s by %+v: err = %v, want ErrForbidden", what, by, err)
			}
		}
	}
	if n := b.count(t, `tokens WHERE revoked_at IS NULL`); n != 1 {
		t.Errorf("%d live tokens, want 1", n)
	}
}

func TestAnOrderOfATokenIsChecked(t *testing.T) {
	b := newBook(t, onSQLite)
	for name, row := range map[string]struct {
		order jobs.TokenOrder
		field string
	}{
		"no role":        {jobs.TokenOrder{Name: "n"}, "role"},
		"another role":   {jobs.TokenOrder{Name: "n", Role: "root"}, "role"},
		"capitals":       {jobs.TokenOrder{Name: "n", Role: "Admin"}, "role"},
		"no name":        {jobs.TokenOrder{Role: jobs.RoleAdmin}, "name"},
		"blank name":     {jobs.TokenOrder{Name: "  ", Role: jobs.RoleAdmin}, "name"},
		"long name":      {jobs.TokenOrder{Name: strings.Repeat("n", 101), Role: jobs.RoleAdmin}, "name"},
		"two lines":      {jobs.TokenOrder{Name: "n\nadmin", Role: jobs.RoleAdmin}, "name"},
		"an escape":      {jobs.TokenOrder{Name: "n\x1b[2J", Role: jobs.RoleAdmin}, "name"},
		"turned around":  {jobs.TokenOrder{Name: "n\u202e", Role: jobs.RoleAdmin}, "name"},
		"not UTF-8":      {jobs.TokenOrder{Name: "n\xff", Role: jobs.RoleAdmin}, "name"},
		"expired before": {jobs.TokenOrder{Name: "n", Role: jobs.RoleAdmin, Life: -1}, "expires"},
		"for ever":       {jobs.TokenOrder{Name: "n", Role: jobs.RoleAdmin, Life: jobs.MaxTokenLife + 1}, "expires"},
	} {
		_, _, err := b.CreateToken(t.Context(), jobs.ActorLocal, row.order)
		if invalid, ok := errors.AsType[*jobs.Invalid](err); !ok || invalid.Field != row.field {
			t.Errorf("%s: err = %v, want one of %s", name, err, row.field)
		}
	}
	if n := b.count(t, `tokens`); n != 0 {
		t.Errorf("%d tokens were made", n)
	}
}

// desk opens the tokens as a command does.
func (b *book) desk(t testing.TB) *ledger.Beside {
	t.Helper()
	o := ledger.Options{Dir: b.dir, URL: b.url}
	d, err := ledger.OpenBeside(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// A command has no part in the log, and still nobody may act of whom the log does
// not know.
func TestTokensMadeBesideTheServiceAreLoggedBeforeTheyAreGood(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		d := b.desk(t)
		order := jobs.TokenOrder{Name: "n", Role: jobs.RoleApprover}
		logged := func(id, kind string) bool {
			_, err := b.Certificate(t.Context(), proof.EntryID("token/"+id, kind))
			return err == nil
		}
		used, secret, err := d.CreateToken(t.Context(), jobs.ActorLocal, order)
		if err != nil || logged(used.ID, proof.KindTokenCreated) {
			t.Fatalf("%v; logged by who has no key", err)
		}
		b.wantNobody(t, "open", "")
		if a, err := b.Actor(t.Context(), secret); err != nil || a.ID != used.ID || !logged(used.ID, proof.KindTokenCreated) {
			t.Errorf("%+v acts, %v, and the log knows: %v", a, err, logged(used.ID, proof.KindTokenCreated))
		}
		unused, _, err := d.CreateToken(t.Context(), jobs.ActorLocal, order)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{used.ID, unused.ID} {
			if _, err := d.RevokeToken(t.Context(), jobs.ActorLocal, id); err != nil {
				t.Fatal(err)
			}
		}
		b.wantNobody(t, "revoked beside", secret)
		for range 2 {
			if err := b.LogTokens(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, id := range []string{used.ID, unused.ID} {
			if !logged(id, proof.KindTokenCreated) || !logged(id, proof.KindTokenRevoked) {
				t.Errorf("%s: the log does not have both entries", id)
			}
		}
		if n := b.count(t, `audit_entry WHERE entry_id LIKE 'token/%'`); n != 4 {
			t.Errorf("%d entries of tokens, want 4", n)
		}
	})
}

// The first token is made before the service has ever run.
func TestTheFirstTokenMakesTheLedger(t *testing.T) {
	b := newBook(t, onSQLite)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b.dir = t.TempDir() + "/new"
	d := b.desk(t)
	_, secret, err := d.CreateToken(t.Context(), jobs.ActorLocal, jobs.TokenOrder{Name: "n", Role: jobs.RoleAdmin})
	if err != nil {
		t.Fatal(err)
	}
	b.open(t) // while the command is still there
	if a, err := b.Actor(t.Context(), secret); err != nil || a.Role != jobs.RoleAdmin {
		t.Errorf("%+v, %v", a, err)
	}
}

// A ledger that was put back to an older state follows its log in this too.
func TestATokenRevokedSinceTheBackupStaysRevoked(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		made, secret := b.token(t, jobs.RoleAdmin, 0)
		_, other := b.token(t, jobs.RoleAuditor, 0)
		backup := b.backup(t)
		if _, err := b.RevokeToken(t.Context(), jobs.Actor{ID: "tok-9", Role: jobs.RoleAdmin}, made.ID); err != nil {
			t.Fatal(err)
		}
		mirror := b.copied(t)
		b.putBack(t, backup)
		if _, err := b.Actor(t.Context(), secret); err != nil {
			t.Fatalf("the backup is not from before: %v", err)
		}
		if _, err := b.Import(t.Context(), mirror, keepKey); err != nil {
			t.Fatal(err)
		}
		b.wantNobody(t, "revoked since", secret)
		if _, err := b.Actor(t.Context(), other); err != nil {
			t.Errorf("the other one: %v", err)
		}
	})
}
