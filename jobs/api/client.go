package api

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"lethe/jobs"
)

// maxAnswerBytes bounds what is read of an answer.
const maxAnswerBytes = 16 << 20

// A Client asks a Lethe server. It has a method for every call of the native API.
// They may be called concurrently, have no time limit but their context's, and
// return a *Problem if the server refused, or the transport's error if it could
// not be asked. Whatever is asked, the Problem may be 401 (no token that is valid),
// 403 (its role may not), 429 and 503 (ask again after RetryAfter); what else it
// may be is said of each method, and in the OpenAPI document. An answer of more
// than 16 MiB is an error. Selectors go into bodies only.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// NewClient returns a Client for the server at baseURL (http or https, with a
// path if it is mounted under one). The token may be ""; it goes with every
// call as a bearer token, RFC 6750, and to loopback addresses alone over plain
// http. A nil transport means http.DefaultTransport.
func NewClient(baseURL, token string, transport http.RoundTripper) (*Client, error) {
	u, err := url.Parse(baseURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.User != nil {
		// The URL may have a password in it: do not repeat it.
		return nil, fmt.Errorf("server must be an http or https URL without user and query")
	}
	if token != "" && u.Scheme == "http" && !loopback(strings.ToLower(u.Hostname())) {
		return nil, errors.New("server must be an https URL: a token is not sent over the network in the clear")
	}
	return &Client{
		base:  strings.TrimSuffix(u.String(), "/"),
		token: token,
		http: &http.Client{
			Transport: transport,
			// A redirect would take the token, and a selector, elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Submit files a request, which is durable once it returns. replayed says that the
// key was used before, for the same body, and r is that request; with another body
// it is 409. 400 if something is malformed, 422 if the selector or the stores cannot
// be accepted, 413 beyond 64 MiB of ids or 64 KiB of everything else. Without a key,
// asking again after an error of the transport may file it twice. With s.IDs memory
// stays flat, and Submit returns only when s.IDs has.
func (c *Client) Submit(ctx context.Context, s Submission) (r Accepted, replayed bool, err error) {
	header := http.Header{}
	if s.IdempotencyKey != "" {
		header.Set("Idempotency-Key", s.IdempotencyKey)
	}
	answer, err := c.send(ctx, "/v1/requests", s, header) //nolint:bodyclose // decodeAnswer closes it
	if err != nil {
		return Accepted{}, false, err
	}
	r, err = decodeAnswer[Accepted](answer)
	return r, answer.Header.Get("Idempotent-Replayed") == "true", err
}

// Plan asks what s would erase, and changes nothing. Errors are those of Submit; 503
// with the code store_down while one of the stores is down.
func (c *Client) Plan(ctx context.Context, s Submission) (Plan, error) {
	answer, err := c.send(ctx, "/v1/plans", s, http.Header{}) //nolint:bodyclose // decodeAnswer closes it
	if err != nil {
		return Plan{}, err
	}
	return decodeAnswer[Plan](answer)
}

// Request returns one request; 404 if there is none that the token may see.
func (c *Client) Request(ctx context.Context, id string) (Request, error) {
	return getJSON[Request](ctx, c, idPath(id))
}

// List yields the requests that have one of the statuses, or all, newest first,
// a page at a time. After an error it yields nothing more.
func (c *Client) List(ctx context.Context, statuses ...jobs.Status) iter.Seq2[Request, error] {
	return c.ListDue(ctx, "", statuses...)
}

// ListDue is List of the open requests that answer to due, those that are due
// first first; all requests if due is empty.
func (c *Client) ListDue(ctx context.Context, due jobs.Due, statuses ...jobs.Status) iter.Seq2[Request, error] {
	query := dueQuery(due)
	query.Set("limit", strconv.Itoa(maxPage))
	for _, s := range statuses {
		query.Add("status", string(s))
	}
	return func(yield func(Request, error) bool) {
		for {
			answer, err := getJSON[page](ctx, c, "/v1/requests?"+query.Encode())
			if err != nil {
				yield(Request{}, err)
				return
			}
			for _, r := range answer.Requests {
				if !yield(r, nil) {
					return
				}
			}
			if answer.NextCursor == nil {
				return
			}
			query.Set("cursor", *answer.NextCursor)
		}
	}
}

// Cancel stops a request, before the first batch at once and afterwards between
// batches; 404 if there is none, 409 if it has ended.
func (c *Client) Cancel(ctx context.Context, id string) (Request, error) {
	answer, err := c.do(ctx, http.MethodPost, idPath(id)+"/cancel", nil, nil) //nolint:bodyclose // decodeAnswer closes it
	if err != nil {
		return Request{}, err
	}
	return decodeAnswer[Request](answer)
}

// Certificate returns the certificate file; 404 if there is no such request, 409
// while there is no certificate.
func (c *Client) Certificate(ctx context.Context, id string) ([]byte, error) {
	return c.getText(ctx, idPath(id)+"/certificate")
}

// Receipt returns the proof that the request was accepted, a file like the
// certificate; 404 and 409 as there.
func (c *Client) Receipt(ctx context.Context, id string) ([]byte, error) {
	return c.getText(ctx, idPath(id)+"/receipt")
}

// Reissued returns the certificate or, with accepted, the receipt, cut anew for
// the log's newest head; 404 and 409 as for them.
func (c *Client) Reissued(ctx context.Context, id string, accepted bool) ([]byte, error) {
	file := "/certificate"
	if accepted {
		file = "/receipt"
	}
	return c.getText(ctx, idPath(id)+file+"?head=newest")
}

// MemoryProof returns the proof of what became of one memory of a request that
// has ended; 404 also if it has no receipt of it, 409 before its end, 410 once the
// subject key has been destroyed, 422 for an ID that no store can have.
func (c *Client) MemoryProof(ctx context.Context, id, memoryID string) ([]byte, error) {
	body, err := json.Marshal(map[string]string{"memory_id": memoryID})
	if err != nil {
		return nil, unacceptable("memory_id", "must be valid UTF-8") // err may quote it
	}
	header := http.Header{"Content-Type": {"application/json"}}
	return c.readText(c.do(ctx, http.MethodPost, idPath(id)+"/memory-proof", bytes.NewReader(body), header))
}

// SubjectKey returns the 32-byte key that opens the subject commitment; 404 if
// there is no such request, 410 once the key has been destroyed.
func (c *Client) SubjectKey(ctx context.Context, id string) ([]byte, error) {
	text, err := c.getText(ctx, idPath(id)+"/subject-key")
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("subject key: not hex") // and not repeated either
	}
	return key, nil
}

// idPath keeps an id that a person typed from becoming another path.
func idPath(id string) string { return "/v1/requests/" + url.PathEscape(id) }

func tokenPath(id string) string { return "/v1/tokens/" + url.PathEscape(id) }

func getJSON[T any](ctx context.Context, c *Client, path string) (T, error) {
	answer, err := c.do(ctx, http.MethodGet, path, nil, nil) //nolint:bodyclose // decodeAnswer closes it
	if err != nil {
		var none T
		return none, err
	}
	return decodeAnswer[T](answer)
}

func postJSON[T any](ctx context.Context, c *Client, path string, v any) (T, error) {
	var none T
	body, err := json.Marshal(v)
	if err != nil {
		return none, malformed("body", "must be valid UTF-8") // err may quote it
	}
	answer, err := c.do(ctx, http.MethodPost, path, bytes.NewReader(body), http.Header{"Content-Type": {"application/json"}}) //nolint:bodyclose // decodeAnswer closes it
	if err != nil {
		return none, err
	}
	return decodeAnswer[T](answer)
}

func (c *Client) getText(ctx context.Context, path string) ([]byte, error) {
	return c.readText(c.do(ctx, http.MethodGet, path, nil, nil))
}

func (c *Client) readText(answer *http.Response, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return readAtMost(answer.Body, maxAnswerBytes)
}

// readAtMost reads all, and refuses more than so many bytes.
func readAtMost(r io.Reader, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("read answer: it has more than %d bytes", limit)
	}
	if err != nil {
		return nil, err
	}
	return text, nil
}

// send posts a submission. With streamed IDs the body is written while it is
// sent; otherwise it is small and gets a Content-Length.
func (c *Client) send(ctx context.Context, path string, s Submission, header http.Header) (*http.Response, error) {
	header.Set("Content-Type", "application/json")
	if s.IDs == nil {
		var body bytes.Buffer
		if err := s.encode(&body); err != nil {
			return nil, err
		}
		return c.do(ctx, http.MethodPost, path, &body, header)
	}
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() { // ends when all is written, or when the transport closes r
		defer close(done)
		_ = w.CloseWithError(s.encode(w))
	}()
	answer, err := c.do(ctx, http.MethodPost, path, r, header)
	_ = r.Close()
	<-done // IDs is the caller's again
	return answer, err
}

// do asks, and makes an error of whatever is not a good answer.
func (c *Client) do(ctx context.Context, method, path string, body io.Reader, header http.Header) (*http.Response, error) {
	answer, err := c.ask(ctx, method, path, body, header)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode >= 300 {
		return nil, refusal(answer)
	}
	return answer, nil
}

func (c *Client) ask(ctx context.Context, method, path string, body io.Reader, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set(originHeader, jobs.OriginCLI)
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return c.http.Do(req)
}

// refusal returns the Problem in an answer, or one made of its status if a
// proxy has answered.
func refusal(answer *http.Response) *Problem {
	defer answer.Body.Close()
	p := problem(answer.StatusCode, "", "the server answered "+answer.Status)
	if strings.HasPrefix(answer.Header.Get("Content-Type"), "application/problem+json") {
		// What cannot be read of it, the status says.
		_ = json.UnmarshalRead(io.LimitReader(answer.Body, 64<<10), p)
	}
	p.Status = answer.StatusCode
	seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
	p.RetryAfter = time.Duration(max(seconds, 0)) * time.Second
	return p
}

func decodeAnswer[T any](answer *http.Response) (v T, err error) {
	defer answer.Body.Close()
	if err = json.UnmarshalRead(io.LimitReader(answer.Body, maxAnswerBytes), &v); err != nil {
		err = fmt.Errorf("read answer: %w", err)
	}
	return v, err
}
