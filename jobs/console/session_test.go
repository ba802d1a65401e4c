package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lethe/jobs"
)

func TestNobodyGetsInWithoutSigningIn(t *testing.T) {
	h := newHouse()
	c := h.page(true)
	for _, path := range []string{"/", "/console/new", "/console/requests/" + openID, "/console/requests/" + endedID + "/certificate", "/console/holds", "/console/log"} {
		a := newBrowser(t, c).get(path)
		if to := a.header.Get("Location"); a.status != http.StatusSeeOther || !strings.HasPrefix(to, "/console/sign-in") {
			t.Errorf("%s: %d to %s", path, a.status, to)
		}
	}
	for _, path := range []string{"/console/plan", "/console/file", "/console/requests/" + openID + "/cancel", "/console/requests/" + askedID + "/approve", "/console/holds", "/console/sign-out"} {
		if a := newBrowser(t, c).send("POST", path, person(nil)); a.status != http.StatusUnauthorized {
			t.Errorf("POST %s: %d", path, a.status)
		}
	}
	if a := newBrowser(t, c).get("/console/requests/" + openID + "/events"); a.status != http.StatusUnauthorized {
		t.Errorf("events: %d", a.status)
	}
	for _, token := range []string{"", " ", "token-nobody", strings.Repeat("x", 600)} {
		b := newBrowser(t, c)
		if a := b.signIn(token); a.status != http.StatusUnauthorized || b.session() != "" || strings.Contains(a.body, "token-nobody") {
			t.Errorf("%.20q: %d, session %q", token, a.status, b.session())
		}
	}
	if len(h.done()) > 0 || strings.Contains(h.log.String(), "token-") {
		t.Errorf("%q\n%s", h.done(), h.log.String())
	}
}

func TestSigningInLeadsToWhereOneWasGoing(t *testing.T) {
	c := newHouse().page(true)
	b := newBrowser(t, c)
	to := b.get("/console/requests/" + openID).header.Get("Location")
	a := b.post(to, "/console/sign-in", url.Values{"token": {"token-abe"}, "next": {b.get(to).value("next")}})
	if got := a.header.Get("Location"); got != "/console/requests/"+openID {
		t.Errorf("to %s", got)
	}
	for _, next := range []string{"https://elsewhere.example/", "//elsewhere.example", "/console/requests/../../x", "/console/sign-out", "javascript:1", "/console/log\r\nX: y"} {
		a := newBrowser(t, c).post("/console/sign-in", "/console/sign-in", url.Values{"token": {"token-abe"}, "next": {next}})
		if got := a.header.Get("Location"); got != "/" {
			t.Errorf("%q leads to %s", next, got)
		}
	}
}

func TestASessionCannotBeFixed(t *testing.T) {
	h := newHouse()
	c := h.page(true)
	attacker := signedIn(t, c, "token-eve")
	planted := attacker.session()
	victim := newBrowser(t, c)
	for _, fixed := range []string{planted, "chosen-by-the-attacker"} {
		victim.cookies["lethe"] = &http.Cookie{Name: "lethe", Value: fixed}
		if a := victim.signIn("token-abe"); a.status != http.StatusSeeOther {
			t.Fatalf("sign in: %d", a.status)
		}
		if victim.session() == fixed {
			t.Error("the session that was planted is the victim's now")
		}
		attacker.cookies["lethe"] = &http.Cookie{Name: "lethe", Value: fixed}
		if a := attacker.get("/console/holds"); a.status != http.StatusSeeOther {
			t.Errorf("who planted it sees %d", a.status)
		}
	}
	first := victim.session()
	victim.signIn("token-abe")
	if victim.session() == first {
		t.Error("signing in again keeps the session's ID")
	}
}

func TestASessionEndsWithItsTokenAndByLeaving(t *testing.T) {
	h := newHouse()
	c := h.page(true)
	b := signedIn(t, c, "token-abe")
	kept := b.session()
	if a := b.post("/", "/console/sign-out", nil); a.status != http.StatusSeeOther || b.session() != "" {
		t.Errorf("sign out: %d, %q", a.status, b.session())
	}
	b.cookies["lethe"] = &http.Cookie{Name: "lethe", Value: kept}
	if a := b.get("/"); a.status != http.StatusSeeOther {
		t.Errorf("after signing out: %d", a.status)
	}
	b = signedIn(t, c, "token-abe")
	kept = b.session()
	h.revoke("token-abe")
	if a := b.get("/"); a.status != http.StatusSeeOther || b.session() != "" {
		t.Errorf("with a revoked token: %d, %q", a.status, b.session())
	}
	h.people["token-abe"] = tokens()["token-abe"]
	b.cookies["lethe"] = &http.Cookie{Name: "lethe", Value: kept}
	if a := b.get("/"); a.status != http.StatusSeeOther {
		t.Errorf("a session that ended came back: %d", a.status)
	}
	b = signedIn(t, c, "token-una")
	h.people["token-una"] = jobs.Actor{ID: "tok-una", Role: jobs.RoleSubmitter}
	if a := b.get("/console/holds"); a.status != http.StatusForbidden {
		t.Errorf("a role that was taken away: %d", a.status)
	}
}

func TestASessionEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newHouse().page(true)
		b := signedIn(t, c, "token-abe")
		for range 2 {
			time.Sleep(29 * time.Minute)
			if a := b.get("/"); a.status != http.StatusOK {
				t.Fatalf("after 29 idle minutes: %d", a.status)
			}
		}
		time.Sleep(31 * time.Minute)
		if a := b.get("/"); a.status != http.StatusSeeOther {
			t.Errorf("after 31 idle minutes: %d", a.status)
		}
		b = signedIn(t, c, "token-abe")
		for range 24 {
			time.Sleep(19 * time.Minute)
			b.get("/")
		}
		if a := b.get("/"); a.status != http.StatusOK {
			t.Fatalf("after 7.6 hours: %d", a.status)
		}
		time.Sleep(25 * time.Minute)
		if a := b.get("/"); a.status != http.StatusSeeOther {
			t.Errorf("after 8 hours: %d", a.status)
		}
		b = signedIn(t, c, "token-abe")
		for range 4 {
			time.Sleep(10 * time.Minute)
			b.header.Set("Lethe-Live", "1")
			b.get("/console/requests/" + openID)
			b.header.Del("Lethe-Live")
		}
		if a := b.get("/"); a.status != http.StatusSeeOther {
			t.Errorf("a page that only keeps itself up to date kept the session: %d", a.status)
		}
	})
}

func TestFormsOfOthersAreRefused(t *testing.T) {
	h := newHouse()
	c := h.page(true)
	path := "/console/requests/" + openID + "/cancel"
	sam, eve := signedIn(t, c, "token-sam"), signedIn(t, c, "token-eve")
	own := sam.get("/").value("form")
	for name, form := range map[string]url.Values{
		"no token": {}, "an empty token": {"form": {""}}, "another's": {"form": {eve.get("/").value("form")}}, "two": {"form": {own, own}},
		"that of the sign-in page": {"form": {newBrowser(t, c).get("/console/sign-in").value("form")}},
	} {
		if a := sam.send("POST", path, form); a.status != 403 && a.status != 400 {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	good := url.Values{"form": {own}}
	for name, header := range map[string]http.Header{
		"cross-site": {"Sec-Fetch-Site": {"cross-site"}}, "same-site": {"Sec-Fetch-Site": {"same-site"}}, "another origin": {"Origin": {"https://elsewhere.example"}},
		"multipart": {"Content-Type": {"multipart/form-data; boundary=x"}}, "text": {"Content-Type": {"text/plain"}}, "JSON": {"Content-Type": {"application/json"}},
	} {
		sam.header = header
		if a := sam.send("POST", path, good); a.status != 403 && a.status != 400 {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	sam.header = http.Header{"Sec-Fetch-Site": {"same-origin"}}
	if a := sam.send("POST", path+"?form="+own, url.Values{}); a.status != http.StatusForbidden {
		t.Errorf("the token in the URL: %d", a.status)
	}
	if a := sam.send("GET", path, nil); a.status < 400 {
		t.Errorf("by GET: %d", a.status)
	}
	big := url.Values{"form": {own}, "ids": {strings.Repeat("x", 2<<20)}}
	if a := sam.send("POST", path, big); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("2 MiB: %d", a.status)
	}
	cookieless := newBrowser(t, c)
	if a := cookieless.send("POST", "/console/sign-in", url.Values{"form": {cookieless.get("/console/sign-in").value("form")}, "token": {"token-sam"}}); a.status != 303 {
		t.Errorf("sign in: %d", a.status)
	}
	delete(cookieless.cookies, "lethe-form")
	if a := cookieless.send("POST", "/console/sign-in", url.Values{"form": {"x"}, "token": {"token-sam"}}); a.status != 403 {
		t.Errorf("sign in with a made-up form: %d", a.status)
	}
	if len(h.done()) > 0 {
		t.Errorf("something was done: %q", h.done())
	}
	if a := sam.send("POST", path, good); a.status != 303 || len(h.done()) != 1 {
		t.Errorf("the own form: %d, %q", a.status, h.done())
	}
}

func TestCookiesSayNoMoreThanTheyMust(t *testing.T) {
	c := newHouse().page(true)
	for _, https := range []bool{false, true} {
		b := newBrowser(t, c)
		b.https = https
		b.signIn("token-abe")
		name := "lethe"
		if https {
			name = "__Host-lethe"
		}
		k := b.cookies[name]
		if k == nil || !k.HttpOnly || k.Secure != https || k.SameSite != http.SameSiteStrictMode || k.Path != "/" || k.Domain != "" || k.MaxAge != 0 || !k.Expires.IsZero() {
			t.Errorf("https %v: %+v", https, b.cookies)
		} else if strings.Contains(k.Value, "abe") || len(k.Value) < 40 {
			t.Errorf("value %q", k.Value)
		}
	}
}

func TestALinkFromElsewhereFindsTheSession(t *testing.T) {
	c := newHouse().page(true)
	b := newBrowser(t, c) // a browser keeps a Strict cookie back
	b.header.Set("Sec-Fetch-Site", "cross-site")
	a := b.get("/console/requests/" + openID)
	if a.status != http.StatusOK || !strings.Contains(a.body, `content="0;url=/console/requests/`+openID+`"`) || strings.Contains(a.body, "PRIV-1") {
		t.Errorf("%d\n%s", a.status, a.body)
	}
	b.header.Set("Sec-Fetch-Site", "same-origin")
	if a := b.get("/console/requests/" + openID); a.status != http.StatusSeeOther {
		t.Errorf("without a session: %d", a.status)
	}
}
