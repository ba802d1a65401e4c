package mem0

import (
	"net/http"

	"lethe/jobs"
)

// A route is one call that the door answers, with or without a slash at its end:
// what is served, and what the OpenAPI document says about it.
type route struct {
	method, path string // as Mem0 writes it
	may          jobs.Act
	handle       func(*door, call) (answer, error)

	id, summary, description string

	query  []string
	body   bool
	answer any   // what a good answer looks like; nil if there is none
	waits  bool  // it is answered once it is verified
	also   []int // statuses of errors besides the usual ones
}

// routes is the one table of them.
func routes() []route { return append(platformRoutes(), serverRoutes()...) }

func platformRoutes() []route {
	return []route{
		{
			method: "DELETE", path: "/v1/memories/{memory_id}/", may: jobs.ActFile, handle: (*door).deleteOne,
			id: "mem0-delete-memory", summary: "Erase one memory", description: "client.delete(memory_id). Answered once it is verified, or after 10 s.",
			query: []string{"delete_linked"}, answer: Deleted{Message: "Memory deleted successfully!", EventID: exampleEvent}, waits: true, also: []int{404, 409},
		},
		{
			method: "DELETE", path: "/v1/memories/", may: jobs.ActFile, handle: (*door).deleteAll,
			id: "mem0-delete-memories", summary: "Erase by filter", description: "client.delete_all(…), deleteAll({…}). Answered at once, as the Platform does: poll the event. At least one filter; all of them must be equal.",
			query: []string{"user_id", "agent_id", "app_id", "run_id", "metadata"}, answer: Deleted{Message: inProgress, EventID: exampleEvent}, also: []int{409},
		},
		{
			method: "DELETE", path: "/v1/batch/", may: jobs.ActFile, handle: (*door).deleteBatch,
			id: "mem0-delete-batch", summary: "Erase up to 1000 memories", description: "client.batch_delete([…]). One that is not there is no error. Answered once all are verified, or after 10 s.",
			body: true, answer: Deleted{Message: "Successfully deleted 2 memories", EventID: exampleEvent}, waits: true, also: []int{409, 415},
		},
		{
			method: "DELETE", path: "/v2/entities/{entity_type}/{entity_id}/", may: jobs.ActFile, handle: (*door).deleteEntity,
			id: "mem0-delete-entity", summary: "Erase all memories of an entity", description: "client.delete_users(…), deleteUsers({…}). entity_type is user, agent, app or run. Answered at once: poll the event.",
			answer: Deleted{Message: inProgress, EventID: exampleEvent}, also: []int{409},
		},
		{
			method: "DELETE", path: "/v1/entities/{entity_type}/{entity_id}/", may: jobs.ActFile, handle: (*door).deleteEntityByNumber,
			id: "mem0-delete-entity-by-number", summary: "Refused: numeric entity IDs are not known here", description: "Always 400, which says what to use.",
		},
		{
			method: "GET", path: "/v1/event/{event_id}/", may: jobs.ActRead, handle: (*door).event,
			id: "mem0-get-event", summary: "Tell how far a deletion is", answer: exampleOfEvent(), also: []int{404},
		},
		{
			method: "GET", path: "/v1/events/", may: jobs.ActRead, handle: (*door).events,
			id: "mem0-list-events", summary: "List deletions, newest first", query: []string{"page", "page_size"}, answer: Events{Count: 1, Results: []Event{exampleOfEvent()}},
		},
		{
			method: "GET", path: "/v1/ping/", may: jobs.ActRead, handle: (*door).ping,
			id: "mem0-ping", summary: "Check a token", answer: pong(),
		},
	}
}

func serverRoutes() []route {
	return []route{
		{
			method: "DELETE", path: "/memories/{memory_id}", may: jobs.ActFile, handle: (*door).deleteOneOfServer,
			id: "mem0-server-delete-memory", summary: "Erase one memory", answer: Deleted{Message: "Memory deleted successfully", EventID: exampleEvent}, waits: true, also: []int{404, 409},
		},
		{
			method: "DELETE", path: "/memories", may: jobs.ActFile, handle: (*door).deleteAllOfServer,
			id: "mem0-server-delete-memories", summary: "Erase by filter", description: "At least one filter; all of them must be equal.",
			query: []string{"user_id", "run_id", "agent_id"}, answer: Deleted{Message: "All relevant memories deleted", EventID: exampleEvent}, waits: true, also: []int{409},
		},
		{
			method: "DELETE", path: "/entities/{entity_type}/{entity_id}", may: jobs.ActFile, handle: (*door).deleteEntityOfServer,
			id: "mem0-server-delete-entity", summary: "Erase all memories of a user, agent or run", answer: Deleted{Message: "Entity deleted", EventID: exampleEvent}, waits: true, also: []int{409, 422},
		},
		{
			method: "POST", path: "/reset", may: jobs.ActFile, handle: (*door).reset,
			id: "mem0-server-reset", summary: "Refused: everything is never erased at once", description: "Always 400.",
		},
	}
}

// A Ping is the answer that Mem0's clients want of a good key. They keep it, and
// hand user_email to their telemetry, in the place of a hash of the key: so it is
// the same word for everybody, and no address.
type Ping struct {
	Status    string `json:"status" enum:"ok"`
	OrgID     string `json:"org_id" enum:"lethe"`
	ProjectID string `json:"project_id" enum:"lethe"`
	UserEmail string `json:"user_email" enum:"lethe" doc:"A constant, not an address"`
}

// ping is GET /v1/ping/.
func (d *door) ping(c call) (answer, error) {
	_, err := c.query()
	return answer{http.StatusOK, pong()}, err
}

func pong() Ping { return Ping{"ok", "lethe", "lethe", "lethe"} }
