package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/time/rate"

	"lethe/store"
)

// How a token goes with a call.
type scheme struct{ header, prefix string }

var (
	tokenScheme  = scheme{"Authorization", "Token "} //nolint:gochecknoglobals // the Platform's
	apiKeyScheme = scheme{"X-API-Key", ""}           //nolint:gochecknoglobals // the self-hosted server's
)

// Limits of one call.
const (
	readTime  = time.Minute     // for an answer to a read
	writeTime = 5 * time.Minute // to what destroys, as Mem0's own clients wait

	maxAnswerBytes = 64 << 20
	maxTurns       = 10              // attempts at a call that is answered with 429
	maxPause       = 2 * time.Minute // that a call waits for its turn
	maxRest        = time.Hour       // that a 429 can ask for

	// fenceTime is how old a fence may be, counted from the call of Erase, when
	// something is destroyed by it.
	fenceTime = 15 * time.Second
)

// A Config says how an API is reached, and how often it may be asked.
type Config struct {
	URL   string  // https, or http on a loopback address; with a path if the API is below one
	Token string  // the API's key
	Rate  float64 // calls a second, at least 1; 0 for 10
	Burst int     // calls at once after a rest; 0 for twice the rate

	Transport http.RoundTripper // nil for one of its own

	// Now and Sleep are the clock that the rate, the pauses and the waits for
	// events go by. nil for the real one.
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
}

// URLProblem returns what keeps text from being a Config's URL, or "". It does
// not repeat it.
func URLProblem(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Host == "", u.Scheme != "http" && u.Scheme != "https":
		return "must be a URL such as https://api.mem0.ai"
	case u.User != nil, u.RawQuery != "", u.Fragment != "":
		return "must be a URL without user, query and fragment: the token goes into token_file"
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return "must be an https URL: a token is not sent over the network in the clear"
	}
	return ""
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}

// A client asks one API. It may be used concurrently.
type client struct {
	base   string
	scheme scheme
	token  string
	http   *http.Client

	// explain says more of an error by the answer's body; nil for nothing.
	explain func(text []byte, err error) error

	bucket *rate.Limiter
	now    func() time.Time
	sleep  func(ctx context.Context, d time.Duration) error

	mu    sync.Mutex
	until time.Time // nobody asks before: the API said so
}

func newClient(c Config, s scheme) (*client, error) {
	if problem := URLProblem(c.URL); problem != "" {
		return nil, fmt.Errorf("%w: url %s", store.ErrRefused, problem)
	}
	if c.Token == "" || strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fmt.Errorf("%w: the token must be one line of printable characters", store.ErrDenied)
	}
	if c.Rate == 0 {
		c.Rate = 10
	}
	if c.Burst == 0 {
		c.Burst = int(2 * c.Rate)
	}
	if c.Rate < 1 || c.Burst < 1 {
		return nil, fmt.Errorf("%w: rate and burst must be at least 1", store.ErrRefused)
	}
	if c.Transport == nil {
		c.Transport = transport()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Sleep == nil {
		c.Sleep = sleep
	}
	return &client{
		base: strings.TrimSuffix(c.URL, "/"), scheme: s, token: c.Token,
		bucket: rate.NewLimiter(rate.Limit(c.Rate), c.Burst), now: c.Now, sleep: c.Sleep,
		http: &http.Client{
			Transport:     c.Transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func transport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     time.Minute,
		ForceAttemptHTTP2:   true,
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close lets go of idle connections.
func (c *client) close() { c.http.CloseIdleConnections() }

// A call is one question to the API.
type call struct {
	method string
	route  string   // as documented, such as "/v1/memories/{id}/"
	args   []string // in the place of {…}, escaped, in order
	query  url.Values
	body   any // sent as JSON; nil for none

	// destroys marks a call after which something is gone. It is sent if
	// store.Leave lets it, asked directly before, and not after by.
	destroys bool
	by       time.Time

	pause time.Duration // that it waits for its turn at most; 0 for maxPause
}

func (k call) path() string {
	path := k.route
	for _, arg := range k.args {
		from := strings.IndexByte(path, '{')
		to := strings.IndexByte(path, '}')
		path = path[:from] + escape(arg) + path[to+1:]
	}
	if len(k.query) > 0 {
		path += "?" + k.query.Encode()
	}
	return path
}

// escape keeps an argument one segment of a path, "." and ".." too.
func escape(arg string) string {
	if strings.Trim(arg, ".") == "" {
		return strings.ReplaceAll(arg, ".", "%2E")
	}
	return url.PathEscape(arg)
}

// failed words an error about k: nothing of its arguments, query or body.
func (k call) failed(err error) error { return fmt.Errorf("%s %s: %w", k.method, k.route, err) }

// A shape is an answer that can say what it lacks to be one.
type shape interface{ lacks() string }

// ask sends k and decodes the answer. A *T that is a shape must lack nothing.
func ask[T any](ctx context.Context, c *client, k call) (T, error) {
	var v T
	text, err := c.send(ctx, k)
	if err != nil {
		return v, k.failed(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		return v, k.failed(fmt.Errorf("%w: the answer is not the JSON that the API documents", store.ErrSchema)) // err quotes it
	}
	if s, ok := any(&v).(shape); ok {
		if what := s.lacks(); what != "" {
			return v, k.failed(fmt.Errorf("%w: the answer has no proper %s", store.ErrSchema, what))
		}
	}
	return v, nil
}

// send asks until there is an answer other than "later", and returns its body.
func (c *client) send(ctx context.Context, k call) ([]byte, error) {
	var body []byte
	if k.body != nil {
		var err error
		if body, err = json.Marshal(k.body, json.Deterministic(true)); err != nil {
			return nil, errors.New("the question is not valid JSON") // err quotes it
		}
	}
	for turn := 1; ; turn++ {
		if err := c.wait(ctx, k); err != nil {
			return nil, err
		}
		text, pause, err := c.once(ctx, k, body)
		if !errors.Is(err, errLater) {
			return text, err
		}
		c.rest(pause, turn)
		if turn == maxTurns {
			return nil, fmt.Errorf("%w: it has asked to wait %d times", store.ErrBusy, turn)
		}
	}
}

// once asks. The error wraps errLater if the API wants to be asked later, pause
// from now, or when 0 at nobody's time.
func (c *client) once(ctx context.Context, k call, body []byte) (text []byte, pause time.Duration, err error) {
	patience := readTime
	if k.destroys {
		patience = writeTime
		if err := store.Leave(ctx); err != nil {
			return nil, 0, err
		}
	}
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(within, k.method, c.base+k.path(), bytes.NewReader(body))
	if err != nil {
		return nil, 0, errors.New("no such call can be made") // err quotes the path
	}
	req.Header.Set(c.scheme.header, c.scheme.prefix+c.token)
	req.Header.Set("Accept", "application/json")
	if k.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	answer, err := c.http.Do(req)
	if err != nil {
		return nil, 0, lost(ctx, err)
	}
	defer answer.Body.Close()
	text, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswerBytes+1))
	switch {
	case err != nil:
		return nil, 0, lost(ctx, err)
	case len(text) > maxAnswerBytes:
		return nil, 0, fmt.Errorf("%w: the answer is larger than %d MiB", store.ErrSchema, maxAnswerBytes>>20)
	}
	err = verdict(answer.StatusCode, text)
	if err != nil && c.explain != nil {
		err = c.explain(text, err)
	}
	return text, pauseOf(answer.Header, c.now()), err
}
