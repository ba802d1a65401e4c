package jobs

import (
	"errors"
	"time"

	"lethe/audit"
	"lethe/store"
)

// The questions that callers ask of an error of the book.
var (
	ErrNotFound = errors.New("not found")
	ErrConflict = errors.New("conflict")        // an idempotency key used again for another body
	ErrTooLate  = errors.New("too late")        // the request has ended, or its certificate is not made yet
	ErrInvalid  = errors.New("invalid request") // wrapped by store.FieldError's neighbours; see Invalid
	ErrGone     = errors.New("key destroyed")   // a subject key that was destroyed on schedule
	ErrStale    = errors.New("stale epoch")     // another worker owns this task now
	ErrStopped  = errors.New("request stopped") // cancelled: erase nothing more
	ErrRefused  = audit.ErrRefused              // the log was found not to be what it was: nothing is taken in
	ErrBroken   = audit.ErrBroken               // what the log holds contradicts itself: it proves nothing
)

// A Status says how far a Request is. There is no status "failed": what is not
// completed, cancelled or rejected is still being worked on.
type Status string

// The statuses, in the order in which a request meets them.
const (
	Received         Status = "received"
	Planning         Status = "planning"
	AwaitingApproval Status = "awaiting_approval"
	Waiting          Status = "waiting" // in its grace period
	Erasing          Status = "erasing"
	Verifying        Status = "verifying" // also while a store's files wait to be purged
	Held             Status = "held"
	Completed        Status = "completed"
	Cancelled        Status = "cancelled"
	Rejected         Status = "rejected"
)

// Statuses returns every Status.
func Statuses() []Status {
	return []Status{Received, Planning, AwaitingApproval, Waiting, Erasing, Verifying, Held, Completed, Cancelled, Rejected}
}

// ParseStatus returns the Status that s names, and whether there is one.
func ParseStatus(s string) (Status, bool) {
	for _, st := range Statuses() {
		if string(st) == s {
			return st, true
		}
	}
	return "", false
}

// Ended reports whether nothing more will happen to a request.
func (s Status) Ended() bool { return s == Completed || s == Cancelled || s == Rejected }

// A Stage is the step a Job is in.
type Stage string

// The stages of a Job, in order.
const (
	StagePlanning  Stage = "planning"
	StageErasing   Stage = "erasing"
	StageVerifying Stage = "verifying"
	StagePurging   Stage = "purging" // verified; waits until the store's files are purged
	StageDone      Stage = "done"
)

// Origins of a request. They label metrics, so they are a closed set.
const (
	OriginAPI = "api"
	OriginCLI = "cli"

	OriginConsole = "console"

	OriginMem0 = "mem0-api" // Mem0's own clients

	OriginSweep  = "sweep"  // a retention policy
	OriginWatch  = "watch"  // what came back after an erasure
	OriginReplay = "replay" // what a restored backup brought back
)

// Origins returns every origin.
func Origins() []string {
	return []string{OriginAPI, OriginCLI, OriginConsole, OriginMem0, OriginSweep, OriginWatch, OriginReplay}
}

// A Request is what someone asked. It holds no identity: the Selector is
// sealed in the ledger and leaves it when the request ends.
type Request struct {
	ID          string // UUID version 7
	Status      Status
	Origin      string
	FiledBy     string // ID of the Actor who filed it
	Related     bool   // what is related is erased too, see store.Selector
	Ticket      string // the asker's own reference, as given
	Regime      string // whose clock runs: "gdpr", "ccpa", or one of the configuration's
	Ground      string // a code such as "art17-1-b", or ""
	ReceivedAt  time.Time
	DueAt       time.Time // the last second in which it is to be answered, in the regime's zone
	Overdue     bool      // whether that has passed, and the request has not ended
	Clock       Times
	CreatedAt   time.Time
	NotBefore   time.Time  // end of the grace period; nothing is touched before
	CompletedAt *time.Time // when it ended, however it ended
	PlanHash    string     // "" until planned
	Exemptions  Exemptions // parts that are refused, by store and place
	Approval    Approval   // of the plan
	Superseded  string     // the ID of the request that goes on with what has come back; "" for none
	Certificate bool       // whether a certificate can be had
	OutlivedAt  *time.Time // when its record was deleted but for its ends: no Ticket, no Ground, no Jobs; see Retention
	Jobs        []Job      // one for each Store, in the order of the configuration
}

// A Job is one Request in one Store. The counts are of IDs and always satisfy
// Found >= Erased + Held + Refused + Exempt. Absent counts IDs asked for, or planned,
// that were not there when their turn came.
type Job struct {
	ID             string
	Request        string
	Store, Kind    string
	Stage          Stage
	Evidence       store.Evidence
	Requested      int // explicit IDs asked for; Found for any other Selector
	Found          int // IDs planned, over all rounds
	Erased         int
	Absent         int
	Held           int
	Refused        int
	Kept           int // by a sweep: held, or not selected any more when their turn came; no other count has them
	Exempt         int // left because of exemptions; Found and Requested count them too
	Remaining      int
	Unattributable int
	Related        int // rows that were related when it was planned, see store.Census
	BatchesTotal   int
	BatchesDone    int
	Round          int          // 1 for the plan, more when new matches were found later
	Places         []PlaceCount // what planning found, per place
	MapVersion     string       // of the data map that the plan was made by
	Digest         string       // of the frozen batches; see PlanDigest
	Residue        int          // IDs of all rounds after the plan's
	Rewrite        Rewrite      // how its tables were purged, if a server keeps them
	Note           string       // why it waits, as a code: "purge-window", "store-busy", "store-down", "schema", "store-error", …

	PlannedAt, FirstErasedAt, ErasedAt, VerifiedAt, PurgedAt *time.Time
}

// NoteDrifted is the Note of a job whose plan is made anew, because what was
// counted when its turn came was not what had been planned.
const NoteDrifted = "drifted"

// NoteStoreDown is the Note of a job whose store is down. It goes on by itself
// once the store is back.
const NoteStoreDown = "store-down"

// A Rewrite says how the tables of a database server were purged.
type Rewrite string

// The ways. Empty for a store that is purged otherwise, or not yet.
const (
	RewriteSeen   Rewrite = "rewrite"        // and their files read: nothing is left
	RewriteUnseen Rewrite = "rewrite-unseen" // and their files could not be read
)

// A PlaceCount is the number of rows found in one place of a store.
type PlaceCount struct {
	Place string `json:"place"`
	Found int    `json:"found"`
	Total int    `json:"total" doc:"Rows that the place has in all, whoever they are of; of a large table at least so many. 0 if the store does not say"`
	With  string `json:"with,omitempty"` // the place whose rows these hang on
}

// A Plan is a dry run's answer: what a request would erase now.
type Plan struct {
	Hash   string
	Beyond []Excess // why a request of this plan would have to be approved
	Stores []StorePlan
}

// A StorePlan is one Store's part of a Plan.
type StorePlan struct {
	Store, Kind    string
	Found          int // IDs
	Held           int
	Unattributable int
	Related        int // rows; Found has them too if the submission says Related
	Places         []PlaceCount
}

// A Batch is at most store.MaxBatch IDs of one Job, frozen at planning.
type Batch struct {
	ID       string
	Job      string
	Seq      int // 1, 2, … within the job, over all rounds
	Round    int
	Attempts int  // claims so far, this one included
	Crashes  int  // earlier attempts that were never answered: their worker died, or lost its lease
	Touched  bool // an earlier attempt may have erased of it: it was not answered, or had called the store's Erase
	IDs      []store.ID
	Along    []store.ID // what may have gone along with them in earlier attempts; see store.Along
	Holds    []Standing // that stood when the attempt began
	Kept     int        // IDs of a sweep that this attempt has left, and taken out of IDs
}

// A Ring wakes a worker for one row of the outbox. It is all that the queue
// ever sees, so it is opaque: a random ID and a counter.
type Ring struct {
	ID    string
	Epoch int64
	Low   bool // of a sweep: it yields to those that people wait for. The queue keeps it apart, and does not give it back
}

// A TaskKind is what an outbox row asks for.
type TaskKind string

// The kinds of task.
const (
	PlanTask   TaskKind = "plan"   // list and freeze the batches of a job
	BatchTask  TaskKind = "batch"  // erase one batch
	SettleTask TaskKind = "settle" // verify, purge and certify a job
)

// A Task is a claimed row of the outbox: leave to do one thing, until the lease
// ends or the epoch changes.
type Task struct {
	Ring
	Kind     TaskKind
	Request  string
	Job      string
	Batch    string // for a BatchTask
	Store    string
	Attempts int // claims of this row so far, this one included
	Crashes  int // of a BatchTask: see Batch
	Related  bool
	Sweep    bool // of a request that a sweep has filed
	Exact    bool // its IDs name rows, as store.ParseID reads them; see Origin
}

// A Planned is what planning one round of a job came to.
type Planned struct {
	Round          int
	Places         []PlaceCount // what the store counted for this round
	MapVersion     string       // of the data map that it was made by
	Unattributable int
	Related        int
	Exempt         map[string]int // IDs left, by place of exemption; each of the store's has a key
	Missing        int            // IDs asked for of which nothing was found
	Digest         string         // of the frozen batches; see PlanDigest
}

// A Verification is what reading a job again came to: nothing is left.
type Verification struct {
	Purge          bool           // the store's files are still to be purged
	AtMost         store.Evidence // of a store that keeps more than can be read; "" for store.EvidenceVerified
	Unattributable int
	Related        int // rows that are related now, see store.Census
}

// A Receipt is what is kept of a finished batch: counts of IDs, and a keyed
// digest for each ID, which names nobody.
type Receipt struct {
	Erased, Absent, Held, Refused int
	Places                        []PlaceOutcome
	Leaves                        [][32]byte // in the order of the IDs
	Root                          [32]byte   // RFC 6962 root over them

	Epoch string // of Marks; "" for none
	Marks []byte // of the IDs that are gone, see Marker

	Kept int        // IDs of a sweep that leave the batch, because they are held or not selected any more
	IDs  []store.ID // those that stay in it, if any leave; else nil
}

// A PlaceOutcome is what became of the IDs of one place: of a batch, or of all
// finished batches of a job.
type PlaceOutcome struct {
	Place                         string
	Erased, Absent, Held, Refused int
}
