package main

import (
	"slices"
	"strings"
)

// A deed is a call that changes something, or shows what is not for all.
type deed struct {
	name, ask, body string
	may             []string
}

func deeds() []deed {
	return []deed{
		{"file a request", fileRequest, `{"selector":{"user_id":"bob"}}`, []string{"submitter", "admin"}},
		{"plan", planRequest, `{"selector":{"user_id":"bob"}}`, []string{"submitter", "admin"}},
		{"cancel", "POST /v1/requests/{graced}/cancel", "", []string{"submitter", "admin"}},
		{"approve", "POST /v1/requests/{waiting}/approve", `{"plan_hash":"{hash}"}`, []string{"approver", "admin"}},
		{"reject", "POST /v1/requests/{waiting}/reject", `{"reason":"not-identified"}`, []string{"approver", "admin"}},
		{"extend", "POST /v1/requests/{graced}/extend", `{"reason":"complexity"}`, []string{"approver", "admin"}},
		{"confirm", "POST /v1/requests/{graced}/confirm", "", []string{"approver", "admin"}},
		{"exempt", "POST /v1/requests/{graced}/exempt", `{"store":"memories","reason":"art17-3-b"}`, []string{"approver", "admin"}},
		{"place a hold", placeHold, `{"selector":{"user_id":"bob"},"reason":"r"}`, []string{"approver", "admin"}},
		{"release a hold", "DELETE /v1/holds/{hold}", "", []string{"approver", "admin"}},
		{"list holds", "GET /v1/holds", "", []string{"approver", "auditor", "admin"}},
		{"make a token", makeToken, `{"name":"n","role":"admin"}`, []string{"admin"}},
		{"list tokens", "GET /v1/tokens", "", []string{"admin"}},
		{"revoke a token", "DELETE /v1/tokens/{id of auditor}", "", []string{"admin"}},
	}
}

// roleAttacks do what is for others to do.
func roleAttacks() (list []attack) {
	for _, d := range deeds() {
		for _, role := range []string{"submitter", "approver", "auditor"} {
			if !slices.Contains(d.may, role) {
				list = append(list, attack{name: d.name + " as " + role, by: role, ask: d.ask, body: d.body, want: "403 forbidden"})
			}
		}
	}
	return list
}

// tokenAttacks come without a token that is good, or with it where it must not be.
func tokenAttacks() (list []attack) {
	for _, d := range deeds() {
		list = append(list, attack{name: d.name + " without one", ask: d.ask, body: d.body, want: "401 no_token", has: "Www-Authenticate: Bearer"})
	}
	for _, who := range []string{"expired", "revoked", "forged"} {
		for _, d := range deeds() {
			if d.name == "file a request" || d.name == "approve" || d.name == "make a token" || d.name == "release a hold" {
				list = append(list, attack{name: d.name + " with one that is " + who, by: who, ask: d.ask, body: d.body, want: "401 no_token"})
			}
		}
	}
	const good = "{token of admin}"
	for _, x := range []struct{ name, head, want string }{
		{"two headers", "Authorization: Bearer " + good + "\r\nAuthorization: Bearer " + good, "401 no_token"},
		{"two headers, one empty", "Authorization:\r\nAuthorization: Bearer " + good, "401 no_token"},
		{"a list", "Authorization: Bearer " + good + ", Bearer " + good, "401 no_token"},
		{"Basic", "Authorization: Basic " + good, "401 no_token"},
		{"no scheme", "Authorization: " + good, "401 no_token"},
		{"two spaces", "Authorization: Bearer  " + good, "401 no_token"},
		{"a tab", "Authorization: Bearer\t" + good, "401 no_token"},
		{"more after it", "Authorization: Bearer " + good + " {canary}", "401 no_token"},
		{"a byte after it", "Authorization: Bearer " + good + "0", "401 no_token"},
		{"without its prefix", "Authorization: Bearer {hex of admin}", "401 no_token"},
		{"in capitals", "Authorization: Bearer {TOKEN}", "401 no_token"},
		{"its ID", "Authorization: Bearer {id of approver}", "401 no_token"},
		{"its hash", "Authorization: Bearer {sha256 of admin}", "401 no_token"},
		{"SQL", "Authorization: Bearer x' OR '1'='1{canary}", "401 no_token"},
		{"NUL", "Authorization: Bearer " + good + "\x00", "400"},
		{"16 KB", "Authorization: Bearer {canary}" + strings.Repeat("a", 15_000), "401 no_token"},
		{"another header", "X-Api-Key: " + good, "401 no_token"},
		{"the proxy's header", "Proxy-Authorization: Bearer " + good, "401 no_token"},
		{"a cookie", "Cookie: token=" + good + "; Authorization=Bearer " + good, "401 no_token"},
		{"the page's cookie", "Cookie: {cookie}", "401 no_token"},
		{"an address that is believed", "X-Forwarded-For: 127.0.0.1", "401 no_token"},
		{"the method of another", "X-Http-Method-Override: GET", "401 no_token"},
		{"the role in a header", "Lethe-Role: admin\r\nX-Remote-User: {canary}", "401 no_token"},
	} {
		list = append(list, attack{name: "to file: " + x.name, ask: fileRequest, head: x.head + "\r\n", body: `{"selector":{"user_id":"bob"}}`, want: x.want, lacks: good})
	}
	for _, x := range []struct{ name, ask, want string }{
		{"access_token", "GET /v1/requests?access_token=" + good, "400 token_in_url"},
		{"token", "GET /v1/requests?token=" + good, "400 token_in_url"},
		{"another case", "GET /v1/requests?Access_Token={canary}", "400 token_in_url"},
		{"another parameter", "GET /v1/requests?status=" + good, "400 token_in_url"},
		{"alone", "GET /v1/requests?" + good, "400 token_in_url"},
		{"of a public page", "GET /log/checkpoint?access_token=" + good, "400 token_in_url"},
		{"in the path", "GET /v1/requests/" + good, "401 no_token"},
		{"before the host", "GET http://" + good + "@{address}/v1/requests", "401 no_token"},
	} {
		list = append(list, attack{name: "in a URL: " + x.name, ask: x.ask, want: x.want, lacks: good})
	}
	return list
}

// foreignAttacks ask for what is another's, by its ID. The answer is, byte for
// byte, that to an ID of nothing.
func foreignAttacks() (list []attack) {
	for _, route := range foreignRoutes() {
		for id, is := range map[string]string{"{waiting}": "that waits", "{graced}": "in its grace", "{done}": "that has ended"} {
			list = append(list, attack{
				name: route[0] + " of another's request " + is, by: "other", ask: strings.ReplaceAll(route[1], "{id}", id), body: route[2], want: "404 not_found",
				same: strings.ReplaceAll(route[1], "{id}", "{absent}"),
			})
		}
	}
	return append(list, attack{name: "the list shows no other's", by: "other", ask: "GET /v1/requests", want: "200", lacks: "{waiting}", has: `"requests":[]`})
}

func foreignRoutes() [][3]string {
	return [][3]string{
		{"the state", "GET /v1/requests/{id}", ""},
		{"the stream", "GET /v1/requests/{id}/events", ""},
		{"the certificate", "GET /v1/requests/{id}/certificate", ""},
		{"the receipt", "GET /v1/requests/{id}/receipt", ""},
		{"the key", "GET /v1/requests/{id}/subject-key", ""},
		{"a memory's proof", "POST /v1/requests/{id}/memory-proof", `{"memory_id":"m"}`},
		{"the end", "POST /v1/requests/{id}/cancel", ""},
	}
}
