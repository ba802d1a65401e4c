package proof_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"lethe/audit/proof"

	"github.com/google/go-cmp/cmp"
)

func TestNoExclusionsAreSaid(t *testing.T) {
	e := completed()
	e.Exclusions = nil
	s := &e.Stores[0]
	s.Held, s.Unattributable, s.Requested = 0, 0, s.Requested-2
	s.Places[2].Held = 0
	if b := encode(t, e); !bytes.Contains(b, []byte(`"exclusions":[]`)) {
		t.Errorf("got %s", b)
	}
}

// A row spoils a completed entry, and names what it is then refused for.
type row struct {
	spoil func(entry, store)
	says  string
}

type (
	entry = *proof.Completed
	store = *proof.StoreProof
)

func TestCompletedRefusesWhatIsNotComplete(t *testing.T) {
	for name, row := range map[string]row{
		"remaining":               {func(_ entry, s store) { s.Remaining = 1 }, "remaining must be 0"},
		"refused":                 {func(_ entry, s store) { s.Refused, s.Erased = 1, s.Erased-1 }, "refused must be 0"},
		"sum too small":           {func(_ entry, s store) { s.Absent-- }, "requested must equal"},
		"sum too large":           {func(_ entry, s store) { s.Absent++ }, "requested must equal"},
		"found over requested":    {func(_ entry, s store) { s.Found = s.Requested + 1 }, "found must not exceed"},
		"erased over found":       {func(_ entry, s store) { s.Found = s.Erased }, "found must be at least"},
		"evidence none":           {func(_ entry, s store) { s.Evidence = "none" }, "evidence"},
		"evidence erased":         {func(_ entry, s store) { s.Evidence = "erased" }, "evidence"},
		"evidence missing":        {func(_ entry, s store) { s.Evidence = "" }, "evidence"},
		"purged without time":     {func(e entry, s store) { s.PurgedAt, e.PurgedAt = 0, 0 }, "purged_at must be there"},
		"time without purged":     {func(_ entry, s store) { s.Evidence = proof.EvidenceVerified }, "purged_at must be there"},
		"negative count":          {func(_ entry, s store) { s.Held, s.Absent = -1, s.Absent+3 }, "held must be from 0"},
		"count of 2^53":           {func(_ entry, s store) { s.Unattributable = 1 << 53 }, "unattributable must be from 0"},
		"counts that wrap":        {func(_ entry, s store) { s.Absent = math.MaxInt }, "absent must be from 0"},
		"places do not add up":    {func(_ entry, s store) { s.Places[0].Erased++ }, "places must add up"},
		"held in no place":        {func(_ entry, s store) { s.Places[2].Held-- }, "places must add up"},
		"more absent in places":   {func(_ entry, s store) { s.Places[0].Absent = s.Absent + 1 }, "places must not have more absent"},
		"places out of order":     {func(_ entry, s store) { s.Places[0], s.Places[1] = s.Places[1], s.Places[0] }, "places must be sorted"},
		"a place twice":           {func(_ entry, s store) { s.Places[1].Name = s.Places[0].Name }, "places must be sorted"},
		"hangs on no place":       {func(_ entry, s store) { s.Places[1].With = "nowhere" }, "with must name another"},
		"hangs on itself":         {func(_ entry, s store) { s.Places[1].With = "history" }, "with must name another"},
		"IDs that hang":           {func(_ entry, s store) { s.Places[1].Erased = 1; s.Places[0].Erased-- }, "as found"},
		"rows that stand":         {func(_ entry, s store) { s.Places[3].Found = 1 }, "found must be left out"},
		"a place of no name":      {func(_ entry, s store) { s.Places[0].Name = "" }, "places.name must match"},
		"no method":               {func(_ entry, s store) { s.Method = "" }, "stores.method must match"},
		"never verified":          {func(_ entry, s store) { s.VerifiedAt = 0 }, "stores.verified_at is missing"},
		"blank name":              {func(_ entry, s store) { s.Name = " " }, "stores.name must match"},
		"verified after the last": {func(e entry, _ store) { e.VerifiedAt++ }, "verified_at must be the latest"},
		"purged after the last":   {func(e entry, _ store) { e.PurgedAt++ }, "purged_at must be the latest"},
		"erased before the first": {func(e entry, _ store) { e.FirstErasedAt-- }, "first_erased_at must be the earliest"},
		"first erased not said":   {func(e entry, _ store) { e.FirstErasedAt = 0 }, "first_erased_at must be the earliest"},
		"batches not the sum":     {func(e entry, _ store) { e.Batches++ }, "batches must be the sum"},
		"no stores":               {func(e entry, _ store) { e.Stores, e.Batches = nil, 0 }, "stores must not be empty"},
		"a store twice":           {func(e entry, s store) { e.Stores, e.Batches = append(e.Stores, *s), 6 }, "stores must each stand once"},
		"no subject":              {func(e entry, _ store) { e.Subject = "" }, "subject must be"},
		"unkeyed subject":         {func(e entry, _ store) { e.Subject = proof.Digest([32]byte{}) }, "subject must be"},
		"subject in the open":     {func(e entry, _ store) { e.Subject = "alice" }, "subject must be"},
		"ticket in the open":      {func(e entry, _ store) { e.Ticket = "PRIV-123" }, "ticket must be"},
		"approved by a person":    {func(e entry, _ store) { e.ApprovedBy = "Bob <bob@example.com>" }, "approved_by must match"},
		"request ID not a UUID":   {func(e entry, _ store) { e.RequestID = "42" }, "request_id must be"},
		"request ID in capitals":  {func(e entry, _ store) { e.RequestID = strings.ToUpper(e.RequestID) }, "request_id must be"},
		"no origin":               {func(e entry, _ store) { e.Origin = "" }, "origin must be"},
		"origin with line break":  {func(e entry, _ store) { e.Origin = "a\nb" }, "origin must be"},
		"completed never":         {func(e entry, _ store) { e.CompletedAt = 0 }, "completed_at is missing"},
		"after the year 9999":     {func(e entry, _ store) { e.DueAt = 253402300800 }, "due_at must be from 1970"},
		"too long for a bundle":   {func(e entry, _ store) { e.Exclude(backups(3000)...) }, "longer than 65535"},
	} {
		e := completed()
		row.spoil(e, &e.Stores[0])
		wantRefusal(t, name, e, row.says)
	}
}

func backups(n int) []proof.Exclusion {
	all := make([]proof.Exclusion, n)
	for i := range all {
		all[i].Code = fmt.Sprintf("backup-%05d", i)
	}
	return all
}

func TestCompletedLeavesOutNothingThatItsFiguresSay(t *testing.T) {
	const implied, sorted = "imply", "sorted by code and store"
	backup := proof.Exclusion{Code: "backup", Store: "assistant"}
	for name, row := range map[string]row{
		"held is not excluded":   {func(e entry, _ store) { e.Exclusions = slices.Delete(e.Exclusions, 1, 2) }, implied},
		"rows are not excluded":  {func(e entry, _ store) { e.Exclusions = e.Exclusions[:2] }, implied},
		"nothing is excluded":    {func(e entry, _ store) { e.Exclusions = nil }, implied},
		"not purged, and no wal": {func(e entry, s store) { s.Evidence, s.PurgedAt, e.PurgedAt = "verified", 0, 0 }, implied},
		"purged, and a wal": {func(e entry, _ store) {
			e.Exclusions = append(e.Exclusions, proof.Exclusion{Code: "wal", Store: "assistant"})
		}, implied},
		"a wal of nothing":            {func(e entry, _ store) { e.Exclusions = append(e.Exclusions, proof.Exclusion{Code: "wal"}) }, implied},
		"held, and nothing held":      {func(_ entry, s store) { s.Held, s.Requested, s.Places = 0, s.Requested-2, nil }, implied},
		"rows, and none left alone":   {func(_ entry, s store) { s.Unattributable = 0 }, implied},
		"held until":                  {func(e entry, _ store) { e.Exclusions[1].Until = noon }, implied},
		"held in another store":       {func(e entry, _ store) { e.Exclusions[1].Store = "other" }, "one of the stores"},
		"a backup of another store":   {func(e entry, _ store) { e.Exclusions[0].Store = "other" }, "one of the stores"},
		"exclusion without code":      {func(e entry, _ store) { e.Exclusions[0].Code = "" }, "exclusions.code must match"},
		"sentence as exclusion":       {func(e entry, _ store) { e.Exclusions[0].Code = "ask alice" }, "exclusions.code must match"},
		"exclusions in another order": {func(e entry, _ store) { e.Exclusions[0], e.Exclusions[1] = e.Exclusions[1], e.Exclusions[0] }, sorted},
		"an exclusion twice":          {func(e entry, _ store) { e.Exclusions = slices.Insert(e.Exclusions, 1, e.Exclusions[0]) }, sorted},
		"a backup that ends twice":    {func(e entry, _ store) { e.Exclusions = slices.Insert(e.Exclusions, 1, backup) }, sorted},
	} {
		e := completed()
		row.spoil(e, &e.Stores[0])
		wantRefusal(t, name, e, row.says)
	}
}

func TestExcludeAddsWhatIsImplied(t *testing.T) {
	e := completed()
	e.Stores = append(e.Stores, e.Stores[0])
	a, b := &e.Stores[0], &e.Stores[1]
	b.Name, b.Evidence, b.PurgedAt, b.Held, b.Unattributable, b.Requested = "notes", proof.EvidenceVerified, 0, 0, 0, b.Requested-2
	b.Places = nil
	e.Batches = a.Batches + b.Batches
	e.Exclude(
		proof.Exclusion{Code: "replica"},
		proof.Exclusion{Code: "backup", Store: "notes", Until: noon}, proof.Exclusion{Code: "backup", Store: "notes", Until: noon + 1},
		proof.Exclusion{Code: "backup", Store: "assistant", Until: noon}, proof.Exclusion{Code: "backup", Store: "assistant"},
		proof.Exclusion{Code: "wal", Store: "assistant"}, // which was purged
	)
	want := proof.Exclusions{
		{Code: "backup", Store: "assistant"},
		{Code: "backup", Store: "notes", Until: noon + 1},
		{Code: "held", Store: "assistant"},
		{Code: "replica"},
		{Code: "unattributable-rows", Store: "assistant"},
		{Code: "wal", Store: "notes"},
	}
	if d := cmp.Diff(want, e.Exclusions); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	again := slices.Clone(e.Exclusions)
	e.Exclude(again...)
	if d := cmp.Diff(want, e.Exclusions); d != "" {
		t.Errorf("once more: -want +got\n%s", d)
	}
	encode(t, e)
}

func TestTextsHaveALength(t *testing.T) {
	for n, ok := range map[int]bool{1: true, 64: true, 65: false} {
		e := completed()
		e.Regime = strings.Repeat("a", n)
		if _, err := proof.Encode(e); (err == nil) != ok {
			t.Errorf("a code of %d letters: %v", n, err)
		}
	}
	for n, ok := range map[int]bool{1: true, 255: true, 256: false} {
		e := completed()
		e.Origin = strings.Repeat("~", n)
		if _, err := proof.Encode(e); (err == nil) != ok {
			t.Errorf("an origin of %d letters: %v", n, err)
		}
	}
	for _, b := range []string{"+", " ", `"`, `\`, "\x7f", "é"} {
		e := completed()
		e.Origin = "log.example" + b
		wantRefusal(t, "an origin with "+b, e, "origin must be")
	}
}

func TestErrorsNameNobody(t *testing.T) {
	e := completed()
	e.Subject, e.ApprovedBy, e.Stores[0].Name = "alice@example.com", "Alice Example", "alice's phone"
	if _, err := proof.Encode(e); err == nil || strings.Contains(strings.ToLower(err.Error()), "alice") {
		t.Errorf("err = %v, want one without the value", err)
	}
}

func TestCancelledRefusesImpossibleCounts(t *testing.T) {
	rows := map[string]func(*proof.CancelledStore){
		"more than asked":   func(s *proof.CancelledStore) { s.Erased = 9 },
		"found over asked":  func(s *proof.CancelledStore) { s.Found = 11 },
		"more done than is": func(s *proof.CancelledStore) { s.BatchesDone = 3 },
		"negative":          func(s *proof.CancelledStore) { s.Absent = -1 },
		"wrap":              func(s *proof.CancelledStore) { s.Erased, s.Absent = math.MaxInt, math.MaxInt },
	}
	for name, spoil := range rows {
		e := cancelled()
		spoil(&e.Stores[0])
		if _, err := proof.Encode(e); !errors.Is(err, proof.ErrEntry) {
			t.Errorf("%s: err = %v, want ErrEntry", name, err)
		}
	}
}

// exempt is a completed erasure of which two parts were refused.
func exempt() *proof.Completed {
	e := completed()
	s := &e.Stores[0]
	s.Requested, s.Found = s.Requested+70, s.Found+70
	second := *s
	second.Name, second.Requested, second.Found, second.Erased, second.Absent, second.Held = "crm", 5, 5, 0, 0, 0
	second.Batches, second.Places, second.FirstErasedAt, second.Unattributable = 0, nil, 0, 0
	e.Stores = append(e.Stores, second)
	e.Exempt(
		proof.Exemption{Store: "crm", Reason: "art17-3-e", By: "tok-8", IDs: 5, ReviewAt: noon + 86400},
		proof.Exemption{Store: "assistant", Place: "invoices", Reason: "art17-3-b", By: "tok-8", IDs: 70},
	)
	return e
}

func TestACertificateSaysWhatWasExemptAndStillAddsUp(t *testing.T) {
	good := encode(t, exempt())
	got, err := proof.Decode(good)
	if err != nil {
		t.Fatal(err)
	}
	if x := got.(*proof.Completed).Exemptions; len(x) != 2 || x[0].Place != "invoices" || x[1].Store != "crm" {
		t.Errorf("exemptions %+v", x)
	}
	for name, row := range map[string]row{
		"fewer left than said": {func(e entry, _ store) { e.Exemptions[0].IDs-- }, "requested must equal"},
		"more left than said":  {func(e entry, _ store) { e.Exemptions[0].IDs++ }, "requested must equal"},
		"counted as found":     {func(_ entry, s store) { s.Found -= 70 }, "found must be at least"},
		"not said at all":      {func(e entry, _ store) { e.Exemptions = nil }, "requested must equal"},
		"of no store":          {func(e entry, s store) { e.Exemptions[1].Store, e.Stores[1].Requested, e.Stores[1].Found = "else", 0, 0 }, "exemptions.store"},
		"twice": {func(e entry, s store) {
			e.Exemptions[1] = e.Exemptions[0]
			s.Requested, s.Found, e.Stores[1].Requested, e.Stores[1].Found = s.Requested+70, s.Found+70, 0, 0
		}, "exemptions must be sorted"},
		"and erased":         {func(e entry, s store) { e.Exemptions[0].Place = "" }, "whole store in which something"},
		"of an erased place": {func(e entry, s store) { e.Exemptions[0].Place = "memories" }, "must not have what is exempt"},
		"for no reason":      {func(e entry, _ store) { e.Exemptions[0].Reason = "" }, "exemptions.reason"},
		"by nobody":          {func(e entry, _ store) { e.Exemptions[0].By = "" }, "exemptions.by"},
		"counts that wrap":   {func(e entry, _ store) { e.Exemptions[0].IDs = 1<<53 - 1 }, "requested must equal"},
	} {
		e := exempt()
		row.spoil(e, &e.Stores[0])
		if _, err := proof.Encode(e); err == nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: err = %v, want %q", name, err, row.says)
		}
	}
	signer, vkey := newKey(t, 1, origin)
	var l tree
	l.append(t, good)
	r, err := proof.Verify(l.certificate(t, 0, 1, signer).Text(), parseKeys(t, vkey))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"70 IDs of invoices of assistant, refused under art17-3-b by tok-8\n",
		"5 IDs of all of crm, refused under art17-3-e by tok-8, to be looked at again 2026-11-23T12:00:00Z",
		"nothing left but what is held and what was refused", "nothing left but what was refused", "2478 of 2558 IDs",
	} {
		if !strings.Contains(r.String(), want) {
			t.Errorf("no %q in\n%s", want, r)
		}
	}
}
