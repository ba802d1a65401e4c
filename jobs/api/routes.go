package api

import (
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"lethe/jobs"
)

// A route is one operation: what the mux serves and what the OpenAPI document
// says about it.
type route struct {
	method, path string // as http.ServeMux takes them
	handle       func(http.ResponseWriter, *http.Request) error
	may          jobs.Act // what it is for, by which it is known who may call it

	id, summary string
	description string
	params      []param
	takes       func() *huma.Schema // its body, or nil
	bare        bool                // the body may be left out
	status      int                 // of the good answer
	answer      any                 // see Answer.Shape
	media       string
	also        []Answer // others that are no problems
	problems    []int
}

// A param is a parameter of a route besides the id of its path.
type param struct {
	in, name, description string
	schema                *huma.Schema // nil for a string
}

const text = "text/plain"

func (s *server) routes() []route {
	return slices.Concat(s.requestRoutes(), s.decisionRoutes(), s.clockRoutes(), s.holdRoutes(), s.sweepRoutes(), s.returnRoutes(), s.tokenRoutes(), s.upkeepRoutes(), s.otherRoutes())
}

func (s *server) requestRoutes() []route {
	const byID = "/v1/requests/{id}"
	return []route{
		{
			method: "POST", path: "/v1/requests", handle: s.submit, id: "file-request", may: jobs.ActFile,
			summary: "File an erasure request",
			description: "It is durable once answered. The same Idempotency-Key with the same body gives the same request again, " +
				"with Idempotent-Replayed: true; with another body, 409. Malformed bodies, and refused values of regime, ground, " +
				"received_at and grace, are 400; selectors and stores that can be read but not accepted are 422. " +
				"Besides the ids (64 MiB) a body may have 64 KiB. receipt_text is the proof that the request stands in the log: keep it.",
			params: []param{
				{"header", "Idempotency-Key", "1 to 255 printable ASCII characters", &huma.Schema{Type: huma.TypeString, Pattern: "^[ -~]{1,255}$"}},
				{"header", originHeader, "cli, from the command line", nil},
			},
			takes: submissionSchema, status: 202, answer: Accepted{}, problems: []int{400, 401, 403, 408, 409, 413, 415, 422, 503},
		},
		{
			method: "GET", path: "/v1/requests", handle: s.list, id: "list-requests", may: jobs.ActRead,
			summary: "List requests, newest first",
			params:  listParams(),
			status:  200, answer: page{}, problems: []int{400, 401, 403, 503},
		},
		{
			method: "GET", path: byID, handle: s.one, id: "get-request", may: jobs.ActRead,
			summary: "Tell how far a request is", status: 200, answer: Request{}, problems: []int{401, 403, 404, 503},
		},
		{
			method: "GET", path: byID + "/events", handle: s.events, id: "watch-request", may: jobs.ActRead,
			summary: "Follow a request",
			description: "Server-sent events of type request, each with the whole request as its data: at once, whenever it changes, " +
				"and a last one when its status is completed, cancelled or rejected, after which the stream ends: close it then. " +
				"IDs are integers. A comment comes every 15 s.",
			params: []param{{"header", "Last-Event-ID", "The last ID received", nil}},
			status: 200, answer: eventText(), media: eventType, problems: []int{401, 403, 404, 503},
		},
		{
			method: "POST", path: byID + "/cancel", handle: s.cancel, id: "cancel-request", may: jobs.ActCancel,
			summary:     "Cancel a request",
			description: "Before the first destructive batch it ends at once; afterwards it stops between batches. 409 if it has ended.",
			status:      200, answer: Request{}, problems: []int{401, 403, 404, 409, 503},
		},
		{
			method: "GET", path: byID + "/certificate", handle: s.certificate, id: "get-certificate", may: jobs.ActRead,
			summary:     "Get the certificate (C2SP tlog-proof)",
			description: "409 while there is none. It is the same file whenever it is asked for, unless head is given.",
			params:      []param{headParam()},
			status:      200, answer: proofText(), media: text, problems: []int{400, 401, 403, 404, 409, 503},
		},
		{
			method: "GET", path: byID + "/receipt", handle: s.receipt, id: "get-receipt", may: jobs.ActRead,
			summary: "Get the proof that the request was accepted (C2SP tlog-proof)",
			params:  []param{headParam()},
			status:  200, answer: proofText(), media: text, problems: []int{400, 401, 403, 404, 409, 503},
		},
		{
			method: "POST", path: byID + "/memory-proof", handle: s.memoryProof, id: "prove-memory", may: jobs.ActRead,
			summary: "Get the proof of what became of one memory (lethe/memory-proof@v1)",
			description: "It holds the certificate and neither the memory's ID nor the subject key: both are needed to check it. " +
				"404 too if no store had anything of this ID when the request was planned, 409 before the end, " +
				"410 once the subject key has been destroyed. Changes nothing; it is a POST because an ID must not stand in URLs.",
			takes:  memorySchema,
			status: 200, answer: memoryProofText(), media: text, problems: []int{400, 401, 403, 404, 408, 409, 410, 413, 415, 422, 503},
		},
		{
			method: "GET", path: byID + "/subject-key", handle: s.subjectKey, id: "get-subject-key", may: jobs.ActRead,
			summary:     "Get the key that opens the subject commitment, in hex",
			description: "410 once it has been destroyed on schedule.",
			status:      200, answer: subjectKeyText(), media: text, problems: []int{401, 403, 404, 410, 503},
		},
	}
}

func (s *server) otherRoutes() []route {
	return []route{
		{
			method: "POST", path: "/v1/plans", handle: s.plan, id: "plan", may: jobs.ActFile,
			summary:     "Say what a request would erase now",
			description: "Takes the body of a request. Changes nothing. 503 with the code store_down and Retry-After while one of the stores is down.",
			takes:       submissionSchema, status: 200, answer: Plan{}, problems: []int{400, 401, 403, 408, 413, 415, 422, 503},
		},
		{
			method: "GET", path: "/v1/openapi.yaml", handle: s.document, id: "openapi", may: jobs.ActOpen,
			summary: "Get this document", status: 200, answer: documentText(), media: "application/openapi+yaml", problems: []int{403},
		},
		{
			method: "GET", path: "/log/checkpoint", handle: s.log, id: "log-checkpoint", may: jobs.ActOpen,
			summary: "Get the log's signed head (C2SP tlog-checkpoint)", status: 200, answer: checkpointText(), media: text, also: logAnswers(), problems: []int{404},
		},
		{
			method: "GET", path: "/log/tile/{path...}", handle: s.log, id: "log-tile", may: jobs.ActOpen,
			summary: "Get a tile of the log (C2SP tlog-tiles)", status: 200, answer: tileBytes(), media: "application/octet-stream", also: logAnswers(), problems: []int{404},
		},
		{
			method: "GET", path: "/log/key", handle: s.logKey, id: "log-key", may: jobs.ActOpen,
			summary: "Get the log's public verifier key, one line", status: 200, answer: keyText(), media: text, problems: []int{403, 404},
		},
		{
			method: "GET", path: "/log/keys", handle: s.log, id: "log-keys", may: jobs.ActOpen,
			summary:     "Get all verifier keys that the log has had",
			description: "One a line, the oldest first. A line `#lethe:until NAME+HASH SIZE` bounds the key before it: it is to be believed for heads of at most SIZE entries.",
			status:      200, answer: keysText(), media: text, also: logAnswers(), problems: []int{404},
		},
		{
			method: "GET", path: "/healthz", handle: s.healthz, id: "healthz", may: jobs.ActOpen,
			summary: "Say that the process serves", status: 200, answer: lineText("ok"), media: text, problems: []int{403},
		},
		{
			method: "GET", path: "/readyz", handle: s.readyz, id: "readyz", may: jobs.ActOpen,
			summary: "Say whether to send requests here, why not, and how the stores are",
			description: "A store that is down is listed with its reason and leaves the answer at 200: requests are taken in, also for that store, " +
				"and wait until it is back. Alert on lethe_store_up.",
			status: 200, answer: Readiness{},
			also: []Answer{{Status: http.StatusServiceUnavailable, Shape: Readiness{}, Examples: notReadyExamples()}},
		},
	}
}
