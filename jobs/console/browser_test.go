package console_test

import (
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// A browser keeps cookies, and asks as a browser does.
type browser struct {
	t       *testing.T
	h       http.Handler
	cookies map[string]*http.Cookie
	https   bool
	header  http.Header // of the next calls
}

func newBrowser(t *testing.T, h http.Handler) *browser {
	return &browser{t: t, h: h, cookies: map[string]*http.Cookie{}, header: http.Header{"Sec-Fetch-Site": {"same-origin"}}}
}

// An answered is an answer.
type answered struct {
	status int
	header http.Header
	body   string
	doc    *html.Node
}

func (b *browser) send(method, path string, form url.Values) answered {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), method, path, strings.NewReader(form.Encode()))
	maps.Copy(r.Header, b.header)
	if method == http.MethodPost && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if b.https {
		r.TLS = &tls.ConnectionState{}
	}
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	b.h.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if b.cookies[c.Name] = c; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	a := answered{status: w.Code, header: w.Header(), body: w.Body.String()}
	doc, err := html.Parse(strings.NewReader(a.body))
	if err != nil {
		b.t.Fatal(err)
	}
	a.doc = doc
	return a
}

func (b *browser) get(path string) answered { return b.send(http.MethodGet, path, nil) }

// post sends a form with the token that the page at from has.
func (b *browser) post(from, path string, form url.Values) answered {
	b.t.Helper()
	page := b.get(from)
	token := page.value("form")
	if token == "" {
		b.t.Fatalf("%s has no form: %d\n%s", from, page.status, page.body)
	}
	sent := url.Values{"form": {token}}
	maps.Copy(sent, form)
	return b.send(http.MethodPost, path, sent)
}

func (b *browser) signIn(token string) answered {
	return b.post("/console/sign-in", "/console/sign-in", url.Values{"token": {token}})
}

// session returns the value of the session's cookie, "" for none.
func (b *browser) session() string {
	for _, name := range []string{"lethe", "__Host-lethe"} {
		if c := b.cookies[name]; c != nil {
			return c.Value
		}
	}
	return ""
}

// value returns the value of the first input of that name.
func (a answered) value(name string) string {
	for n := range a.doc.Descendants() {
		if n.Data == "input" && attr(n, "name") == name {
			return attr(n, "value")
		}
	}
	return ""
}

// text returns the words of the page's main part.
func (a answered) text() string {
	var words []string
	for n := range a.doc.Descendants() {
		if n.Type == html.TextNode && !slices.Contains([]string{"style", "script"}, n.Parent.Data) {
			words = append(words, strings.Fields(n.Data)...)
		}
	}
	return strings.Join(words, " ")
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// faults returns what is wrong with a page as HTML, for everybody to use and
// under a strict Content-Security-Policy.
func (a answered) faults() []string {
	faults := unbalanced(a.body)
	ids, count := map[string]bool{}, map[string]int{}
	say := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for n := range a.doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		count[n.Data]++
		for _, at := range n.Attr {
			switch {
			case at.Key == "style" || strings.HasPrefix(at.Key, "on"):
				say("<%s> has %s inline", n.Data, at.Key)
			case at.Key == "id" && ids[at.Val]:
				say("the ID %q is used twice", at.Val)
			case slices.Contains([]string{"href", "src", "action"}, at.Key) && !strings.HasPrefix(at.Val, "/") && !strings.HasPrefix(at.Val, "#"):
				say("<%s> goes elsewhere: %s", n.Data, at.Val)
			}
		}
		ids[attr(n, "id")] = attr(n, "id") != ""
		switch n.Data {
		case "input", "select", "textarea", "progress":
			if attr(n, "type") != "hidden" && attr(n, "aria-label") == "" && !labelled(n) {
				say("<%s name=%q> has no label", n.Data, attr(n, "name"))
			}
			if (n.Data == "textarea" || n.Data == "input" && (attr(n, "type") == "" || attr(n, "type") == "password")) && attr(n, "autocomplete") != "off" {
				say("<%s name=%q> may be completed by the browser", n.Data, attr(n, "name"))
			}
		case "script":
			if n.FirstChild != nil || attr(n, "type") != "module" {
				say("a script is inline")
			}
		case "style", "iframe", "object", "embed", "base":
			say("there is a <%s>", n.Data)
		case "form":
			if m := attr(n, "method"); m != "post" && attr(n, "action") != "/" {
				say("a form is sent by %q", m)
			}
		}
	}
	for _, want := range []string{"h1", "title", "main"} {
		if count[want] != 1 {
			say("there are %d <%s>", count[want], want)
		}
	}
	return faults
}

func labelled(n *html.Node) bool {
	for p := range n.Ancestors() {
		if p.Data == "label" {
			return true
		}
	}
	return false
}

// unbalanced returns tags that are not closed, or closed without being opened:
// the parser would mend them.
func unbalanced(body string) (faults []string) {
	void := []string{"meta", "link", "input", "br"}
	var open []string
	z := html.NewTokenizer(strings.NewReader(body))
	for {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			for _, name := range open {
				faults = append(faults, "<"+name+"> is not closed")
			}
			return faults
		case html.StartTagToken, html.EndTagToken:
			raw, _ := z.TagName()
			name := string(raw)
			switch {
			case slices.Contains(void, name):
			case kind == html.StartTagToken:
				open = append(open, name)
			case len(open) == 0 || open[len(open)-1] != name:
				return append(faults, "</"+name+"> closes "+strings.Join(open[max(0, len(open)-1):], ""))
			default:
				open = open[:len(open)-1]
			}
		}
	}
}
