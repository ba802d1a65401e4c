package apitest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A Call is one call and its answer. A nil Body of a request was not seen whole.
type Call struct {
	Request     *http.Request
	RequestBody []byte
	Status      int
	Header      http.Header
	Body        []byte
}

// Check returns what the document does not say of a call; nil also for a path
// that it does not have, if there was nothing there.
func (d *Document) Check(c Call) error {
	if c.Request.Method == http.MethodHead {
		return nil
	}
	name := d.find(c.Request.Method, c.Request.URL.Path)
	if name == "" {
		if c.Status < 400 {
			return fmt.Errorf("%s is answered with %d and not documented", c.Request.Method, c.Status) // the path may be anything
		}
		return nil
	}
	d.see(name, c.Status)
	err := d.answer(name, c)
	if err == nil && c.Status < 400 {
		err = d.asked(name, c)
	}
	if err != nil {
		return fmt.Errorf("%s, %d: %w", name, c.Status, err)
	}
	return nil
}

func (d *Document) see(name string, status int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seen[name] == nil {
		d.seen[name] = map[int]int{}
	}
	d.seen[name][status]++
}

// general are the statuses that any call may get, and that stand in no list: for a
// header that is too large, for one that says that a body is encoded where none is
// taken, and for a mistake of ours.
func general(op map[string]any, status int) bool {
	return status == http.StatusRequestHeaderFieldsTooLarge || status == http.StatusInternalServerError ||
		status == http.StatusUnsupportedMediaType && op["requestBody"] == nil
}

func (d *Document) answer(name string, c Call) error {
	op := d.operation(name)
	at := d.response(op, name, strconv.Itoa(c.Status))
	if at == "" && general(op, c.Status) {
		at = d.response(op, name, "default")
	}
	if at == "" {
		return errors.New("the status is not documented")
	}
	response := d.at(at)
	for _, h := range []string{"Location", "Retry-After", "WWW-Authenticate", "Idempotent-Replayed"} {
		if c.Header.Get(h) != "" && object(response, "headers", h) == nil {
			return fmt.Errorf("the header %s is not documented", h)
		}
	}
	media, _, err := mime.ParseMediaType(c.Header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("content type: %w", err)
	}
	if object(response, "content", media) == nil {
		return fmt.Errorf("%s is not documented", media)
	}
	return d.fits(at+"/content/"+escape(media), media, c.Body)
}

// response returns where the answer stands that an operation gives with a
// status, or "".
func (d *Document) response(op map[string]any, name, status string) string {
	r := object(op, "responses", status)
	if ref, _ := r["$ref"].(string); ref != "" {
		return strings.TrimPrefix(ref, "#")
	}
	if r == nil {
		return ""
	}
	method, path, _ := strings.Cut(name, " ")
	return "/paths/" + escape(path) + "/" + strings.ToLower(method) + "/responses/" + status
}

// at returns what stands at a JSON pointer.
func (d *Document) at(pointer string) map[string]any {
	names := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i, n := range names {
		names[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(n)
	}
	return object(d.Root, names...)
}

// fits validates a body of some media against the schema at content. Of events
// each datum is a Request; other media are text.
func (d *Document) fits(content, media string, body []byte) error {
	switch {
	case media == "text/event-stream":
		for line := range strings.Lines(string(body)) {
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				if err := d.Validate("/components/schemas/Request", []byte(data)); err != nil {
					return err
				}
			}
		}
		return nil
	case media == "application/json" || strings.HasSuffix(media, "+json"):
		return d.Validate(content+"/schema", body)
	}
	schema, err := d.schema(content + "/schema")
	if err != nil {
		return err
	}
	return schema.Validate(string(body))
}

// Validate compares JSON with the schema at a JSON pointer of the document.
func (d *Document) Validate(pointer string, text []byte) error {
	schema, err := d.schema(pointer)
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(v)
}

func (d *Document) schema(pointer string) (*jsonschema.Schema, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.compiler.Compile(here + "#" + (&url.URL{Fragment: pointer}).EscapedFragment())
}

// asked compares what was accepted with what is documented to be.
func (d *Document) asked(name string, c Call) error {
	op := d.operation(name)
	params, _ := op["parameters"].([]any)
	for given, values := range c.Request.URL.Query() {
		i := slices.IndexFunc(params, func(p any) bool { return object(p)["in"] == "query" && object(p)["name"] == given })
		if i < 0 {
			return fmt.Errorf("the parameter %s is accepted and not documented", given)
		}
		for _, v := range values {
			if err := d.param(name, i, v); err != nil && v != "" { // an empty one is none
				return fmt.Errorf("the parameter %s: %w", given, err)
			}
		}
	}
	body := object(op, "requestBody")
	if len(c.RequestBody) == 0 || body == nil {
		return nil
	}
	media, _, _ := mime.ParseMediaType(cmp.Or(c.Request.Header.Get("Content-Type"), "application/json"))
	if object(body, "content", media) == nil {
		return fmt.Errorf("a body of %s is accepted and not documented", media)
	}
	method, path, _ := strings.Cut(name, " ")
	at := "/paths/" + escape(path) + "/" + strings.ToLower(method) + "/requestBody/content/" + escape(media)
	if err := d.fits(at, media, c.RequestBody); err != nil {
		return fmt.Errorf("the body was accepted: %w", err)
	}
	return nil
}

// param compares one value of a parameter, which is text on the wire and may be a
// number, true or false by its schema.
func (d *Document) param(name string, i int, value string) error {
	method, path, _ := strings.Cut(name, " ")
	schema, err := d.schema(fmt.Sprintf("/paths/%s/%s/parameters/%d/schema", escape(path), strings.ToLower(method), i))
	if err != nil {
		return err
	}
	params, _ := d.operation(name)["parameters"].([]any)
	if object(params[i], "schema")["type"] == "array" {
		values := []any{}
		for _, v := range strings.Split(value, ",") {
			values = append(values, v)
		}
		return schema.Validate(values)
	}
	err = schema.Validate(value)
	if v, asJSON := jsonschema.UnmarshalJSON(strings.NewReader(value)); err != nil && asJSON == nil && schema.Validate(v) == nil {
		return nil
	}
	return err
}
