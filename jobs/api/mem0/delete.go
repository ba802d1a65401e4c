package mem0

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"lethe/jobs"
	"lethe/store"
)

const (
	inProgress = "Delete in progress. This may take some time."
	noFilter   = "At least one filter is required: user_id, agent_id, app_id, run_id or metadata. Nothing was deleted: everything cannot be deleted by leaving them out."

	noIdentifier = "At least one identifier is required."
	noNumbers    = "numeric entity IDs are not known here: delete the entity by its name, DELETE /v2/entities/{type}/{name}/ (deleteUsers in JavaScript, delete_users in Python)"
	noReset      = "Lethe never erases everything at once: name whose memories are to be erased"
)

func errNoType() error {
	return &refusal{status: http.StatusBadRequest, text: "Invalid entity type", message: true}
}

// deleteOne is DELETE /v1/memories/{memory_id}/.
func (d *door) deleteOne(c call) (answer, error) {
	q, err := c.query("delete_linked")
	if err != nil {
		return answer{}, err
	}
	linked, err := flag(q, "delete_linked")
	if err != nil {
		return answer{}, err
	}
	r, err := d.forgetOne(c, linked, func(string) error {
		return &refusal{status: http.StatusNotFound, text: "Memory not found!"}
	})
	if err != nil {
		return answer{}, err
	}
	a := Deleted{Message: "Memory deleted successfully!"}
	if linked {
		a.CascadeCount = new(0)
		for _, j := range r.Jobs {
			*a.CascadeCount += j.Related
		}
	}
	return told(r, a)
}

// deleteOneOfServer is DELETE /memories/{memory_id}.
func (d *door) deleteOneOfServer(c call) (answer, error) {
	if _, err := c.query(); err != nil {
		return answer{}, err
	}
	r, err := d.forgetOne(c, false, func(id string) error {
		return &refusal{status: http.StatusNotFound, text: "Memory with id " + id + " not found"} // Mem0's words, and nothing but a UUID
	})
	if err != nil {
		return answer{}, err
	}
	return told(r, Deleted{Message: "Memory deleted successfully"})
}

// forgetOne erases one memory, if there is anything of it, and waits.
func (d *door) forgetOne(c call, linked bool, unknown func(id string) error) (jobs.Request, error) {
	if err := c.noBody(); err != nil {
		return jobs.Request{}, err
	}
	id, ok := memoryID(c.args[0])
	if !ok {
		return jobs.Request{}, errNoUUID()
	}
	s, err := d.submission(c, store.Selector{IDs: []string{id}}, linked)
	if err != nil {
		return jobs.Request{}, err
	}
	ctx := c.r.Context()
	r, found, err := d.book.Filed(ctx, s)
	if err != nil {
		return r, err
	}
	if !found {
		known, err := d.book.Any(ctx, s)
		if _, down := errors.AsType[*jobs.StoreDown](err); err != nil && !down {
			return r, err
		}
		if err == nil && !known {
			return r, unknown(id)
		}
		if r, _, err = d.book.Submit(ctx, s); err != nil {
			return r, err
		}
	}
	return d.wait(c, r), nil
}

// deleteBatch is DELETE /v1/batch/.
func (d *door) deleteBatch(c call) (answer, error) {
	if _, err := c.query(); err != nil {
		return answer{}, err
	}
	ids, err := c.memories()
	if err != nil {
		return answer{}, err
	}
	r, err := d.forget(c, store.Selector{IDs: ids})
	if err != nil {
		return answer{}, err
	}
	r = d.wait(c, r)
	return told(r, Deleted{Message: fmt.Sprintf("Successfully deleted %d memories", had(r, len(ids)))})
}

// had counts the memories of which a store had something, of so many that were
// asked for. One that several stores have is counted by each of them.
func had(r jobs.Request, asked int) int {
	n := 0
	for _, j := range r.Jobs {
		n += asked - (j.Requested - j.Found)
	}
	return min(n, asked)
}

// deleteAll is DELETE /v1/memories/.
func (d *door) deleteAll(c call) (answer, error) {
	q, err := c.query("user_id", "agent_id", "app_id", "run_id", "metadata")
	if err != nil {
		return answer{}, err
	}
	if len(q) == 0 {
		return answer{}, refuse(noFilter)
	}
	sel, err := selector(q)
	if err != nil {
		return answer{}, err
	}
	return d.later(c, sel)
}

// deleteAllOfServer is DELETE /memories.
func (d *door) deleteAllOfServer(c call) (answer, error) {
	q, err := c.query("user_id", "run_id", "agent_id")
	if err != nil {
		return answer{}, err
	}
	if len(q) == 0 {
		return answer{}, refuse(noIdentifier)
	}
	sel, err := selector(q)
	if err != nil {
		return answer{}, err
	}
	return d.now(c, sel, "All relevant memories deleted")
}

// deleteEntity is DELETE /v2/entities/{entity_type}/{entity_id}/.
func (d *door) deleteEntity(c call) (answer, error) {
	if _, err := c.query(); err != nil {
		return answer{}, err
	}
	if cutShort(c.r) {
		return answer{}, refuse(`the name was cut short, at a # most likely, and would be another's: escape it, urllib.parse.quote(name, safe="") in Python`)
	}
	sel, ok := entity(c.args[0], c.args[1])
	if !ok {
		return answer{}, errNoType()
	}
	return d.later(c, sel)
}

// deleteEntityOfServer is DELETE /entities/{entity_type}/{entity_id}, which has no
// apps.
func (d *door) deleteEntityOfServer(c call) (answer, error) {
	if _, err := c.query(); err != nil {
		return answer{}, err
	}
	sel, ok := entity(c.args[0], c.args[1])
	if !ok || sel.AppID != "" {
		return answer{}, &refusal{status: http.StatusUnprocessableEntity, text: "entity_type must be user, agent or run"}
	}
	return d.now(c, sel, "Entity deleted")
}

// cutShort reports whether the name in a path may have lost its end. Mem0's Python
// client does not escape names, and httpx keeps to itself what follows a #, with the
// slash that the client puts at the end of every path.
func cutShort(r *http.Request) bool {
	return strings.HasPrefix(r.UserAgent(), "python-httpx/") && !strings.HasSuffix(r.URL.Path, "/")
}

// deleteEntityByNumber is DELETE /v1/entities/{entity_type}/{entity_id}/, whose ID
// is a number that only the Platform knows.
func (d *door) deleteEntityByNumber(call) (answer, error) {
	return answer{}, refuse(noNumbers)
}

// reset is POST /reset.
func (d *door) reset(call) (answer, error) {
	return answer{}, refuse(noReset)
}

// later files a request and does not wait, as the Platform does not.
func (d *door) later(c call, sel store.Selector) (answer, error) {
	if err := c.noBody(); err != nil {
		return answer{}, err
	}
	r, err := d.forget(c, sel)
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusOK, Deleted{Message: inProgress, EventID: r.ID}}, nil
}

// now files a request and waits, as the self-hosted server does.
func (d *door) now(c call, sel store.Selector, message string) (answer, error) {
	if err := c.noBody(); err != nil {
		return answer{}, err
	}
	r, err := d.forget(c, sel)
	if err != nil {
		return answer{}, err
	}
	return told(d.wait(c, r), Deleted{Message: message})
}

// entity makes a Selector of an entity.
func entity(kind, name string) (sel store.Selector, ok bool) {
	switch kind {
	case "user":
		sel.UserID = name
	case "agent":
		sel.AgentID = name
	case "app":
		sel.AppID = name
	case "run":
		sel.RunID = name
	default:
		return sel, false
	}
	return sel, true
}

// forget files a request.
func (d *door) forget(c call, sel store.Selector) (jobs.Request, error) {
	if err := sel.Validate(); err != nil {
		return jobs.Request{}, err
	}
	s, err := d.submission(c, sel, false)
	if err != nil {
		return jobs.Request{}, err
	}
	r, _, err := d.book.Submit(c.r.Context(), s)
	return r, err
}
