package api

import (
	"time"

	"lethe/jobs"
	"lethe/store"
)

// A Request is an erasure request as it goes over the wire. Times are UTC in
// RFC 3339, but for deadlines, see Deadlines. It holds no identity.
type Request struct {
	ID          string          `json:"id" format:"uuid" doc:"UUID version 7"`
	Status      jobs.Status     `json:"status" enum:"received,planning,awaiting_approval,waiting,erasing,verifying,held,completed,cancelled,rejected" doc:"How far it is. Only completed, cancelled and rejected are ends."`
	Origin      string          `json:"origin" enum:"api,cli,console,mem0-api,sweep,watch,replay" doc:"Through which door it came"`
	FiledBy     string          `json:"filed_by" doc:"ID of the token with which it was filed, or open or local" example:"tok-0a1b2c3d4e5f6071"`
	Related     bool            `json:"related" doc:"What is related is erased too"`
	Ticket      string          `json:"ticket" doc:"The asker's own reference, as given"`
	Regime      string          `json:"regime" doc:"Whose clock runs" example:"gdpr"`
	Ground      string          `json:"ground" doc:"A code, or empty" example:"art17-1-b"`
	ReceivedAt  time.Time       `json:"received_at"`
	DueAt       time.Time       `json:"due_at" doc:"The last second in which it is to be answered, with the offset of the regime's time zone"`
	CreatedAt   time.Time       `json:"created_at"`
	GraceUntil  *time.Time      `json:"grace_until" doc:"Nothing is erased before; null without a grace period"`
	CompletedAt *time.Time      `json:"completed_at" doc:"When it ended, however it ended; null until then"`
	PlanHash    string          `json:"plan_hash" doc:"Of the frozen plan: the subject, the stores, their data maps, what was counted in each place, and every batch. Empty until planned"`
	Approval    Approval        `json:"approval" doc:"Of the plan"`
	Stores      []StoreProgress `json:"stores" nullable:"false" doc:"In the order asked"`
	Certificate *string         `json:"certificate" doc:"Path of the certificate; null until there is one"`
	Superseded  *string         `json:"superseded_by" doc:"The ID of the request that goes on with what has come back since: the certificate tells no longer what is. Null for none"`
	Receipt     string          `json:"receipt" doc:"Path of the proof that the request was accepted"`
	OutlivedAt  *time.Time      `json:"outlived_at" doc:"When its record was deleted as the retention says: ticket, ground, plan and stores are empty since then, the certificate stays; null until then"`
	Deadlines
}

// An Accepted is the answer to a request that was filed, or had been filed
// before: the Request and the proof that the log has it.
type Accepted struct {
	Request
	ReceiptText *string `json:"receipt_text" doc:"The file at receipt (C2SP tlog-proof); null if it could not be cut just now: the request stands all the same"`
}

// StoreProgress is what became of a Request in one Store. All numbers count
// IDs, but for the batches and the round.
type StoreProgress struct {
	Store          string            `json:"store"`
	Kind           string            `json:"kind" example:"mem0-sqlite"`
	Stage          jobs.Stage        `json:"stage" enum:"planning,erasing,verifying,purging,done"`
	Evidence       store.Evidence    `json:"evidence" enum:"none,erased,verified,purged" doc:"What has been shown so far"`
	Requested      int               `json:"requested" doc:"Explicit IDs asked for; found, for any other selector"`
	Found          int               `json:"found" doc:"Planned, over all rounds"`
	Erased         int               `json:"erased"`
	Absent         int               `json:"absent" doc:"Not there when their turn came"`
	Held           int               `json:"held" doc:"Forbidden by a legal hold"`
	Refused        int               `json:"refused" doc:"The store will not erase them"`
	Exempt         int               `json:"exempt" doc:"Left because a part of the request was refused; found and requested count them too"`
	Remaining      int               `json:"remaining" doc:"Could still be read when last verified"`
	Unattributable int               `json:"unattributable" doc:"Rows of the store that nothing ties to anyone"`
	Kept           int               `json:"kept" doc:"Left by a sweep: held, or not selected any more when their turn came. No other count has them"`
	Related        int               `json:"related" doc:"Rows that were about who is selected but did not match, when it was planned: left alone unless the request says related"`
	BatchesTotal   int               `json:"batches_total"`
	BatchesDone    int               `json:"batches_done"`
	Round          int               `json:"round" doc:"More than 1 when matches turned up after planning"`
	Places         []jobs.PlaceCount `json:"places" nullable:"false" doc:"What planning found, per place"`
	Note           string            `json:"note" doc:"Why it waits, as a code, or empty: store-down, store-busy, store-error, purge-window, …" example:"store-down"`
}

// A Plan is the answer to a dry run.
type Plan struct {
	PlanHash string        `json:"plan_hash"`
	Beyond   []jobs.Excess `json:"beyond" nullable:"false" doc:"Why a request for the same would wait for a second person's approval; empty if it would not"`
	Stores   []StorePlan   `json:"stores" nullable:"false"`
}

// A StorePlan is one Store's part of a Plan. Found and Held count IDs.
type StorePlan struct {
	Store          string            `json:"store"`
	Kind           string            `json:"kind"`
	Found          int               `json:"found"`
	Held           int               `json:"held"`
	Unattributable int               `json:"unattributable"`
	Related        int               `json:"related" doc:"Rows that are about who is selected but do not match; found has them too if related was asked for"`
	Places         []jobs.PlaceCount `json:"places" nullable:"false"`
}

// A page is one answer of the list of requests.
type page struct {
	Requests   []Request `json:"requests" nullable:"false" doc:"Newest first"`
	NextCursor *string   `json:"next_cursor" doc:"Give it as cursor for the next page; null on the last"`
}

// A Readiness says whether a server is to get requests.
type Readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons" nullable:"false" doc:"Why it is not"`

	Stores []StoreState `json:"stores" nullable:"false" doc:"How each store is. One that is down keeps nobody from filing requests: its jobs wait until it is back"`

	Roles []string `json:"roles" nullable:"false" doc:"What this process does: api, worker, scheduler"`
}

// The states of a Store.
const (
	StoreUp   = "up"
	StoreDown = "down"
)

// A StoreState is how one Store is.
type StoreState struct {
	Store  string    `json:"store"`
	State  string    `json:"state" enum:"up,down"`
	Reason string    `json:"reason" doc:"Why it is down, and what to do; empty if it is up"`
	Since  time.Time `json:"since"`
}

func requestPath(id string) string { return "/v1/requests/" + id }

func wireRequest(r jobs.Request) Request {
	w := Request{
		ID: r.ID, Status: r.Status, Origin: r.Origin, FiledBy: r.FiledBy, Related: r.Related, Ticket: r.Ticket, Regime: r.Regime, Ground: r.Ground,
		ReceivedAt: r.ReceivedAt.UTC(), DueAt: r.DueAt, CreatedAt: r.CreatedAt.UTC(), PlanHash: r.PlanHash, Approval: wireApproval(r.Approval),
		Receipt: requestPath(r.ID) + "/receipt", Deadlines: wireDeadlines(r),
	}
	if r.NotBefore.After(r.CreatedAt) {
		w.GraceUntil = new(r.NotBefore.UTC())
	}
	if r.CompletedAt != nil {
		w.CompletedAt = new(r.CompletedAt.UTC())
	}
	if r.OutlivedAt != nil {
		w.OutlivedAt = new(r.OutlivedAt.UTC())
	}
	if r.Certificate {
		w.Certificate = new(requestPath(r.ID) + "/certificate")
	}
	if r.Superseded != "" {
		w.Superseded = new(r.Superseded)
	}
	for _, j := range r.Jobs {
		w.Stores = append(w.Stores, wireProgress(j))
	}
	return w
}

func wireProgress(j jobs.Job) StoreProgress {
	p := StoreProgress{
		Store: j.Store, Kind: j.Kind, Stage: j.Stage, Evidence: j.Evidence, Requested: j.Requested,
		Found: j.Found, Erased: j.Erased, Absent: j.Absent, Held: j.Held, Refused: j.Refused, Exempt: j.Exempt,
		Remaining: j.Remaining, Unattributable: j.Unattributable, Kept: j.Kept, Related: j.Related,
		BatchesTotal: j.BatchesTotal, BatchesDone: j.BatchesDone,
		Round: j.Round, Places: j.Places, Note: j.Note,
	}
	if p.Evidence == "" {
		p.Evidence = store.EvidenceNone
	}
	return p
}

func wirePlan(p jobs.Plan) Plan {
	w := Plan{PlanHash: p.Hash, Beyond: p.Beyond}
	for _, s := range p.Stores {
		w.Stores = append(w.Stores, StorePlan{
			Store: s.Store, Kind: s.Kind, Found: s.Found, Held: s.Held,
			Unattributable: s.Unattributable, Related: s.Related, Places: s.Places,
		})
	}
	return w
}
