package main

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// signIn opens a session of the page for each role.
func (w *target) signIn(t *testing.T) {
	t.Helper()
	hidden := regexp.MustCompile(`name="form" value="([^"]+)"`)
	find := func(a answer) string {
		m := hidden.FindStringSubmatch(a.body)
		if m == nil {
			t.Fatalf("%d: no form in %s", a.status, a.body)
		}
		return m[1]
	}
	cookie := func(a answer) string {
		head, _ := http.ParseSetCookie(strings.TrimSpace(regexp.MustCompile(`(?m)^Set-Cookie: (.*)$`).FindStringSubmatch(a.head)[1]))
		return head.Name + "=" + head.Value
	}
	for _, who := range []string{"admin", "approver", "submitter", "auditor"} {
		page := w.ask(t, "GET /console/sign-in", "", "", "")
		form := url.Values{"form": {find(page)}, "token": {w.tokens[who]}, "next": {"/"}}.Encode()
		in := w.ask(t, "POST /console/sign-in", "", asForm+"Cookie: "+cookie(page)+"\r\n", form)
		if in.status != http.StatusSeeOther {
			t.Fatalf("%d: %s", in.status, in.body)
		}
		w.word("{cookie of "+who+"}", cookie(in))
		w.word("{form of "+who+"}", find(w.ask(t, "GET /", "", "Cookie: "+cookie(in)+"\r\n", "")))
		if who == "admin" {
			w.word("{cookie}", cookie(in))
		}
	}
}

const asForm = "Content-Type: application/x-www-form-urlencoded\r\n"

// forgeryAttacks let another's browser act.
func forgeryAttacks() (list []attack) {
	const (
		approve = "POST /console/requests/{waiting}/approve"
		good    = "form={form of approver}&sure=yes&plan_hash={hash}"
		session = asForm + "Cookie: {cookie of approver}\r\n"
	)
	for _, x := range []struct{ name, ask, head, body, want string }{
		{"without the form's token", approve, session, "sure=yes&plan_hash={hash}", "403 page"},
		{"an empty token of a form", approve, session, "form=&sure=yes&plan_hash={hash}", "403 page"},
		{"the form's token of another session", approve, session, "form={form of submitter}&sure=yes&plan_hash={hash}", "403 page"},
		{"an invented token of a form", approve, session, "form={canary}&sure=yes&plan_hash={hash}", "403 page"},
		{"two tokens of a form", approve, session, good + "&form={canary}", "400 page"},
		{"the form's token in the URL", approve + "?form={form of approver}", session, "sure=yes&plan_hash={hash}", "403 page"},
		{"from another origin", approve, session + "Origin: https://{canary}.example\r\n", good, "403 cross_origin"},
		{"from no origin", approve, session + "Origin: null\r\n", good, "403 cross_origin"},
		{"from another port", approve, session + "Origin: http://127.0.0.1:1\r\n", good, "403 cross_origin"},
		{"as a browser tells it", approve, session + "Sec-Fetch-Site: cross-site\r\n", good, "403 cross_origin"},
		{"from a neighbour", approve, session + "Sec-Fetch-Site: same-site\r\n", good, "403 cross_origin"},
		{"as JSON", approve, "Content-Type: application/json\r\nCookie: {cookie of approver}\r\n", `{"form":"{form of approver}"}`, "400 page"},
		{"as plain text", approve, "Content-Type: text/plain\r\nCookie: {cookie of approver}\r\n", good, "400 page"},
		{"as parts of a form", approve, "Content-Type: multipart/form-data; boundary=b\r\nCookie: {cookie of approver}\r\n", good, "400 page"},
		{"by reading", "GET /console/requests/{waiting}/approve?" + good, session, "", "404 page"},
		{"by HEAD", "PUT /console/requests/{waiting}/approve", session, good, "404 page"},
		{"without a session", approve, asForm, good, "401 page"},
		{"with an invented session", approve, asForm + "Cookie: lethe={canary}\r\n", good, "401 page"},
		{"with a token instead of a session", approve, asForm + "Authorization: Bearer {token of approver}\r\n", good, "401 page"},
		{"with a session in the URL", approve + "?lethe={canary}", asForm, good, "401 page"},
		{"with the session of an auditor", approve, asForm + "Cookie: {cookie of auditor}\r\n", "form={form of auditor}&sure=yes&plan_hash={hash}", "403 page"},
		{"with the session of a submitter", approve, asForm + "Cookie: {cookie of submitter}\r\n", "form={form of submitter}&sure=yes&plan_hash={hash}", "403 page"},
		{"what one has filed oneself", "POST /console/requests/{own}/approve", asForm + "Cookie: {cookie of admin}\r\n", "form={form of admin}&sure=yes&plan_hash={own hash}", "403 page"},
		{"a plan that has changed", "POST /console/requests/{stale}/approve", session, "form={form of approver}&sure=yes&plan_hash={stale hash}", "409 page"},
		{"without having looked", approve, session, "form={form of approver}&plan_hash={hash}", "422 page"},
		{"what is not there", "POST /console/requests/{absent}/approve", session, good, "404 page"},
		{"twice", "POST /console/requests/{done}/approve", session, "form={form of approver}&sure=yes&plan_hash={done hash}", "409 page"},
		{"a hash of SQL", approve, session, "form={form of approver}&sure=yes&plan_hash='+OR+1=1+--{canary}", "409 page"},
		{"a reason in words", "POST /console/requests/{waiting}/reject", session, "form={form of approver}&reason=Mr+{canary}+lies", "422 page"},
		{"the end of another's request", "POST /console/requests/{graced}/cancel", asForm + "Cookie: {cookie of approver}\r\n", "form={form of approver}", "403 page"},
		{"a plan that nobody was shown", "POST /console/file", asForm + "Cookie: {cookie of submitter}\r\n", "form={form of submitter}&draft={canary}", "409 page"},
		{"to sign out from elsewhere", "POST /console/sign-out", session + "Origin: https://{canary}.example\r\n", "form={form of approver}", "403 cross_origin"},
		{"to sign in from elsewhere", "POST /console/sign-in", asForm + "Origin: https://{canary}.example\r\n", "token={token of admin}", "403 cross_origin"},
		{"to sign in without its form", "POST /console/sign-in", asForm, "token={token of admin}", "403 page"},
		{"to sign in with what is no token", "POST /console/sign-in", asForm, "token={canary}&form={canary}", "403 page"},
		{"a form of 2 MB", "POST /console/plan", asForm + "Cookie: {cookie of submitter}\r\n", "form={form of submitter}&ids=" + strings.Repeat("a", 2<<20), "413 page"},
		{"the API with the page's session", "POST /v1/requests/{waiting}/approve", "Cookie: {cookie of approver}\r\n", `{"plan_hash":"{hash}"}`, "401 no_token"},
	} {
		list = append(list, attack{name: x.name, ask: x.ask, head: x.head, body: x.body, want: x.want})
	}
	for _, d := range []deed{deeds()[0], deeds()[3], deeds()[8], deeds()[11], deeds()[13]} {
		by := d.may[0]
		list = append(list,
			attack{name: "the API, " + d.name + " from another origin", by: by, ask: d.ask, body: d.body, head: "Origin: https://{canary}.example\r\n", want: "403 cross_origin"},
			attack{name: "the API, " + d.name + " as a browser tells it", by: by, ask: d.ask, body: d.body, head: "Sec-Fetch-Site: cross-site\r\n", want: "403 cross_origin"})
	}
	for _, next := range []string{"https://{canary}.example/", "//{canary}.example", "/%5c{canary}.example", "javascript:{canary}", "/console/log%0d%0aX-{canary}:1", "/console/../{canary}"} {
		list = append(list, attack{name: "to go on to " + strings.ReplaceAll(next, "{canary}", "x"), ask: "GET /console/sign-in?next=" + next, want: "200 page", has: `name="next" value="/"`})
	}
	return list
}

// scripts are tickets that a careless page would run. Somebody files each of them.
func scripts() []string {
	return []string{
		`<script>alert(1)</script>`,
		`"><script src=//x.example></script>`,
		`<img src=x onerror=alert(1)>`,
		`'"><svg/onload=alert(1)>`,
		`<iframe srcdoc="<script>alert(1)</script>">`,
		`</title><script>alert(1)</script>`,
		`</textarea><script>alert(1)</script>`,
		`<a href="javascript:alert(1)">x</a>`,
		`<style>@import'//x.example'</style>`,
		`<base href=//x.example>`,
		`<form action=//x.example><button>x`,
		`<meta http-equiv=refresh content="0;url=//x.example">`,
		`{{constructor.constructor('alert(1)')()}} <b>`,
		`<!--<img src="--><img src=x onerror=alert(1)//">`,
		`" autofocus onfocus=alert(1) x="`,
		`<math><mtext></mtext><script>alert(1)</script></math>`,
		`<x onclick=alert(1) id=main>`,
		`&lt;script&gt;<script>alert(1)</script>`,
	}
}

// scriptAttacks look at pages with such tickets, and send them in forms.
func scriptAttacks() (list []attack) {
	escape := strings.NewReplacer(`+`, `&#43;`)
	for i, text := range scripts() {
		shown := escape.Replace(html.EscapeString(text))
		id := fmt.Sprintf("{script %d}", i)
		list = append(list,
			attack{name: "its page, filed as " + text, ask: "GET /console/requests/" + id, head: "Cookie: {cookie}\r\n", want: "200 page", lacks: text, has: shown},
			attack{
				name: "a form that is refused with " + text, ask: "POST /console/plan", head: asForm + "Cookie: {cookie of submitter}\r\n",
				body: "form={form of submitter}&user_id={canary}%00&store=memories&regime=gdpr&ticket=" + url.QueryEscape(text),
				want: "422 page", lacks: text,
			})
	}
	return append(list, []attack{
		{name: "the list of all of them", ask: "GET /", head: "Cookie: {cookie}\r\n", want: "200 page", lacks: "alert(1)</script>", has: "script-src 'self'"},
		{name: "the ID of a request", ask: "GET /console/requests/%3Cscript%3E{canary}%3C%2Fscript%3E", head: "Cookie: {cookie}\r\n", want: "404 page"},
		{name: "a place that is not there", ask: "GET /console/%3Cscript%3E{canary}%3C%2Fscript%3E", head: "Cookie: {cookie}\r\n", want: "404 page"},
		{name: "a parameter of the list", ask: "GET /?cursor=%22%3E%3Cscript%3E{canary}", head: "Cookie: {cookie}\r\n", want: "422 page"},
		{name: "a filter of the list", ask: "GET /?status=%22%3E%3Cscript%3E{canary}", head: "Cookie: {cookie}\r\n", want: "404 page"},
		{name: "a ground", ask: "POST /console/plan", head: asForm + "Cookie: {cookie of submitter}\r\n", body: "form={form of submitter}&user_id=a&store=memories&regime=gdpr&ground=%22%3E%3Cscript%3E", want: "422 page", lacks: `"><script>`},
		{name: "a regime", ask: "POST /console/plan", head: asForm + "Cookie: {cookie of submitter}\r\n", body: "form={form of submitter}&user_id=a&store=memories&regime={canary}%3Cscript%3E", want: "422 page"},
		{name: "a grace", ask: "POST /console/plan", head: asForm + "Cookie: {cookie of submitter}\r\n", body: "form={form of submitter}&user_id=a&store=memories&regime=gdpr&grace=%22%3E%3Cscript%3E", want: "422 page", lacks: `"><script>`},
		{name: "a store", ask: "POST /console/plan", head: asForm + "Cookie: {cookie of submitter}\r\n", body: "form={form of submitter}&user_id=a&store={canary}%3Cscript%3E&regime=gdpr", want: "422 page"},
		{name: "a name is not shown again", ask: "POST /console/plan", head: asForm + "Cookie: {cookie of submitter}\r\n", body: "form={form of submitter}&user_id={canary}%3Cscript%3E%00&store=memories&regime=gdpr", want: "422 page"},
		{name: "a ticket that turns around", ask: "POST /console/plan", head: asForm + "Cookie: {cookie of submitter}\r\n", body: "form={form of submitter}&user_id=a&store=memories&regime=gdpr&ticket=a%E2%80%AEb", want: "422 page"},
		{name: "a ticket of two lines", ask: "POST /console/plan", head: asForm + "Cookie: {cookie of submitter}\r\n", body: "form={form of submitter}&user_id=a&store=memories&regime=gdpr&ticket=a%0D%0Ab", want: "422 page"},
		{name: "a page in a frame", ask: "GET /", head: "Cookie: {cookie}\r\nSec-Fetch-Dest: iframe\r\n", want: "200 page", has: "frame-ancestors 'none'"},
		{name: "a request as a page", by: "admin", ask: "GET /v1/requests/{script 0}", head: "Accept: text/html\r\n", want: "200", has: "X-Content-Type-Options: nosniff"},
	}...)
}
