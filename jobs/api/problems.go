package api

import (
	"cmp"
	"net/http"
	"reflect"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// told returns one Problem of each status and code that there are, by status, for
// the document. A test reads the source for codes that are not here.
func told() []*Problem {
	list := []*Problem{
		malformed("selector.user_id", "must be a string"),
		problem(http.StatusBadRequest, codeTokenSeen, "a token goes into the Authorization header, never into a URL: revoke this one"),
		problem(http.StatusForbidden, "host", "this Host is not served here: see hosts in the configuration"),
		problem(http.StatusForbidden, "cross_origin", "this call must not come from a page of another origin"),
		problem(http.StatusMethodNotAllowed, "method", "this path does not take this method"),
		problem(http.StatusRequestTimeout, "too_slow", "the body came too slowly"),
		problem(http.StatusConflict, "not_yet", "there is no certificate yet"),
		problem(http.StatusConflict, codeNotHere, notHere),
		problem(http.StatusConflict, codePlacing, "the hold is still being placed: ask again once it is active"),
		problem(http.StatusConflict, "store_unable", "the store cannot list what is in it, so nobody can tell what has come back"),
		problem(http.StatusConflict, "clock_skew", "the store's clock and that of the service differ by more than a minute: set them right"),
		problem(http.StatusConflict, "no_regime", "the regime of the request is not configured any more"),
		problem(http.StatusConflict, "not_extendable", "the regime of the request knows no extension"),
		problem(http.StatusConflict, "already_extended", "the period has been extended, which can be done once"),
		problem(http.StatusConflict, "overdue", "the period is over: it could be extended until its end"),
		problem(http.StatusConflict, "no_confirmation", "the regime of the request asks for no confirmation"),
		problem(http.StatusConflict, "already_confirmed", "the receipt has been confirmed"),
		problem(http.StatusConflict, "already_exempt", "this part is exempt already"),
		problem(http.StatusUnsupportedMediaType, "media_type", "Content-Type must be application/json"),
		unacceptable("selector", "must be given: everything cannot be said by omission"),
		problem(http.StatusTooManyRequests, "too_many", "too many calls: ask again after the seconds in Retry-After"),
		problem(http.StatusRequestHeaderFieldsTooLarge, "too_large", "the header has too many lines: 100 at most"),
		problem(http.StatusInternalServerError, "internal", "the service made a mistake, which is in its log"),
		problem(http.StatusServiceUnavailable, codeNotMade, notMade),
		problem(http.StatusServiceUnavailable, "busy", "too many calls are being answered: ask again"),
		problem(http.StatusServiceUnavailable, "streams", "too many event streams are open: poll the request"),
		problem(http.StatusServiceUnavailable, "unavailable", "the ledger did not answer: ask again"),
		problem(http.StatusServiceUnavailable, codeStoreDown, "store assistant is down: ask again; /readyz says why"),
	}
	for _, a := range answers() {
		list = append(list, problem(a.status, a.code, a.detail))
	}
	slices.SortStableFunc(list, func(a, b *Problem) int { return a.Status - b.Status })
	return slices.CompactFunc(list, func(a, b *Problem) bool { return a.Status == b.Status && a.Code == b.Code })
}

// problemExamples returns the Problems of a status, one of each code; of all that
// stand in no operation's list, for 0.
func problemExamples(status int) (list []Example) {
	for _, p := range told() {
		if p.group() == status {
			list = append(list, Example{Name: p.Code, Value: p})
		}
	}
	return list
}

// group is the status, or 0 if it stands in no operation's list.
func (p *Problem) group() int {
	switch p.Status {
	case http.StatusMethodNotAllowed, http.StatusRequestHeaderFieldsTooLarge, http.StatusInternalServerError:
		return 0
	}
	return p.Status
}

// problemHeaders returns the headers that go with a Problem of a status.
func problemHeaders(status int) map[string]*huma.Header {
	header := func(name, description string) map[string]*huma.Header {
		return map[string]*huma.Header{name: {Description: description, Schema: schemaOr(nil)}}
	}
	switch status {
	case http.StatusUnauthorized:
		return header("WWW-Authenticate", `Bearer realm="lethe"`)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return header("Retry-After", "Seconds until it is worth asking again")
	}
	return nil
}

// addProblems puts among the components what all operations share.
func addProblems(c *huma.Components) {
	schema := c.Schemas.Schema(reflect.TypeFor[Problem](), true, "")
	code := c.Schemas.Map()["Problem"].Properties["code"]
	statuses := []int{0}
	for _, p := range told() {
		if !slices.Contains(code.Enum, any(p.Code)) {
			code.Enum = append(code.Enum, p.Code)
		}
		statuses = append(statuses, p.group())
	}
	slices.SortFunc(code.Enum, func(a, b any) int { return cmp.Compare(a.(string), b.(string)) }) //nolint:forcetypeassert // put there above
	slices.Sort(statuses)
	for _, status := range slices.Compact(statuses) {
		r := &huma.Response{Description: http.StatusText(status), Headers: problemHeaders(status)}
		name := "Problem" + strconv.Itoa(status)
		if status == 0 {
			name = "Problem"
			r.Description = "Any other problem: a header that is too large, or says that a body is encoded, or a mistake of the service"
		}
		r.Content = map[string]*huma.MediaType{mediaProblem: {Schema: schema}}
		for _, e := range problemExamples(status) {
			m := r.Content[mediaProblem]
			if m.Examples == nil {
				m.Examples = map[string]*huma.Example{}
			}
			m.Examples[e.Name] = &huma.Example{Value: plainValue(e.Value)}
		}
		c.Responses[name] = r
	}
}
