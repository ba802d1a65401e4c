package console_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lethe/jobs"
	"lethe/jobs/console"
)

// person is a form that selects somebody.
func person(more url.Values) url.Values {
	form := url.Values{"user_id": {canary}, "store": {"assistant"}, "regime": {"gdpr"}}
	for name, v := range more {
		form[name] = v
	}
	return form
}

// canary is an identity, which must never come back.
const canary = "canary-nora@example.org"

func pagesOf(t *testing.T) map[string]answered {
	h := newHouse()
	c := h.page(true)
	ada := signedIn(t, c, "token-ada")
	all := map[string]answered{"sign-in": newBrowser(t, c).get("/console/sign-in"), "wrong token": newBrowser(t, c).signIn("token-nobody")}
	for _, path := range []string{"/", "/?status=ended", "/?status=held", "/?cursor=x", "/console/new", "/console/requests/" + openID, "/console/requests/" + askedID, "/console/requests/" + endedID, "/console/holds", "/console/log", "/nowhere"} {
		all[path] = ada.get(path)
	}
	all["plan"] = ada.post("/console/new", "/console/plan", person(nil))
	all["refused form"] = ada.post("/console/new", "/console/plan", person(url.Values{"grace": {"soon"}}))
	all["refused hold"] = ada.post("/console/holds", "/console/holds", url.Values{"user_id": {canary}, "reason": {"No Code"}})
	h.plan, h.held, h.requests = jobs.Plan{Stores: []jobs.StorePlan{{Store: "assistant"}}}, nil, nil
	all["empty plan"], all["no holds"], all["no requests"] = ada.post("/console/new", "/console/plan", person(nil)), ada.get("/console/holds"), ada.get("/")
	all["open"] = newBrowser(t, h.page(false)).get("/")
	elsewhere := newBrowser(t, c)
	elsewhere.header.Set("Sec-Fetch-Site", "cross-site")
	all["onward"] = elsewhere.get("/console/log")
	return all
}

func TestEveryPageIsWellFormedAndEveryInputIsLabelled(t *testing.T) {
	for name, page := range pagesOf(t) {
		for _, f := range page.faults() {
			t.Errorf("%s: %s", name, f)
		}
		if page.status == http.StatusServiceUnavailable {
			t.Errorf("%s: %s", name, page.text())
		}
	}
	broken := newBrowser(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<main><title>a</title><h1>x</h1><form method=get action=/x><input name=a><p style="x"></form><script>1</script><a href="https://elsewhere">x</a></main>`)
	})).get("/")
	if n := len(broken.faults()); n < 7 {
		t.Errorf("of a broken page: %q", broken.faults())
	}
}

func TestEveryAnswerHasTheHeadersThatKeepItSafe(t *testing.T) {
	b := newBrowser(t, newHouse().page(false))
	for _, path := range []string{"/", "/console/new", "/console/assets/console.js", "/console/assets/console.css", "/console/assets/icon.svg", "/console/assets/x", "/console/requests/" + endedID + "/certificate", "/nowhere"} {
		a := b.get(path)
		csp := a.header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(csp, want) || strings.Contains(csp, "unsafe") {
				t.Errorf("%s: Content-Security-Policy: %s, want %s", path, csp, want)
			}
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin"} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s: %q, want %q", path, name, got, want)
			}
		}
	}
	if got := b.get("/").header.Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("page: %s", got)
	}
	if got := b.get("/console/assets/console.js").header.Get("Content-Type"); got != "text/javascript; charset=utf-8" {
		t.Errorf("script: %s", got)
	}
}

func TestTextFromOutsideIsNeverMarkup(t *testing.T) {
	for _, evil := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `</title><svg onload=alert(1)>`,
		`javascript:alert(1)`, "`${alert(1)}`", `{{.Form}}`, `<!--`, `]]><b>`, `&lt;i&gt;`, "\u2028<b>", `</textarea><b>`, `</script><b>`, `x" autofocus onfocus="alert(1)`,
	} {
		h := newHouse()
		for i := range h.requests {
			r := &h.requests[i]
			r.Ticket, r.Regime, r.Ground, r.Origin, r.PlanHash = evil, evil, evil, evil, evil
			j := &r.Jobs[0]
			j.Store, j.Kind, j.Note, j.Places = evil, evil, evil, []jobs.PlaceCount{{Place: evil, With: evil}}
		}
		h.held[0].Reason, h.held[0].By, h.held[0].State = evil, evil, evil
		h.plan.Stores[0].Store, h.plan.Stores[0].Places[0].Place, h.plan.Stores[0].Places[1].With = evil, evil, evil
		b := newBrowser(t, h.page(false, func(o *console.Options) {
			o.Stores, o.Regimes, o.Version = []string{evil}, []string{"gdpr", evil}, evil
			o.PublicKey = func() string { return evil }
		}))
		form := person(url.Values{"ticket": {evil}, "store": {evil}})
		bad := person(url.Values{"ticket": {evil}, "ground": {evil}, "grace": {evil}, "received": {evil}, "store": {evil}})
		for name, page := range map[string]answered{
			"list": b.get("/"), "one": b.get("/console/requests/" + askedID), "new": b.get("/console/new"), "holds": b.get("/console/holds"), "log": b.get("/console/log"),
			"plan": b.post("/console/new", "/console/plan", form), "refused": b.post("/console/new", "/console/plan", bad),
			"refused hold": b.post("/console/holds", "/console/holds", url.Values{"reason": {evil}, "until": {evil}}),
			"filter":       b.get("/?status=" + url.QueryEscape(evil)), "cursor": b.get("/?cursor=" + url.QueryEscape(evil)),
			"next": newBrowser(t, h.page(true)).get("/console/sign-in?next=" + url.QueryEscape(evil)),
		} {
			if faults := page.faults(); len(faults) > 0 {
				t.Errorf("%s with %q: %q", name, evil, faults)
			}
			for n := range page.doc.Descendants() {
				if slices.Contains([]string{"img", "svg", "b", "i"}, n.Data) {
					t.Errorf("%s: %q became an element", name, evil)
				}
			}
		}
	}
}

func TestRolesGetWhatTheyMay(t *testing.T) {
	h := newHouse()
	c := h.page(true)
	one := "/console/requests/" + askedID
	const yes, no, none = http.StatusOK, http.StatusForbidden, http.StatusNotFound
	const done, bad = http.StatusSeeOther, http.StatusUnprocessableEntity
	who := []string{"token-sam", "token-eve", "token-abe", "token-una", "token-ada"} // submitter, another one, approver, auditor, admin
	for _, tt := range []struct {
		method, path string
		form         url.Values
		want         [5]int
	}{
		{"GET", "/", nil, [5]int{yes, yes, yes, yes, yes}},
		{"GET", "/console/log", nil, [5]int{yes, yes, yes, yes, yes}},
		{"GET", one, nil, [5]int{yes, none, yes, yes, yes}},
		{"GET", one + "/receipt", nil, [5]int{yes, none, yes, yes, yes}},
		{"GET", "/console/requests/" + endedID + "/certificate", nil, [5]int{none, none, yes, yes, yes}},
		{"GET", "/console/new", nil, [5]int{yes, yes, no, no, yes}},
		{"POST", "/console/plan", person(nil), [5]int{yes, yes, no, no, yes}},
		{"POST", "/console/file", url.Values{"draft": {"x"}}, [5]int{409, 409, no, no, 409}},
		{"POST", one + "/cancel", nil, [5]int{done, none, no, no, done}},
		{"POST", one + "/approve", url.Values{"sure": {"yes"}, "plan_hash": {"sha256:plan-of-2"}}, [5]int{no, no, done, no, done}},
		{"POST", one + "/approve", url.Values{"sure": {"yes"}, "plan_hash": {"another"}}, [5]int{no, no, 409, no, 409}},
		{"POST", one + "/approve", url.Values{"plan_hash": {"sha256:plan-of-2"}}, [5]int{no, no, bad, no, bad}},
		{"POST", one + "/reject", url.Values{"reason": {"art17-3-b"}}, [5]int{no, no, done, no, done}},
		{"POST", one + "/reject", url.Values{"reason": {"Because."}}, [5]int{no, no, bad, no, bad}},
		{"POST", "/console/requests/" + endedID + "/approve", url.Values{"sure": {"yes"}}, [5]int{no, no, done, no, no}}, // ada's own
		{"GET", "/console/holds", nil, [5]int{no, no, yes, yes, yes}},
		{"POST", "/console/holds", url.Values{"user_id": {canary}, "reason": {"litigation"}}, [5]int{no, no, done, no, done}},
		{"POST", "/console/holds/" + holdID + "/release", url.Values{"reason": {"settled"}}, [5]int{no, no, done, no, done}},
	} {
		for i, token := range who {
			b := signedIn(t, c, token)
			before := len(h.done())
			form := url.Values{"form": {b.get("/").value("form")}}
			for name, v := range tt.form {
				form[name] = v
			}
			a := b.send(tt.method, tt.path, form)
			if a.status != tt.want[i] {
				t.Errorf("%s %s %v as %s: %d, want %d", tt.method, tt.path, tt.form, token, a.status, tt.want[i])
			}
			if changed := len(h.done()) > before; changed != (tt.want[i] == done) {
				t.Errorf("%s %s as %s: changed something: %v, with %d", tt.method, tt.path, token, changed, a.status)
			}
		}
	}
}

func TestButtonsAreThereForWhoMayPressThem(t *testing.T) {
	h := newHouse()
	c := h.page(true)
	for token, want := range map[string][3]bool{ // cancel, approve, reject
		"token-sam": {true, false, false}, "token-abe": {false, true, true}, "token-una": {}, "token-ada": {true, true, true},
	} {
		body := signedIn(t, c, token).get("/console/requests/" + askedID).body
		got := [3]bool{strings.Contains(body, "/cancel\""), strings.Contains(body, "/approve\""), strings.Contains(body, "/reject\"")}
		if got != want {
			t.Errorf("%s: %v, want %v", token, got, want)
		}
	}
	h.set(askedID, func(r *jobs.Request) { r.FiledBy = "tok-ada" })
	page := signedIn(t, c, "token-ada").get("/console/requests/" + askedID)
	if strings.Contains(page.body, "/approve\"") || !strings.Contains(page.text(), "somebody else has to approve it") {
		t.Errorf("of an own request: %s", page.text())
	}
	bare := newBrowser(t, h.page(false, func(o *console.Options) { o.Decider, o.Holds = nil, nil }))
	if page := bare.get("/console/requests/" + askedID); strings.Contains(page.body, "/approve\"") || strings.Contains(page.body, "/console/holds") {
		t.Error("there are buttons for what there is not")
	}
	if a := bare.get("/console/holds"); a.status != http.StatusNotFound {
		t.Errorf("holds without holds: %d", a.status)
	}
}

func TestPagesSayInPlainWordsHowThingsAre(t *testing.T) {
	h := newHouse()
	b := newBrowser(t, h.page(false))
	list := b.get("/").text()
	for _, want := range []string{"overdue by 2 days", "in 3 days", "1,005 of 4,000", "UTC", "This service is open."} {
		if !strings.Contains(list, want) {
			t.Errorf("the list does not say %q: %s", want, list)
		}
	}
	if strings.Index(list, "overdue by") > strings.Index(list, "in 3 days") {
		t.Error("the nearest deadline is not first")
	}
	one := b.get("/console/requests/" + openID).text()
	for _, want := range []string{"Lethe is erasing", "The store is busy", "GDPR Art. 17(1)(b): consent withdrawn", "hmac-sha256:commitment", "1,000 erased, 5 held", "memories 4,000", "lethe-verify"} {
		if !strings.Contains(one, want) {
			t.Errorf("the request does not say %q: %s", want, one)
		}
	}
	asked := b.get("/console/requests/" + askedID).text()
	for _, want := range []string{"A second person has to look", "4,000 of the 9,000 rows that memories of store assistant has", "nobody is a second person", "sha256:plan-of-2", "tok-sam"} {
		if !strings.Contains(asked, want) {
			t.Errorf("the request that waits does not say %q: %s", want, asked)
		}
	}
	if a := b.get("/console/log").text(); !strings.Contains(a, "lethe-verify FILE --key 'log.example+1+key'") || !strings.Contains(a, "log.example 7 root") {
		t.Errorf("log: %s", a)
	}
	a := b.get("/console/requests/" + endedID + "/certificate")
	if a.body != "certificate of "+endedID || !strings.Contains(a.header.Get("Content-Disposition"), endedID+".tlog-proof") || a.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("certificate: %q %v", a.body, a.header)
	}
	if a := b.get("/console/requests/" + openID + "/certificate"); a.status != http.StatusConflict {
		t.Errorf("certificate of an open request: %d", a.status)
	}
	h.requests = nil
	if a := b.get("/").text(); !strings.Contains(a, "No request is open.") || !strings.Contains(a, "lethe submit") {
		t.Errorf("empty list: %s", a)
	}
}

func TestAHoldThatIsNotInForceYetIsSaidToBe(t *testing.T) {
	h := newHouse()
	b := newBrowser(t, h.page(false))
	h.placing = true
	hold := url.Values{"user_id": {canary}, "reason": {"litigation"}, "until": {"2999-01-01T00:00"}}
	if a := b.post("/console/holds", "/console/holds", hold); a.status != http.StatusSeeOther || !strings.Contains(b.get("/console/holds").text(), "is being placed") {
		t.Errorf("placed: %d", a.status)
	}
	if a := b.post("/console/holds", "/console/holds/"+holdID+"/release", url.Values{"reason": {"settled"}}); a.status != http.StatusConflict || !strings.Contains(a.text(), "is being placed") {
		t.Errorf("released: %d %s", a.status, a.text())
	}
	hold.Set("until", "2001-01-01T00:00")
	if a := b.post("/console/holds", "/console/holds", hold); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.text(), "until must be in the future") {
		t.Errorf("a hold that has ended already: %d %s", a.status, a.text())
	}
}

func TestABookThatDoesNotAnswerIsSaidSoWithoutItsWords(t *testing.T) {
	h := newHouse()
	b := newBrowser(t, h.page(false))
	h.fail = errors.New("dial postgres://secret@host")
	for _, path := range []string{"/", "/console/requests/" + openID, "/console/holds"} {
		if a := b.get(path); a.status != http.StatusServiceUnavailable || strings.Contains(a.body, "secret") || len(a.faults()) > 0 {
			t.Errorf("%s: %d %s", path, a.status, a.text())
		}
	}
	h.fail = &jobs.StoreDown{Store: "assistant", Err: errors.New("secret")}
	h.set(openID, func(*jobs.Request) {})
	if a := b.get("/"); !strings.Contains(a.text(), "Store assistant is down") || strings.Contains(a.body, "secret") {
		t.Errorf("store down: %s", a.text())
	}
}

func TestLookBeforeYouErase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		c := h.page(true)
		sam := signedIn(t, c, "token-sam")
		full := url.Values{
			"agent_id": {"bot"}, "metadata": {"tier=3\nname=\"x\"\nvip=true\n"}, "ticket": {"PRIV-77"}, "ground": {"art17-1-a"}, "grace": {"3d"},
			"received": {"2000-01-01T09:30"}, "store": {"assistant", "app"},
		}
		plan := sam.post("/console/new", "/console/plan", person(full))
		if plan.status != 200 || !strings.Contains(plan.text(), "1,234 memories in 1 store") || !strings.Contains(plan.text(), "user_id of 23 characters") {
			t.Fatalf("plan: %d %s", plan.status, plan.text())
		}
		s := h.planned[0]
		if s.Selector.UserID != canary || s.Selector.AgentID != "bot" || s.Selector.Metadata["tier"].Literal() != "3" || s.Selector.Metadata["name"].Literal() != "x" ||
			s.Grace != 72*time.Hour || s.ReceivedAt.Format(time.RFC3339) != "2000-01-01T09:30:00Z" || s.Ticket != "PRIV-77" || s.Ground != "art17-1-a" ||
			!slices.Equal(s.Stores, []string{"assistant", "app"}) || s.By.ID != "tok-sam" || s.Origin != jobs.OriginConsole {
			t.Errorf("planned: %+v", s)
		}
		if len(h.done()) > 0 {
			t.Errorf("a plan did %q", h.done())
		}
		file := url.Values{"form": {plan.value("form")}, "draft": {plan.value("draft")}}
		if a := sam.send("POST", "/console/file", file); a.status != 422 {
			t.Errorf("filed without being sure: %d", a.status)
		}
		file.Set("sure", "yes")
		eve := signedIn(t, c, "token-eve")
		if a := eve.post("/console/new", "/console/file", url.Values{"draft": file["draft"], "sure": {"yes"}}); a.status != 409 {
			t.Errorf("another's draft: %d", a.status)
		}
		a := sam.send("POST", "/console/file", file)
		if a.status != 303 || len(h.done()) != 1 || strings.Contains(a.header.Get("Location"), "canary") {
			t.Fatalf("filed: %d, %q", a.status, h.done())
		}
		if page := sam.get(a.header.Get("Location")); !strings.Contains(page.text(), "PRIV-77") || !strings.Contains(page.text(), "The request was filed.") {
			t.Errorf("filed: %s", page.text())
		}
		if a := sam.send("POST", "/console/file", file); a.status != 409 || len(h.done()) != 1 {
			t.Errorf("filed again: %d, %q", a.status, h.done())
		}
		plan = sam.post("/console/new", "/console/plan", person(nil))
		time.Sleep(16 * time.Minute)
		late := url.Values{"form": {plan.value("form")}, "draft": {plan.value("draft")}, "sure": {"yes"}}
		if a := sam.send("POST", "/console/file", late); a.status != 409 || len(h.done()) != 1 {
			t.Errorf("filed a plan of 16 minutes ago: %d, %q", a.status, h.done())
		}
	})
}

func TestWhatWasTypedIsNeverSentBack(t *testing.T) {
	h := newHouse()
	b := newBrowser(t, h.page(false))
	var sent []answered
	who := url.Values{"user_id": {canary}, "agent_id": {canary + "2"}, "app_id": {canary}, "run_id": {canary}, "metadata": {"email=" + canary}, "store": {"assistant"}, "regime": {"gdpr"}}
	plan := b.post("/console/new", "/console/plan", who)
	sent = append(sent, plan)
	a := b.send("POST", "/console/file", url.Values{"form": {plan.value("form")}, "draft": {plan.value("draft")}, "sure": {"yes"}})
	if a.status != http.StatusSeeOther {
		t.Fatalf("filed: %d", a.status)
	}
	sent = append(sent, a, b.get(a.header.Get("Location")), b.get("/"))
	for _, wrong := range []url.Values{
		{"grace": {"soon"}},
		{"metadata": {canary}},
		{"metadata": {canary + "=1\n" + canary + "=2"}},
		{"ids": {canary}},
		{"user_id": {canary + strings.Repeat("x", 600)}},
		{"user_id": {canary + "\x00"}},
		{"regime": {canary}},
		{"store": {canary}},
	} {
		page := b.post("/console/new", "/console/plan", person(wrong))
		if page.status != http.StatusUnprocessableEntity {
			t.Errorf("%v: %d", wrong, page.status)
		}
		sent = append(sent, page)
	}
	sent = append(sent, b.post("/console/holds", "/console/holds", url.Values{"user_id": {canary}, "reason": {"NO"}}), b.get("/console/holds"))
	h.fail = errors.New("ledger away")
	sent = append(sent, b.send("POST", "/console/plan", url.Values{"form": {plan.value("form")}, "user_id": {canary}, "store": {"assistant"}, "regime": {"gdpr"}}))
	for i, a := range sent {
		if strings.Contains(a.body+fmt.Sprint(a.header), "canary") {
			t.Errorf("answer %d has what was typed:\n%s", i, a.body)
		}
	}
	if strings.Contains(h.log.String(), "canary") {
		t.Errorf("the log has what was typed: %s", h.log.String())
	}
}
