package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/jobs/api/apitest"
	"lethe/store"
)

// A talk is with the real service, through the typed client, with every answer
// compared with the document that the service serves.
type talk struct {
	t    *testing.T
	r    *running
	d    *apitest.Document
	data string

	admin, approver, submitter *api.Client
	asked                      map[string]string // operationId by method of the client
}

func newTalk(t *testing.T) *talk {
	k := &talk{t: t, data: filepath.Join(t.TempDir(), "data"), asked: map[string]string{}}
	_, admin := newToken(t, k.data, jobs.RoleAdmin)
	_, approver := newToken(t, k.data, jobs.RoleApprover)
	_, submitter := newToken(t, k.data, jobs.RoleSubmitter)
	c := configFor(k.data, queueEmbedded, configured("assistant", realMem0(t, filepath.Join(t.TempDir(), "m"))))
	c.LogOrigin, c.Approval = "", approvalAlways // the first token has made the log's key
	p := expired()
	p.Stores, p.Cron, p.Every = []string{"assistant"}, "0 0 29 2 *", nil // hardly ever by itself
	c.Policies = []PolicyConfig{p}
	k.r = startLogging(t, c, nil, slog.New(slog.DiscardHandler))
	k.d = servedDocument(t, k.r)
	k.admin, k.approver, k.submitter = k.client(admin), k.client(approver), k.client(submitter)
	return k
}

func (k *talk) client(token string) *api.Client {
	k.t.Helper()
	through := k.d.Through(http.DefaultTransport, func(err error) { k.t.Errorf("not as documented: %v", err) })
	c, err := api.NewClient(k.r.s.URL(), token, through)
	if err != nil {
		k.t.Fatal(err)
	}
	return c
}

// call makes a call that must succeed, and notes which operation it was.
func call[T any](k *talk, method string, do func(context.Context) (T, error)) T {
	k.t.Helper()
	before := k.seen()
	ctx, cancel := context.WithTimeout(k.t.Context(), patience)
	defer cancel()
	v, err := do(ctx)
	if err != nil {
		k.t.Fatalf("%s: %v", method, err)
	}
	var now []string
	for operation, n := range k.seen() {
		if n > before[operation] {
			now = append(now, k.d.ID(operation))
		}
	}
	slices.Sort(now)
	k.asked[method] = strings.Join(now, " ")
	return v
}

// seen counts the calls of each operation.
func (k *talk) seen() map[string]int {
	n := map[string]int{}
	for _, operation := range k.d.Operations() {
		n[operation] = k.d.Calls(operation)
	}
	return n
}

// TestTheClientHasAMethodForEveryCall drives each method of the client against
// the real service. A new route without a method, a method that asks for no route
// or is not tried here, and an answer that is not as documented all fail.
func TestTheClientHasAMethodForEveryCall(t *testing.T) {
	t.Parallel()
	k := newTalk(t)
	k.probes()
	k.people()
	k.holds()
	k.policies()
	k.decisions()
	forgotten := k.erased()
	k.returns(forgotten.ID)
	k.upkeep()
	k.proofs(forgotten)
	k.refusals()
	methods := reflect.TypeFor[*api.Client]()
	for i := range methods.NumMethod() {
		if name := methods.Method(i).Name; k.asked[name] == "" {
			t.Errorf("nothing here calls %s, or it asks for nothing", name)
		}
	}
	for _, operation := range k.d.Operations() {
		if k.d.Calls(operation) == 0 && !ours(operation) {
			t.Errorf("no method of the client calls %s", operation)
		}
	}
	for method, operations := range k.asked {
		t.Logf("%-16s %s", method, operations)
	}
}

// ours are the operations that no client of ours calls: those for Mem0's clients,
// and for Prometheus.
func ours(operation string) bool {
	return strings.Contains(operation, " /mem0/") || strings.HasSuffix(operation, " /metrics")
}

func (k *talk) upkeep() {
	if found := call(k, "Doctor", k.admin.Doctor); len(found.Findings) == 0 {
		k.t.Error("the doctor has looked at nothing")
	}
	size := call(k, "Backup", func(ctx context.Context) (int64, error) {
		b, err := k.admin.Backup(ctx)
		if err != nil {
			return 0, err
		}
		n, err := io.Copy(io.Discard, b.Content)
		return n, errors.Join(err, b.Content.Close())
	})
	if size == 0 {
		k.t.Error("the backup is empty")
	}
}

func (k *talk) probes() {
	call(k, "Health", func(ctx context.Context) (bool, error) { return true, k.admin.Health(ctx) })
	if state := call(k, "Ready", k.admin.Ready); !state.Ready || len(state.Stores) != 1 || state.Stores[0].State != api.StoreUp {
		k.t.Errorf("ready: %+v", state)
	}
	call(k, "OpenAPI", k.admin.OpenAPI)
	key, keys := call(k, "Key", k.admin.Key), call(k, "Keys", k.admin.Keys)
	if key+"\n" != string(keys) {
		k.t.Errorf("key %q, keys %q", key, keys)
	}
}

func (k *talk) people() {
	made := call(k, "CreateToken", func(ctx context.Context) (api.NewToken, error) {
		return k.admin.CreateToken(ctx, api.TokenOrder{Name: "n", Role: jobs.RoleAuditor, Expires: time.Hour})
	})
	if list := call(k, "Tokens", k.admin.Tokens); len(list) != 4 {
		k.t.Errorf("%d tokens", len(list))
	}
	gone := call(k, "RevokeToken", func(ctx context.Context) (api.Token, error) { return k.admin.RevokeToken(ctx, made.ID) })
	if gone.RevokedAt == nil || gone.Live {
		k.t.Errorf("revoked: %+v", gone)
	}
}

func (k *talk) policies() {
	plan := call(k, "RunPolicy", func(ctx context.Context) (api.SweepResult, error) { return k.admin.RunPolicy(ctx, "expired", true) })
	if len(plan.Plans) != 1 || len(plan.Sweeps) != 0 {
		k.t.Errorf("dry run: %+v", plan)
	}
	if list := call(k, "Policies", k.approver.Policies); len(list) != 1 || len(list[0].Sweeps) != 0 {
		k.t.Errorf("policies: %+v", list)
	}
}

// returns asks about who was forgotten, and for what would have come back.
func (k *talk) returns(request string) {
	s := call(k, "Suppressed", func(ctx context.Context) (api.Suppression, error) {
		return k.admin.Suppressed(ctx, store.Selector{UserID: "alice"})
	})
	if !s.Suppressed || s.Request == nil || *s.Request != request || s.ErasedAt == nil {
		k.t.Errorf("alice: %+v", s)
	}
	found := call(k, "Replay", func(ctx context.Context) (api.Replay, error) {
		return k.admin.Replay(ctx, "assistant", time.Now().Add(-time.Hour), true)
	})
	if found.Store != "assistant" || found.Back != 0 || len(found.Requests) != 0 {
		k.t.Errorf("dry run: %+v", found)
	}
}

func (k *talk) holds() {
	hold := call(k, "PlaceHold", func(ctx context.Context) (api.Hold, error) {
		return k.approver.PlaceHold(ctx, api.Submission{Selector: store.Selector{UserID: "nobody"}}, "litigation", time.Now().Add(time.Hour))
	})
	if list := call(k, "Holds", k.approver.Holds); len(list) != 1 || list[0].ID != hold.ID {
		k.t.Errorf("holds: %+v", list)
	}
	released := call(k, "ReleaseHold", func(ctx context.Context) (api.Hold, error) { return k.approver.ReleaseHold(ctx, hold.ID, "settled") })
	if released.State != jobs.HoldEnded {
		k.t.Errorf("released: %+v", released)
	}
}

// submit files a request and waits until it asks for an approval.
func (k *talk) submit(s api.Submission) api.Request {
	k.t.Helper()
	type filed struct {
		api.Accepted
		replayed bool
	}
	f := call(k, "Submit", func(ctx context.Context) (filed, error) {
		r, replayed, err := k.submitter.Submit(ctx, s)
		return filed{r, replayed}, err
	})
	if f.replayed || f.ReceiptText == nil {
		k.t.Errorf("filed: %+v", f)
	}
	var r api.Request
	waitFor(k.t, "a plan", func() bool {
		r = call(k, "Request", func(ctx context.Context) (api.Request, error) { return k.submitter.Request(ctx, f.ID) })
		return r.Approval.Needed
	})
	return r
}

// decisions takes a request through every decision but the approval.
func (k *talk) decisions() {
	plan := call(k, "Plan", func(ctx context.Context) (api.Plan, error) {
		return k.submitter.Plan(ctx, api.Submission{Selector: store.Selector{UserID: "alice"}})
	})
	if len(plan.Stores) != 1 || plan.Stores[0].Found == 0 || len(plan.Beyond) == 0 {
		k.t.Errorf("plan: %+v", plan)
	}
	r := k.submit(api.Submission{Selector: store.Selector{UserID: "bob"}, Regime: "ccpa"})
	for method, decide := range map[string]func(context.Context) (api.Request, error){
		"Confirm": func(ctx context.Context) (api.Request, error) { return k.approver.Confirm(ctx, r.ID) },
		"Extend": func(ctx context.Context) (api.Request, error) {
			return k.approver.Extend(ctx, r.ID, "reasonably-necessary")
		},
		"Exempt": func(ctx context.Context) (api.Request, error) {
			return k.approver.Exempt(ctx, r.ID, api.Refused{Store: "assistant", Place: "messages", Reason: "ccpa-1798.105-d-8", ReviewAt: new(time.Now().Add(time.Hour))})
		},
	} {
		call(k, method, decide)
	}
	if r = call(k, "Reject", func(ctx context.Context) (api.Request, error) { return k.approver.Reject(ctx, r.ID, "not-identified") }); r.Status != jobs.Rejected {
		k.t.Errorf("rejected: %+v", r)
	}
	if r.ConfirmedAt == nil || r.ExtensionReason == "" || len(r.RefusedInPart) != 1 {
		k.t.Errorf("decided: %+v", r)
	}
	r = k.submit(api.Submission{Selector: store.Selector{UserID: "bob"}})
	if r = call(k, "Cancel", func(ctx context.Context) (api.Request, error) { return k.submitter.Cancel(ctx, r.ID) }); r.Status != jobs.Cancelled {
		k.t.Errorf("cancelled: %+v", r)
	}
	for _, list := range []string{"List", "ListDue"} {
		n := call(k, list, func(ctx context.Context) (n int, err error) {
			all := k.admin.List(ctx, jobs.Rejected, jobs.Cancelled)
			if list == "ListDue" {
				all = k.admin.ListDue(ctx, jobs.Overdue)
			}
			for _, err = range all {
				n++
			}
			return n, err
		})
		if want := map[string]int{"List": 2, "ListDue": 0}[list]; n != want {
			k.t.Errorf("%s: %d, want %d", list, n, want)
		}
	}
}

// erased has a request approved and watches it to its end.
func (k *talk) erased() api.Request {
	k.t.Helper()
	r := k.submit(api.Submission{Selector: store.Selector{UserID: "alice"}, Ticket: "PRIV-1", Ground: "art17-1-b"})
	if r = call(k, "Approve", func(ctx context.Context) (api.Request, error) { return k.approver.Approve(ctx, r.ID, r.PlanHash) }); r.Approval.By == "" {
		k.t.Errorf("approved: %+v", r.Approval)
	}
	r = call(k, "Watch", func(ctx context.Context) (api.Request, error) {
		return k.submitter.Watch(ctx, r.ID, func(api.Request) {})
	})
	if r.Status != jobs.Completed || r.Stores[0].Erased == 0 || r.Stores[0].Evidence != store.EvidencePurged {
		k.t.Fatalf("erased: %+v", r)
	}
	return r
}

// proofs asks for whatever shows that it was erased, and checks it.
func (k *talk) proofs(r api.Request) {
	keys, err := proof.ParseKeys(call(k, "Keys", k.admin.Keys))
	if err != nil {
		k.t.Fatal(err)
	}
	verify := func(text []byte) (*proof.Result, error) { return proof.Verify(text, keys) }
	for method, ask := range map[string]func(context.Context) ([]byte, error){
		"Receipt":     func(ctx context.Context) ([]byte, error) { return k.submitter.Receipt(ctx, r.ID) },
		"Certificate": func(ctx context.Context) ([]byte, error) { return k.submitter.Certificate(ctx, r.ID) },
		"Reissued":    func(ctx context.Context) ([]byte, error) { return k.submitter.Reissued(ctx, r.ID, false) },
	} {
		if _, err := verify(call(k, method, ask)); err != nil {
			k.t.Errorf("%s: %v", method, err)
		}
	}
	key := call(k, "SubjectKey", func(ctx context.Context) ([]byte, error) { return k.submitter.SubjectKey(ctx, r.ID) })
	const memory = "b5499845-d7dc-4348-9868-65766b998d47" // one of alice's
	text := call(k, "MemoryProof", func(ctx context.Context) ([]byte, error) { return k.submitter.MemoryProof(ctx, r.ID, memory) })
	if _, _, err := proof.VerifyMemory(text, verify, key, memory); err != nil {
		k.t.Errorf("memory proof: %v", err)
	}
	head, err := proof.OpenHead(call(k, "Checkpoint", k.admin.Checkpoint), keys)
	if err != nil {
		k.t.Fatal(err)
	}
	tile := proof.TilePath(tlog.Tile{H: proof.TileHeight, L: 0, N: 0, W: int(head.Size)})
	if b := call(k, "Tile", func(ctx context.Context) ([]byte, error) { return k.admin.Tile(ctx, tile) }); len(b) != int(head.Size)*tlog.HashSize {
		k.t.Errorf("tile of %d hashes: %d bytes", head.Size, len(b))
	}
	_, err = k.admin.Tile(k.t.Context(), "tile/0/001.p/9")
	wantRefused(k.t, "a tile that is not there", err, http.StatusNotFound)
}

// refusals are problems of the real service: each is compared with the document.
func (k *talk) refusals() {
	ctx, stranger := k.t.Context(), k.client("")
	one := func(_ api.Request, err error) error { return err }
	const nobody = "0193a000-0000-7000-8000-999999999999"
	alice := api.Submission{Selector: store.Selector{UserID: "alice"}, IdempotencyKey: "k"}
	waiting := k.submit(alice)
	for name, tt := range map[string]struct {
		status int
		err    error
	}{
		"no token":       {401, one(stranger.Request(ctx, waiting.ID))},
		"the role":       {403, one(k.submitter.Approve(ctx, waiting.ID, waiting.PlanHash))},
		"nobody":         {404, one(k.submitter.Request(ctx, nobody))},
		"another plan":   {409, one(k.approver.Approve(ctx, waiting.ID, "sha256:x"))},
		"a reason":       {400, one(k.approver.Extend(ctx, waiting.ID, "no reason"))},
		"no certificate": {409, second(k.submitter.Certificate(ctx, waiting.ID))},
		"not yet ended":  {409, second(k.submitter.MemoryProof(ctx, waiting.ID, "m"))},
		"nothing":        {422, second(k.submitter.Plan(ctx, api.Submission{}))},
		"no such part":   {422, one(k.approver.Exempt(ctx, waiting.ID, api.Refused{Store: "x", Reason: "art17-3-b"}))},
		"no such store":  {422, second(k.submitter.Plan(ctx, api.Submission{Selector: alice.Selector, Stores: []string{"x"}}))},
		"no such hold":   {404, second(k.approver.ReleaseHold(ctx, nobody, "x"))},
		"no such token":  {404, second(k.admin.RevokeToken(ctx, "tok-none"))},
		"no such role":   {400, second(k.admin.CreateToken(ctx, api.TokenOrder{Name: "n", Role: "x"}))},
		"no name":        {422, second(k.admin.CreateToken(ctx, api.TokenOrder{Role: jobs.RoleAuditor}))},
	} {
		wantRefused(k.t, name, tt.err, tt.status)
	}
	alice.Ticket = "another body"
	_, _, err := k.submitter.Submit(ctx, api.Submission{Selector: alice.Selector, Regime: "x"})
	wantRefused(k.t, "a regime", err, http.StatusBadRequest)
	_, _, err = k.submitter.Submit(ctx, alice)
	wantRefused(k.t, "another body", err, http.StatusConflict)
	if p, ok := errors.AsType[*api.Problem](err); !ok || p.Code != "conflict" {
		k.t.Errorf("another body: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }
