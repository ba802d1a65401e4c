package api

import (
	"embed"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/jobs"
	"lethe/store"
)

// exampleFiles are what a service answered about an invented person: they verify
// with one another, and a test says so.
//
//go:embed examples
var exampleFiles embed.FS

func exampleText(name string) string {
	b, err := exampleFiles.ReadFile("examples/" + name + ".txt")
	if err != nil { // they are in the binary
		panic(fmt.Sprintf("api: example: %v", err))
	}
	return string(b)
}

// exampleID is the request that the examples are about.
const exampleID = "01a228f3-0dab-7000-8005-74214a36742a"

// bodyExamples returns the bodies that are shown of each operation, by its id, as
// they may be sent.
func bodyExamples() map[string][]Example {
	body := func(name, text string) Example { return Example{Name: name, Value: jsontext.Value(text)} }
	submissions := []Example{
		body("person", `{"selector":{"user_id":"alice"},"ticket":"PRIV-123","regime":"gdpr","ground":"art17-1-b","received_at":"2026-11-20T09:00:00Z"}`),
		body("ids", `{"selector":{"ids":["432f76d3-88f4-485b-b261-2658c2010e4a"]},"stores":["assistant"]}`),
		body("metadata", `{"selector":{"agent_id":"support-bot","metadata":{"channel":"chat","tier":0,"trial":true}},"related":true,"grace":"72h"}`),
	}
	return map[string][]Example{
		"file-request":    submissions,
		"plan":            submissions,
		"prove-memory":    {body("memory", `{"memory_id":"432f76d3-88f4-485b-b261-2658c2010e4a"}`)},
		"approve-request": {body("plan", `{"plan_hash":"`+examplePlanHash+`"}`)},
		"reject-request":  {body("reason", `{"reason":"not-identified"}`)},
		"extend-request":  {body("reason", `{"reason":"complexity"}`)},
		"exempt-part": {
			body("store", `{"store":"assistant","reason":"art17-3-b"}`),
			body("place", `{"store":"assistant","place":"messages","reason":"art17-3-e","review_at":"2027-06-01T00:00:00Z"}`),
		},
		"place-hold": {
			body("person", `{"selector":{"user_id":"alice"},"reason":"litigation-2026-14","until":"2027-06-01T00:00:00Z"}`),
			body("ids", `{"selector":{"ids":["432f76d3-88f4-485b-b261-2658c2010e4a"]},"reason":"litigation-2026-14"}`),
		},
		"check-suppression": {body("person", `{"selector":{"user_id":"alice"}}`)},
		"replay-store":      {body("dry-run", `{"backup_time":"2026-11-20T03:00:00Z","dry_run":true}`)},
		"run-policy":        {body("dry-run", `{"dry_run":true}`)},
		"create-token":      {body("approver", `{"name":"privacy team, second person","role":"approver","expires":"2160h"}`)},
	}
}

// answerExamples returns the good answers that are shown of each operation, by its
// id.
func answerExamples() map[string][]Example {
	one := func(name string, v any) []Example { return []Example{{Name: name, Value: v}} }
	text := func(name string) []Example { return one(name, exampleText(name)) }
	done := exampleRequest()
	return map[string][]Example{
		"file-request":      one("filed", Accepted{exampleFiled(), new(exampleText("receipt"))}),
		"list-requests":     one("last-page", page{Requests: []Request{done}}),
		"get-request":       {{Name: "completed", Value: done}, {Name: "awaiting-approval", Value: exampleWaiting()}},
		"watch-request":     one("ended", exampleEvent(done)),
		"cancel-request":    one("cancelled", exampleEnded(jobs.Cancelled)),
		"get-certificate":   text("certificate"),
		"get-receipt":       text("receipt"),
		"prove-memory":      text("memory-proof"),
		"get-subject-key":   text("subject-key"),
		"approve-request":   one("approved", exampleApproved()),
		"reject-request":    one("rejected", exampleEnded(jobs.Rejected)),
		"extend-request":    one("extended", exampleExtended()),
		"confirm-request":   one("confirmed", exampleConfirmed()),
		"exempt-part":       one("exempt", exampleExempt()),
		"place-hold":        one("placed", exampleHold()),
		"list-holds":        one("standing", holdList{Holds: []Hold{exampleHold()}}),
		"release-hold":      one("released", exampleReleased()),
		"list-policies":     one("policies", examplePolicies()),
		"check-suppression": {{Name: "forgotten", Value: exampleSuppression()}, {Name: "unknown", Value: Suppression{}}},
		"replay-store":      one("filed", exampleReplay()),
		"run-policy":        one("filed", exampleSweepRun()),
		"doctor":            one("weak", exampleCheckup()),
		"list-tokens":       one("tokens", tokenList{Tokens: []Token{exampleToken()}}),
		"create-token":      one("made", NewToken{exampleToken(), jobs.TokenPrefix + strings.Repeat("0", 64)}),
		"revoke-token":      one("revoked", exampleRevoked()),
		"plan":              one("plan", examplePlan()),
		"openapi":           one("beginning", "openapi: 3.1.0\ninfo:\n  title: Lethe\n"),
		"log-checkpoint":    text("checkpoint"),
		"log-key":           text("keys"),
		"log-keys":          text("keys"),
		"healthz":           one("serves", "ok\n"),
		"readyz":            one("ready", Readiness{Ready: true, Stores: []StoreState{{Store: "assistant", State: StoreUp, Since: exampleTime()}}, Roles: []string{"api", "worker", "scheduler"}}),
	}
}

func notReadyExamples() []Example {
	return []Example{{Name: "not-ready", Value: Readiness{
		Reasons: []string{"the queue does not answer"},
		Stores:  []StoreState{{Store: "assistant", State: StoreDown, Reason: "it does not answer: is it running?", Since: exampleTime()}},
		Roles:   []string{"api", "worker", "scheduler"},
	}}}
}

func exampleCheckup() Checkup {
	return Checkup{Level: LevelWeak, Findings: []Finding{
		{Check: "queue", Level: LevelOK, What: "the queue answers"},
		{Check: "backup", Level: LevelWeak, What: "no backup was ever made", Fix: "lethe backup FILE, every day, to another machine"},
	}}
}

// exampleEvent returns the stream of a request that has ended.
func exampleEvent(r Request) string {
	text, err := json.Marshal(r)
	if err != nil { // made of constants
		panic(fmt.Sprintf("api: example: %v", err))
	}
	return fmt.Sprintf("id: 1\nevent: request\ndata: %s\n\n", text)
}

const examplePlanHash = "sha256:8MUsW1gA63QlrTmJ_bvOhfj2Zntg7O7yE6tKmiJYToI"

// exampleTime is when the request of the examples was filed.
func exampleTime() time.Time { return time.Date(2026, 11, 29, 20, 15, 47, 115_000_000, time.UTC) }

func examplePlaces() []jobs.PlaceCount {
	return []jobs.PlaceCount{
		{Place: "entities", Found: 43, Total: 129},
		{Place: "messages", Found: 8, Total: 24},
		{Place: "memories", Found: 38, Total: 114},
		{Place: "history", Found: 41, Total: 135, With: "memories"},
	}
}

func examplePlan() Plan {
	return Plan{PlanHash: examplePlanHash, Stores: []StorePlan{{Store: "assistant", Kind: "mem0-sqlite", Found: 89, Unattributable: 12, Places: examplePlaces()}}}
}

func exampleFiled() Request {
	return Request{
		ID: exampleID, Status: jobs.Received, Origin: jobs.OriginAPI, FiledBy: "open", Ticket: "PRIV-123", Regime: "gdpr", Ground: "art17-1-b",
		ReceivedAt: exampleTime(), CreatedAt: exampleTime(), DueAt: time.Date(2026, 12, 29, 23, 59, 59, 0, time.FixedZone("", 3600)),
		Stores:  []StoreProgress{{Store: "assistant", Kind: "mem0-sqlite", Stage: jobs.StagePlanning, Evidence: store.EvidenceNone}},
		Receipt: requestPath(exampleID) + "/receipt",
	}
}

func exampleRequest() Request {
	r := exampleFiled()
	r.Status, r.CompletedAt, r.PlanHash = jobs.Completed, new(exampleTime().Add(214*time.Millisecond)), examplePlanHash
	r.Certificate = new(requestPath(exampleID) + "/certificate")
	r.Stores = []StoreProgress{{
		Store: "assistant", Kind: "mem0-sqlite", Stage: jobs.StageDone, Evidence: store.EvidencePurged, Requested: 89, Found: 89, Erased: 89,
		Unattributable: 12, BatchesTotal: 1, BatchesDone: 1, Round: 1, Places: examplePlaces(),
	}}
	return r
}
