package api

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"lethe/jobs"
)

// How well it is with something.
const (
	LevelOK     = "ok"
	LevelWeak   = "weak"   // it works, and could be harmed or come to harm
	LevelBroken = "broken" // it does not work, or will not go on to
)

// A Checkup is what a look at everything around the service has found.
type Checkup struct {
	Level    string    `json:"level" enum:"ok,weak,broken" doc:"The worst of the findings'"`
	Findings []Finding `json:"findings" nullable:"false" doc:"One at least of each check, in the order of the checks"`
}

// A Finding is what one check has found. It holds no value of a request, and no
// secret.
type Finding struct {
	Check string `json:"check" example:"redis_durability" doc:"What was looked at; the same as the label of lethe_weaknesses where there is one"`
	Level string `json:"level" enum:"ok,weak,broken"`
	What  string `json:"what" doc:"What is so"`
	Fix   string `json:"fix,omitempty" doc:"What to do about it; left out if nothing is to be done"`
}

// A Backup is a copy of the ledger that was checked, for one reader.
type Backup struct {
	Content io.ReadCloser
	Bytes   int64
	SHA256  []byte
	Sent    func() // called once all of it was sent; may be nil
}

// backupPatience is how long one piece of a backup may take to be sent; a client that
// does not read is dropped.
const (
	backupPatience = 30 * time.Second
	backupPiece    = 256 << 10 // bytes
	digestHeader   = "Repr-Digest"
	mediaBytes     = "application/octet-stream"
)

func (s *server) upkeepRoutes() []route {
	return []route{
		{
			method: "GET", path: "/v1/doctor", handle: s.doctor, id: "doctor", may: jobs.ActInspect,
			summary: "Say what is weak or broken about the service and around it, with the fix",
			description: "Looks at the configuration, the stores, the queue, the clocks, disks, keys, the log, the ledger, backups and certificates, and changes nothing. " +
				"The answer is 200 whatever is found. One at a time, others get 503 with Retry-After.",
			status: 200, answer: Checkup{}, problems: []int{400, 401, 403, 404, 503},
		},
		{
			method: "GET", path: "/v1/backup", handle: s.backup, id: "backup", may: jobs.ActBackup,
			summary: "Make a copy of the ledger, check it, and get it",
			description: "One SQLite database of one moment. It names nobody: selectors and IDs are sealed in it, under keys that are not in it, and neither is the log's. " +
				"Compare it with the SHA-256 in Repr-Digest (RFC 9530). 409 with the code not_here if the ledger is in PostgreSQL, which backs it up itself. " +
				"One at a time, others get 503 with Retry-After.",
			status: 200, answer: tileBytes(), media: mediaBytes, problems: []int{400, 401, 403, 404, 409, 503},
		},
	}
}

// oneAtATime begins what costs much, if nobody else is at it.
func (s *server) oneAtATime() (end func(), err error) {
	if s.upkeep.TryLock() {
		return s.upkeep.Unlock, nil
	}
	p := problem(http.StatusServiceUnavailable, "busy", "a check-up or a backup is being made: ask again")
	p.RetryAfter = retryAfter
	return nil, p
}

// doctor is GET /v1/doctor.
func (s *server) doctor(w http.ResponseWriter, r *http.Request) error {
	if s.Doctor == nil {
		return problem(http.StatusNotFound, "not_found", "there is no check-up here")
	}
	end, err := s.oneAtATime()
	if err != nil {
		return err
	}
	defer end()
	found, err := s.Doctor(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, found)
}

const (
	codeNotMade = "not_made"
	notMade     = "the copy could not be made, or was found not to be whole: the service's log says why; is there room for it in the data folder?"

	codeNotHere = "not_here"
	notHere     = `the ledger is in PostgreSQL, which backs it up itself, with pg_dump or a base backup: see "Backups of Lethe itself" in deploy/OPERATIONS.md`
)

// ErrNotHere is returned by Options.Backup if the ledger is backed up by other means.
var ErrNotHere error = problem(http.StatusConflict, codeNotHere, notHere)

// backup is GET /v1/backup.
func (s *server) backup(w http.ResponseWriter, r *http.Request) error {
	if s.Backup == nil {
		return problem(http.StatusNotFound, "not_found", "there are no backups here")
	}
	end, err := s.oneAtATime()
	if err != nil {
		return err
	}
	defer end()
	b, err := s.Backup(r.Context())
	if _, told := errors.AsType[*Problem](err); err != nil && !told {
		s.Logger.LogAttrs(r.Context(), slog.LevelError, "the backup was not made", slog.Any("error", err))
		return problem(http.StatusServiceUnavailable, codeNotMade, notMade)
	} else if err != nil {
		return err
	}
	defer b.Content.Close()
	w.Header().Set("Content-Type", mediaBytes)
	w.Header().Set("Content-Length", strconv.FormatInt(b.Bytes, 10))
	w.Header().Set("Content-Disposition", `attachment; filename="ledger.backup"`)
	w.Header().Set(digestHeader, "sha-256=:"+base64.StdEncoding.EncodeToString(b.SHA256)+":")
	w.WriteHeader(http.StatusOK)
	if err := s.sendPieces(w, r, b); err != nil {
		panic(http.ErrAbortHandler) // half of it must not look like all of it
	}
	if b.Sent != nil {
		b.Sent()
	}
	return nil
}

// sendPieces sends all of a backup, and stops when the service does, or when the
// token is good no longer.
func (s *server) sendPieces(w http.ResponseWriter, r *http.Request, b *Backup) error {
	control := http.NewResponseController(w)
	piece, by := make([]byte, backupPiece), ActorOf(r)
	for left := b.Bytes; left > 0; {
		select {
		case <-s.Closing:
			return context.Canceled
		default:
		}
		if a, err := Authenticate(r, s.Tokens, s.Listen); err != nil || a != by {
			return jobs.ErrUnknownToken
		}
		_ = control.SetWriteDeadline(time.Now().Add(backupPatience)) // not every writer has deadlines
		n, err := io.ReadFull(b.Content, piece[:min(left, backupPiece)])
		if err != nil {
			return err
		}
		if _, err := w.Write(piece[:n]); err != nil {
			return err
		}
		left -= int64(n)
	}
	return control.Flush()
}

// Doctor asks what is weak or broken about the service and around it.
func (c *Client) Doctor(ctx context.Context) (Checkup, error) {
	return getJSON[Checkup](ctx, c, "/v1/doctor")
}

// Backup asks for a copy of the ledger, which the server makes and checks first, so
// that the answer may be long in coming. The caller reads all of it, compares it with
// the digest, and closes it. 409 if the ledger is in PostgreSQL.
func (c *Client) Backup(ctx context.Context) (*Backup, error) {
	answer, err := c.do(ctx, http.MethodGet, "/v1/backup", nil, nil)
	if err != nil {
		return nil, err
	}
	digest, err := digestOf(answer.Header.Get(digestHeader))
	if err != nil || answer.ContentLength <= 0 {
		_ = answer.Body.Close()
		return nil, fmt.Errorf("read answer: a backup must come with its length and its SHA-256")
	}
	return &Backup{Content: answer.Body, Bytes: answer.ContentLength, SHA256: digest}, nil
}

// digestOf reads the one digest that we send.
func digestOf(header string) ([]byte, error) {
	const start, end = "sha-256=:", ":"
	if len(header) <= len(start)+len(end) || header[:len(start)] != start || header[len(header)-1:] != end {
		return nil, fmt.Errorf("no SHA-256")
	}
	digest, err := base64.StdEncoding.DecodeString(header[len(start) : len(header)-1])
	if err != nil || len(digest) != 32 {
		return nil, fmt.Errorf("no SHA-256")
	}
	return digest, nil
}
