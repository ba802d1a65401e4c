package proof_test

import (
	"errors"
	"strings"
	"testing"

	"lethe/audit/proof"
)

const (
	otherID = "0199f2a4-5c1e-7d3b-8f00-ba9876543210"
	oldLog  = "log.example/before"
)

// all returns one entry of every kind.
func all(t testing.TB) []proof.Entry {
	t.Helper()
	_, first := newKey(t, 1, origin)
	_, second := newKey(t, 2, origin)
	_, before := newKey(t, 3, oldLog)
	head := proof.Header{Origin: origin}
	subject := proof.SubjectCommitment(subjectKey(), []byte(`{"user_id":"alice"}`))
	policy := proof.Adoption{Name: "retention/chat", Serial: 3, Digest: proof.Digest([32]byte{4})}
	return []proof.Entry{
		accepted(), completed(), cancelled(), keyDestroyed(),
		&proof.Rejected{Header: head, Terms: terms(), RejectedAt: noon, Reason: "not-identified", By: "tok-7"},
		&proof.Superseded{Header: head, RequestID: requestID, SupersededBy: otherID, SupersededAt: noon, Reason: "duplicate"},
		&proof.Extended{Header: head, RequestID: requestID, FirstDueAt: noon + 30*86400, DueAt: noon + 90*86400, Reason: "complexity", By: "tok-8", ExtendedAt: noon},
		&proof.Confirmed{Header: head, RequestID: requestID, ConfirmBy: noon - 3600, By: "tok-8", ConfirmedAt: noon},
		&proof.Exempted{Header: head, RequestID: requestID, Store: "app", Place: "invoices", Reason: "art17-3-b", By: "tok-8", ReviewAt: noon + 86400, ExemptedAt: noon},
		&proof.HoldPlaced{Header: head, HoldID: otherID, Subject: subject, Reason: "litigation", By: "tok-8", PlacedAt: noon, Until: noon + 86400},
		&proof.HoldReleased{Header: head, HoldID: otherID, Reason: "settled", By: "tok-8", ReleasedAt: noon},
		&proof.PolicyAdopted{Header: head, Adoption: policy, AdoptedAt: noon},
		&proof.PolicyRetired{Header: head, Adoption: policy, RetiredAt: noon},
		&proof.KeyRotated{Header: head, OldKey: first, NewKey: second, RotatedAt: noon, OverlapUntil: noon + 86400},
		&proof.KeyRetired{Header: head, Key: first, FinalSize: 42, RetiredAt: noon},
		&proof.LogSucceeded{
			Header: head, OldOrigin: oldLog, OldSize: 41, OldRoot: proof.Digest([32]byte{5}), OldKey: before,
			Reason: "database-lost", SucceededAt: noon,
		},
		&proof.TokenCreated{Header: head, TokenID: "tok-9", Role: "approver", By: "local", CreatedAt: noon, ExpiresAt: noon + 86400},
		&proof.TokenRevoked{Header: head, TokenID: "tok-9", Role: "approver", By: "tok-1", RevokedAt: noon},
		&proof.Approved{Header: head, RequestID: requestID, PlanHash: proof.Digest([32]byte{6}), ApprovedAt: noon, By: "tok-9"},
		&proof.SuppressionDestroyed{Header: head, Epoch: "2025-10", DestroyedAt: noon},
		&proof.Replayed{Header: head, ReplayID: otherID, Store: "app", BackupAt: noon - 86400, Back: 7, Later: 1, Requests: 1, First: requestID, By: "tok-9", ReplayedAt: noon},
	}
}

func TestEntriesOfOneLogHaveDifferentIDs(t *testing.T) {
	want := []string{
		requestID + "/erasure.accepted/v1", requestID + "/erasure.completed/v1", requestID + "/erasure.cancelled/v1",
		requestID + "/subject-key.destroyed/v1", requestID + "/erasure.rejected/v1", requestID + "/erasure.superseded/v1",
		requestID + "/erasure.extended/v1", requestID + "/erasure.confirmed/v1", requestID + "/app/invoices/erasure.exempted/v1",
		otherID + "/hold.placed/v1", otherID + "/hold.released/v1",
		"policy/retention/chat/3/policy.adopted/v1", "policy/retention/chat/3/policy.retired/v1",
		"key/" + keyHash(t, 2) + "/key.rotated/v1", "key/" + keyHash(t, 1) + "/key.retired/v1", "log/log.example/before/log.succeeded/v1",
		"token/tok-9/token.created/v1", "token/tok-9/token.revoked/v1",
		requestID + "/" + proof.Digest([32]byte{6}) + "/erasure.approved/v1",
		"suppression/2025-10/suppression.destroyed/v1", "replay/" + otherID + "/store.replayed/v1",
	}
	for i, e := range all(t) {
		if e.ID() != want[i] || !strings.HasSuffix(want[i], "/"+e.Kind()) {
			t.Errorf("ID %q of a %s, want %q", e.ID(), e.Kind(), want[i])
		}
	}
	if got := proof.EntryID(requestID, proof.KindAccepted); got != want[0] {
		t.Errorf("EntryID is %q, want %q", got, want[0])
	}
}

// keyHash is the hash that a verifier key's text names.
func keyHash(t testing.TB, seed byte) string {
	t.Helper()
	_, vkey := newKey(t, seed, origin)
	return strings.Split(vkey, "+")[1]
}

func TestEntriesThatContradictThemselvesAreRefused(t *testing.T) {
	_, first := newKey(t, 1, origin)
	_, foreign := newKey(t, 2, "log.example/foreign")
	wrongHash := strings.Replace(first, keyHash(t, 1), keyHash(t, 2), 1)
	rows := map[string]struct {
		spoil func(proof.Entry) bool
		says  string
	}{
		"replayed, and filed nothing": {of(func(e *proof.Replayed) { e.Requests = 0 }), "first_request"},
		"replayed, and filed more":    {of(func(e *proof.Replayed) { e.Requests = 8 }), "requests"},
		"superseded by itself":        {of(func(e *proof.Superseded) { e.SupersededBy = requestID }), "superseded_by"},
		"rotated to itself":           {of(func(e *proof.KeyRotated) { e.NewKey = e.OldKey }), "another key"},
		"rotated to another's key":    {of(func(e *proof.KeyRotated) { e.NewKey = foreign }), "new_key must be named"},
		"rotated from another's":      {of(func(e *proof.KeyRotated) { e.OldKey = foreign }), "old_key must be named"},
		"rotated to a cosigner":       {of(func(e *proof.KeyRotated) { e.NewKey = cosignerKey(t) }), "new_key must be the verifier key"},
		"rotated to no key":           {of(func(e *proof.KeyRotated) { e.NewKey = origin }), "new_key must be the verifier key"},
		"rotated to a wrong hash":     {of(func(e *proof.KeyRotated) { e.NewKey = wrongHash }), "new_key must be the verifier key"},
		"rotated for ever":            {of(func(e *proof.KeyRotated) { e.OverlapUntil = 0 }), "overlap_until is missing"},
		"retired another's key":       {of(func(e *proof.KeyRetired) { e.Key = foreign }), "key must be named"},
		"retired before the first":    {of(func(e *proof.KeyRetired) { e.FinalSize = -1 }), "final_size"},
		"retired at 2^53":             {of(func(e *proof.KeyRetired) { e.FinalSize = 1 << 53 }), "final_size"},
		"succeeded itself":            {of(func(e *proof.LogSucceeded) { e.OldOrigin = origin }), "another log"},
		"succeeded under a wrong key": {of(func(e *proof.LogSucceeded) { e.OldKey = first }), "old_key must be named"},
		"a root of nothing":           {of(func(e *proof.LogSucceeded) { e.OldSize = 0 }), "old_root"},
		"an unkeyed subject held":     {of(func(e *proof.HoldPlaced) { e.Subject = proof.Digest([32]byte{}) }), "subject must be hmac"},
		"extended to the past":        {of(func(e *proof.Extended) { e.DueAt = e.FirstDueAt }), "due_at must be after"},
		"extended too late":           {of(func(e *proof.Extended) { e.ExtendedAt = e.FirstDueAt + 1 }), "extended_at must not be after"},
		"extended for a sentence":     {of(func(e *proof.Extended) { e.Reason = "too many" }), "reason must match"},
		"confirmed by nobody":         {of(func(e *proof.Confirmed) { e.By = "" }), "by must match"},
		"exempted for no reason":      {of(func(e *proof.Exempted) { e.Reason = "" }), "reason must match"},
		"nothing exempted":            {of(func(e *proof.Exempted) { e.Store = "" }), "store must match"},
		"held by nobody":              {of(func(e *proof.HoldPlaced) { e.By = "" }), "by must match"},
		"a keyed policy":              {of(func(e *proof.PolicyAdopted) { e.Digest = terms().Subject }), "digest must be sha256"},
		"a policy by a sentence":      {of(func(e *proof.PolicyRetired) { e.Name = "keep chats" }), "name must match"},
		"a token by a sentence":       {of(func(e *proof.TokenCreated) { e.TokenID = "Jane Doe" }), "token_id must match"},
		"a token without an end":      {of(func(e *proof.TokenCreated) { e.ExpiresAt = 0 }), "expires_at is missing"},
		"revoked by nobody":           {of(func(e *proof.TokenRevoked) { e.By = "" }), "by must match"},
		"approved by nobody":          {of(func(e *proof.Approved) { e.By = "" }), "by must match"},
		"approved, and no plan":       {of(func(e *proof.Approved) { e.PlanHash = "" }), "plan_hash"},
		"approved when, by nobody":    {of(func(e *proof.Completed) { e.ApprovedAt, e.ApprovedBy = noon, "" }), "approved_by"},
		"rejected for no reason":      {of(func(e *proof.Rejected) { e.Reason = "" }), "reason must match"},
	}
	for name, row := range rows {
		refused := 0
		for _, e := range all(t) {
			if row.spoil(e) {
				refused++
				wantRefusal(t, name, e, row.says)
			}
		}
		if refused != 1 {
			t.Errorf("%s: fits %d kinds, want 1", name, refused)
		}
	}
}

// of returns a function that spoils entries of one kind, and says whether it
// was one.
func of[E proof.Entry](spoil func(E)) func(proof.Entry) bool {
	return func(e proof.Entry) bool {
		x, ok := e.(E)
		if ok {
			spoil(x)
		}
		return ok
	}
}

// wantRefusal wants an entry to be refused for what says names.
func wantRefusal(t testing.TB, name string, e proof.Entry, says string) {
	t.Helper()
	if _, err := proof.Encode(e); !errors.Is(err, proof.ErrEntry) || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: err = %v, want ErrEntry and %q", name, err, says)
	}
}

func cosignerKey(t testing.TB) string {
	t.Helper()
	_, vkey := newKey(t, 2, origin)
	key, err := proof.ParseVerifyKey(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return key.Clock().String()
}

func TestReportsOfOtherKindsClaimNoErasure(t *testing.T) {
	has := map[string]string{
		proof.KindRejected: "this is NOT an erasure", proof.KindSuperseded: "request " + otherID, proof.KindHoldPlaced: "forbids to erase",
		proof.KindExtended: "instead of", proof.KindConfirmed: "came LATE", proof.KindExempted: "invoices of app: nothing of it goes",
		proof.KindHoldReleased: "this is NOT an erasure", proof.KindPolicyAdopted: "retention/chat, number 3",
		proof.KindPolicyRetired: "does not say that it was kept", proof.KindKeyRotated: "until 2026-11-23T12:00:00Z",
		proof.KindKeyRetired: "more than 42 entries", proof.KindLogSucceeded: "ended with 41 entries",
		proof.KindTokenCreated: "tok-9 may act as approver until 2026-11-23T12:00:00Z", proof.KindTokenRevoked: "tok-9, which could act as approver, is revoked",
		proof.KindApproved: "this is NOT an erasure", proof.KindReplayed: "this is NOT an erasure", proof.KindSuppressionDestroyed: "digests of 2025-10",
	}
	signer, vkey := newKey(t, 1, origin)
	for _, e := range all(t)[4:] {
		var l tree
		l.append(t, encode(t, e))
		r, err := proof.Verify(l.certificate(t, 0, 1, signer).Text(), parseKeys(t, vkey))
		if err != nil {
			t.Fatal(err)
		}
		text := r.String()
		if want := has[e.Kind()]; want == "" || !strings.Contains(text, want) {
			t.Errorf("%s: no %q in\n%s", e.Kind(), want, text)
		}
		for _, claim := range []string{" erased", "verified:", "purged"} {
			if strings.Contains(text, claim) {
				t.Errorf("%s: %q in\n%s", e.Kind(), claim, text)
			}
		}
	}
}

// Who filed and who stopped a request is said since there are tokens; what was
// logged before is read as it stands.
func TestEntriesSayWhoAskedAndOlderOnesAreRead(t *testing.T) {
	filed, stopped := accepted(), cancelled()
	for _, e := range []proof.Entry{filed, stopped} {
		if text := string(encode(t, e)); strings.Contains(text, `"by"`) {
			t.Errorf("%s says by whom, and nobody is known: %s", e.Kind(), text)
		}
	}
	filed.By, stopped.By = "tok-7", "tok-8"
	for e, by := range map[proof.Entry]string{filed: "tok-7", stopped: "tok-8"} {
		text := encode(t, e)
		got, err := proof.Decode(text)
		if err != nil || !strings.Contains(string(text), `"by":"`+by+`"`) || got.ID() != e.ID() {
			t.Errorf("%s: %v\n%s", e.Kind(), err, text)
		}
		var l tree
		l.append(t, text)
		signer, vkey := newKey(t, 1, origin)
		r, err := proof.Verify(l.certificate(t, 0, 1, signer).Text(), parseKeys(t, vkey))
		if err != nil || !strings.Contains(r.String(), by) {
			t.Errorf("%s: %v\n%s", e.Kind(), err, r)
		}
	}
	filed.By = "Jane Doe"
	wantRefusal(t, "filed by a name", filed, "by must match")
}
