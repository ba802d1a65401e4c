package mem0

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
)

// maxBody is the largest body that is read, in bytes: 1000 IDs take 60 KiB.
const maxBody = 1 << 20

const tooMany = "Maximum of 1000 memories can be deleted in a single request"

func errNoUUID() error { return refuse("memory_id should be a valid UUID") }

// submission is what a call files. A key that is used again is compared with what
// is asked, however it was spelled.
func (d *door) submission(c call, sel store.Selector, related bool) (jobs.Submission, error) {
	key, err := api.IdempotencyKey(c.r.Header)
	if err != nil {
		return jobs.Submission{}, err
	}
	text, err := jobs.EncodeSelector(sel)
	if err != nil {
		return jobs.Submission{}, err
	}
	digest := sha256.Sum256(fmt.Appendf(nil, "mem0 related=%t\n%s", related, text))
	return jobs.Submission{
		By: api.ActorOf(c.r), Selector: sel, Related: related, Origin: jobs.OriginMem0,
		IdempotencyKey: key, BodyDigest: digest[:],
	}, nil
}

// memoryID returns the ID of a memory in its one spelling: Mem0 writes a UUID in
// lower case, and takes it in any.
func memoryID(text string) (id string, ok bool) {
	u, err := uuid.Parse(text)
	return u.String(), err == nil && len(text) == len(u.String())
}

// A Batch is the body of the call that deletes by ID.
type Batch struct {
	Memories []BatchMemory `json:"memories" minItems:"1" maxItems:"1000" nullable:"false"`

	OrgID     jsontext.Value `json:"org_id,omitzero" hidden:"true"` // not looked at, as in queries
	ProjectID jsontext.Value `json:"project_id,omitzero" hidden:"true"`
}

// A BatchMemory names one memory.
type BatchMemory struct {
	MemoryID string `json:"memory_id" format:"uuid"`
}

// memories reads the body of the call that deletes by ID, each ID once.
func (c call) memories() ([]string, error) {
	if ct := c.r.Header.Get("Content-Type"); ct != "" {
		if media, _, err := mime.ParseMediaType(ct); err != nil || media != "application/json" {
			return nil, &refusal{status: http.StatusUnsupportedMediaType, text: "Content-Type must be application/json"}
		}
	}
	var b Batch
	err := json.UnmarshalRead(http.MaxBytesReader(c.w, c.r.Body, maxBody), &b, json.RejectUnknownMembers(true))
	_ = http.NewResponseController(c.w).SetReadDeadline(time.Time{}) // net/http goes on reading, to notice when the client goes
	_, large := errors.AsType[*http.MaxBytesError](err)
	switch {
	case large || err == nil && len(b.Memories) > store.MaxBatch:
		return nil, refuse(tooMany)
	case err != nil: // its text quotes
		return nil, refuse(`the body must be JSON in UTF-8, {"memories":[{"memory_id":"…"}, …]}, with no other keys and none twice`)
	case len(b.Memories) == 0:
		return nil, refuse("memories must name one memory at least. Nothing was deleted: everything cannot be deleted by leaving them out.")
	}
	ids := make([]string, len(b.Memories))
	for i, m := range b.Memories {
		var ok bool
		if ids[i], ok = memoryID(m.MemoryID); !ok {
			return nil, errNoUUID()
		}
	}
	slices.SortFunc(ids, strings.Compare)
	return slices.Compact(ids), nil
}

// noBody refuses a body where none is taken: whoever sent one may have meant it as a
// filter.
func (c call) noBody() error {
	if c.r.Body == nil || c.r.Body == http.NoBody {
		return nil
	}
	n, _ := io.CopyN(io.Discard, c.r.Body, 1)
	_ = http.NewResponseController(c.w).SetReadDeadline(time.Time{})
	if n > 0 {
		return refuse("this call takes no body: filters go into the query")
	}
	return nil
}
