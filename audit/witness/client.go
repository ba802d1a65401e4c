package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"lethe/audit/proof"
)

const (
	maxAnswer = 64 << 10 // bytes
	maxAsks   = 3        // of one Cosign: two conflicts may be corrected
)

// How a witness can refuse. An error that wraps none of these, nor
// proof.ErrNotVerified, is of the network or of a witness that is out of order:
// ask again later.
var (
	// ErrContradicted is wrapped when the witness says that it has cosigned
	// another history of this log. It is the witness's word alone, which proves
	// nothing: compare with the head that the witness publishes. No retry mends it.
	ErrContradicted = errors.New("the witness has cosigned another history")

	// ErrAhead is wrapped when the witness has cosigned a larger head. Ask with
	// a newer one. If there is none, this log was rolled back.
	ErrAhead = errors.New("the witness has cosigned a larger head")

	// ErrRefused is wrapped when the witness does not know the log or its key,
	// or takes the request for a wrong one. No retry mends it, people have to.
	ErrRefused = errors.New("the witness refuses")
)

// A Client asks one witness for cosignatures. Its methods may be used
// concurrently.
type Client struct {
	url  string
	key  proof.VerifyKey
	http *http.Client

	mu   sync.Mutex
	last map[string]int64 // newest size that the witness is known to have, by origin
}

// NewClient returns a client of the witness with that key, at a submission
// prefix: an http or https URL without user and query. A nil transport means
// http.DefaultTransport. It has no time limit but the context's.
func NewClient(prefix string, key proof.VerifyKey, transport http.RoundTripper) (*Client, error) {
	u, err := url.Parse(prefix)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		// The URL may have a password in it: do not repeat it.
		return nil, errors.New("witness must be an http or https URL without user and query")
	}
	if !key.Cosigns() {
		return nil, errors.New("witness: the key is not one that cosigns")
	}
	return &Client{
		url:  strings.TrimSuffix(u.String(), "/") + "/add-checkpoint",
		key:  key,
		last: map[string]int64{},
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Name returns the name of the witness's key.
func (c *Client) Name() string { return c.key.Name() }

// Cosign asks for a cosignature over head, a signed checkpoint, and returns its
// signature line, verified under the witness's key. prove is asked for the
// consistency proof from what the witness has cosigned, and its error comes
// back wrapped. Errors are those above; with proof.ErrNotVerified the witness,
// or who answered for it, has sent a signature that is none.
func (c *Client) Cosign(ctx context.Context, text []byte, prove func(ctx context.Context, from, to int64) (tlog.TreeProof, error)) ([]byte, error) {
	h, err := parseHead(text)
	if err != nil {
		return nil, fmt.Errorf("ask witness: %w: %w", proof.ErrNotVerified, err)
	}
	lines, err := c.cosign(ctx, h, text, prove)
	if err != nil {
		return nil, fmt.Errorf("ask witness %s: %w", c.Name(), err)
	}
	c.remember(h.origin, h.size)
	return lines, nil
}

func (c *Client) cosign(ctx context.Context, h head, text []byte, prove func(ctx context.Context, from, to int64) (tlog.TreeProof, error)) ([]byte, error) {
	// What it was last heard to have is a guess that it corrects.
	old := min(c.known(h.origin), h.size)
	for range maxAsks {
		r := request{old: old, head: text}
		if old > 0 && old < h.size {
			var err error
			if r.path, err = prove(ctx, old, h.size); err != nil {
				return nil, fmt.Errorf("prove consistency: %w", err)
			}
		}
		a, err := c.post(ctx, r.format())
		switch {
		case err != nil:
			return nil, err
		case a.status == http.StatusOK:
			return c.verify(h, a.body)
		case a.status != http.StatusConflict:
			return nil, refused(a.status, old, h.size)
		case old == h.size && (a.size == old || a.size < 0): // as witnesses say it that are older than July 2026
			return nil, fmt.Errorf("%w: size %d", ErrContradicted, old)
		case a.size < 0 || a.size == old:
			return nil, errors.New("a conflict without the size to ask with")
		case a.size > h.size:
			return nil, fmt.Errorf("%w: size %d, asked for %d", ErrAhead, a.size, h.size)
		}
		old = a.size
	}
	return nil, errors.New("the witness's size changes faster than it is asked")
}

// refused words every status but 200 and 409.
func refused(status int, old, size int64) error {
	switch {
	case status == http.StatusUnprocessableEntity && old > 0:
		return fmt.Errorf("%w: size %d does not extend size %d there", ErrContradicted, size, old)
	case status == http.StatusNotFound:
		return fmt.Errorf("%w: it does not know this log, status 404", ErrRefused)
	case status == http.StatusForbidden:
		return fmt.Errorf("%w: it does not know this log's key, status 403", ErrRefused)
	case status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500:
		return fmt.Errorf("status %d", status)
	}
	return fmt.Errorf("%w: status %d", ErrRefused, status)
}

// An answered request.
type answered struct {
	status int
	body   []byte
	size   int64 // with a conflict; -1 if it is not said
}

func (c *Client) post(ctx context.Context, body []byte) (answered, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return answered{}, errors.New("make request") // the error repeats the URL
	}
	req.Header.Set("Content-Type", textPlain)
	resp, err := c.http.Do(req)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err
		}
		return answered{}, err
	}
	defer resp.Body.Close()
	a := answered{status: resp.StatusCode, size: -1}
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return a, fmt.Errorf("read answer: %w", err)
	case len(a.body) > maxAnswer:
		return a, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	case a.status == http.StatusConflict:
		kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
		digits, ok := strings.CutSuffix(string(a.body), "\n")
		if n, err := parseSize(digits); ok && err == nil && kind == textSize {
			a.size = n
		}
	}
	return a, nil
}

// verify returns the line of the witness's key, in its one spelling. Other
// lines are passed over.
func (c *Client) verify(h head, lines []byte) ([]byte, error) {
	text := append([]byte(h.text+"\n"), lines...)
	n, err := note.Open(text, note.VerifierList(c.key))
	if err != nil || n.Text != h.text { // an empty line would move what is signed
		return nil, fmt.Errorf("%w: the answer has no cosignature of its key over this head", proof.ErrNotVerified)
	}
	return []byte(head{text: n.Text, sigs: n.Sigs}.signed(c.key)), nil
}

func (c *Client) known(origin string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last[origin]
}

func (c *Client) remember(origin string, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last[origin] = size
}
