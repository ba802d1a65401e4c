package main

import (
	"fmt"
	"strings"
)

// Bodies of a request, a hold, a token and an exemption, with a hole.
const (
	fileRequest = "POST /v1/requests"
	planRequest = "POST /v1/plans"
	placeHold   = "POST /v1/holds"
	makeToken   = "POST /v1/tokens"
)

// fieldAttacks puts what would be an instruction elsewhere into each field.
func fieldAttacks() []attack {
	list := append(refusedSelectors(), literalSelectors()...)
	list = append(list, requestFields()...)
	return append(list, otherFields()...)
}

// selectorOf is a selector with a JSON value in one field.
func selectorOf(field, value string) string {
	switch field {
	case "ids":
		return `{"selector":{"ids":["good",` + value + `]}}`
	case "metadata key":
		return `{"selector":{"metadata":{` + value + `:1}}}`
	case "metadata value":
		return `{"selector":{"metadata":{"tier":` + value + `}}}`
	}
	return `{"selector":{"` + field + `":` + value + `}}`
}

// refusedSelectors can identify nobody, in any field.
func refusedSelectors() (list []attack) {
	for _, field := range []string{"user_id", "agent_id", "app_id", "run_id", "ids", "metadata key"} {
		for _, v := range []struct{ name, value, want string }{
			{"CRLF and a header", `"{canary}\r\nSet-Cookie: a={canary}"`, "422 invalid"},
			{"NUL", `"{canary}\u0000"`, "422 invalid"},
			{"ANSI", `"\u001b[2J{canary}"`, "422 invalid"},
			{"600 bytes", `"{canary}` + strings.Repeat("x", 600) + `"`, "422 invalid"},
			{"a wildcard", `"*"`, "422 invalid"},
			{"wildcards", `"%%*?"`, "422 invalid"},
			{"empty", `""`, "422 invalid"},
			{"blank", `" \u2003 "`, "422 invalid"},
			{"nothing to be seen", `"\u200b\u202e\ufeff"`, "422 invalid"},
			{"half a surrogate", `"{canary}\ud800"`, "400 malformed"},
		} {
			list = append(list, attack{name: field + ": " + v.name, by: "submitter", ask: fileRequest, body: selectorOf(field, v.value), want: v.want})
		}
	}
	return list
}

// literalSelectors are values like any other, which nobody has: an exact
// comparison finds nothing.
func literalSelectors() (list []attack) {
	values := []struct{ name, value string }{
		{"SQL, a quote", `x' OR '1'='1 {canary}`},
		{"SQL, a statement", `x'; DROP TABLE vectors; -- {canary}`},
		{"SQL, a union", `x' UNION SELECT id FROM vectors -- {canary}`},
		{"SQL, an identifier", `user_id\" OR \"1\"=\"1 {canary}`},
		{"SQL, LIKE", `%a%`},
		{"SQL, one character", `alic_`},
		{"JSON path", `$.*[?(@.{canary})]`},
		{"JSON key", `tier\".\"{canary}`},
		{"NoSQL", `{\"$ne\": \"{canary}\"}`},
		{"a template", `{{.Tokens}} ${7*7} <%= {canary} %>`},
		{"a shell", `$(id) ; reboot # {canary}`},
		{"a path", `../../../../etc/passwd {canary}`},
		{"LDAP", `*)(uid=*))(|(uid=* {canary}`},
		{"another case", `ALICE`},
		{"a space at the end", `alice `},
		{"a look-alike letter", `\u0430lice`},
		{"a combining accent", `alice\u0301`},
		{"turned around", `\u202eecila {canary}`},
		{"a hidden space", `ali\u200bce`},
		{"wide letters", `\uff41lice`},
	}
	for _, field := range []string{"user_id", "metadata key", "metadata value", "ids"} {
		for i, v := range values {
			if field == "user_id" || i < 10 {
				list = append(list, attack{
					name: field + ": " + v.name, by: "submitter", ask: planRequest, body: selectorOf(field, `"`+v.value+`"`),
					want: "200", lacks: `"found":1`, has: `"found":0`,
				})
			}
		}
	}
	return list
}

// requestFields are those of a request besides its selector.
func requestFields() (list []attack) {
	for _, x := range []struct{ field, name, value, want string }{
		{"ticket", "CRLF", `"{canary}\r\nlevel=ERROR"`, "422 invalid"},
		{"ticket", "ANSI", `"\u001b]0;{canary}\u0007"`, "422 invalid"},
		{"ticket", "NUL", `"{canary}\u0000"`, "422 invalid"},
		{"ticket", "turned around", `"{canary}\u202egpj.exe"`, "422 invalid"},
		{"ticket", "an isolated direction", `"{canary}\u2066x\u2069"`, "422 invalid"},
		{"ticket", "a line separator", `"{canary}\u2028x"`, "422 invalid"},
		{"ticket", "too long", `"{canary}` + strings.Repeat("é", 100) + `"`, "422 invalid"},
		{"ticket", "an object", `{"{canary}":1}`, "400 malformed"},
		{"regime", "a path", `"../{canary}"`, "400 malformed"},
		{"regime", "SQL", `"gdpr'--{canary}"`, "400 malformed"},
		{"regime", "unknown", `"{canary}"`, "400 malformed"},
		{"regime", "CRLF", `"gdpr\r\n{canary}"`, "400 malformed"},
		{"ground", "free text", `"because {canary} asked"`, "400 malformed"},
		{"ground", "a template", `"{{canary}}"`, "400 malformed"},
		{"received_at", "text", `"{canary}"`, "400 malformed"},
		{"received_at", "another age", `"0001-01-01T00:00:00Z"`, "400 malformed"},
		{"received_at", "the future", `"9999-12-31T23:59:59Z"`, "400 malformed"},
		{"received_at", "a number", `1e400`, "400 malformed"},
		{"grace", "text", `"{canary}"`, "400 malformed"},
		{"grace", "backwards", `"-72h"`, "400 malformed"},
		{"grace", "for ever", `"2540400h"`, "400 malformed"},
		{"grace", "overflow", `"999999999999999999h"`, "400 malformed"},
		{"stores", "a path", `["../{canary}"]`, "422 invalid"},
		{"stores", "SQL", `["memories' OR 1=1 --{canary}"]`, "422 invalid"},
		{"stores", "another case", `["Memories"]`, "422 invalid"},
		{"stores", "none", `[]`, "422 invalid"},
		{"stores", "twice", `["memories","memories"]`, "422 invalid"},
		{"stores", "a wildcard", `["*"]`, "422 invalid"},
		{"stores", "a text", `"{canary}"`, "400 malformed"},
	} {
		list = append(list, attack{
			name: x.field + ": " + x.name, by: "submitter", ask: fileRequest, want: x.want,
			body: fmt.Sprintf(`{"selector":{"user_id":"nobody"},%q:%s}`, x.field, x.value),
		})
	}
	for name, key := range map[string]string{
		"an escape": "\x1b[31m{canary}", "8 bits": "{canary}\xff", "too long": "{canary}" + strings.Repeat("k", 300), "empty": "", "twice": "{canary}\r\nIdempotency-Key: b",
	} {
		list = append(list, attack{
			name: "Idempotency-Key: " + name, by: "submitter", ask: fileRequest, head: "Idempotency-Key: " + key + "\r\n",
			body: `{"selector":{"user_id":"nobody"}}`, want: map[bool]string{true: "400", false: "400 malformed"}[name == "an escape"],
		})
	}
	return list
}

// otherFields are those of all other bodies.
func otherFields() (list []attack) {
	for _, x := range []struct{ name, by, ask, body, want string }{
		{"hold reason: free text", "approver", placeHold, `{"selector":{"user_id":"a"},"reason":"Mr {canary} sues"}`, "400 malformed"},
		{"hold reason: CRLF", "approver", placeHold, `{"selector":{"user_id":"a"},"reason":"a\r\n{canary}"}`, "400 malformed"},
		{"hold until: the past", "approver", placeHold, `{"selector":{"user_id":"a"},"reason":"r","until":"2001-01-01T00:00:00Z"}`, "400 malformed"},
		{"hold until: for ever", "approver", placeHold, `{"selector":{"user_id":"a"},"reason":"r","until":"9999-01-01T00:00:00Z"}`, "400 malformed"},
		{"hold selector: everything", "approver", placeHold, `{"selector":{},"reason":"r"}`, "422 invalid"},
		{"hold selector: a wildcard", "approver", placeHold, `{"selector":{"user_id":"*"},"reason":"r"}`, "422 invalid"},
		{"hold selector: left out", "approver", placeHold, `{"reason":"r"}`, "422 invalid"},
		{"token name: ANSI", "admin", makeToken, `{"name":"\u001b[2J{canary}","role":"admin"}`, "422 invalid"},
		{"token name: CRLF", "admin", makeToken, `{"name":"a\r\n{canary}","role":"admin"}`, "422 invalid"},
		{"token name: turned around", "admin", makeToken, `{"name":"\u202e{canary}","role":"admin"}`, "422 invalid"},
		{"token name: blank", "admin", makeToken, `{"name":"  ","role":"admin"}`, "422 invalid"},
		{"token name: too long", "admin", makeToken, `{"name":"{canary}` + strings.Repeat("n", 100) + `","role":"admin"}`, "422 invalid"},
		{"token role: unknown", "admin", makeToken, `{"name":"n","role":"{canary}"}`, "400 malformed"},
		{"token role: two", "admin", makeToken, `{"name":"n","role":"admin,auditor"}`, "400 malformed"},
		{"token role: another case", "admin", makeToken, `{"name":"n","role":"Admin"}`, "400 malformed"},
		{"token role: none", "admin", makeToken, `{"name":"n"}`, "400 malformed"},
		{"token expires: never", "admin", makeToken, `{"name":"n","role":"admin","expires":"99999999h"}`, "400 malformed"},
		{"token expires: before now", "admin", makeToken, `{"name":"n","role":"admin","expires":"-1h"}`, "400 malformed"},
		{"token expires: at once", "admin", makeToken, `{"name":"n","role":"admin","expires":"1ns"}`, "400 malformed"},
		{"exempt store: a path", "approver", "POST /v1/requests/{graced}/exempt", `{"store":"../{canary}","reason":"art17-3-b"}`, "400 malformed"},
		{"exempt store: unknown", "approver", "POST /v1/requests/{graced}/exempt", `{"store":"{canary}","reason":"art17-3-b"}`, "422 invalid"},
		{"exempt place: SQL", "approver", "POST /v1/requests/{graced}/exempt", `{"store":"memories","place":"x'; DROP TABLE {canary}","reason":"art17-3-b"}`, "422 invalid"},
		{"exempt place: CRLF", "approver", "POST /v1/requests/{graced}/exempt", `{"store":"memories","place":"a\r\n{canary}","reason":"art17-3-b"}`, "422 invalid"},
		{"exempt reason: free text", "approver", "POST /v1/requests/{graced}/exempt", `{"store":"memories","reason":"it is {canary}"}`, "400 malformed"},
		{"exempt reason: unknown", "approver", "POST /v1/requests/{graced}/exempt", `{"store":"memories","reason":"{canary}"}`, "400 malformed"},
		{"exempt review_at: text", "approver", "POST /v1/requests/{graced}/exempt", `{"store":"memories","reason":"art17-3-b","review_at":"{canary}"}`, "400 malformed"},
		{"extend reason: free text", "approver", "POST /v1/requests/{graced}/extend", `{"reason":"{canary} is ill"}`, "400 malformed"},
		{"reject reason: free text", "approver", "POST /v1/requests/{waiting}/reject", `{"reason":"{canary} is a liar"}`, "400 malformed"},
		{"reject reason: CRLF", "approver", "POST /v1/requests/{waiting}/reject", `{"reason":"a\r\n{canary}"}`, "400 malformed"},
		{"reject reason: empty", "approver", "POST /v1/requests/{waiting}/reject", `{"reason":""}`, "422 invalid"},
		{"memory_id: a wildcard", "submitter", "POST /v1/requests/{done}/memory-proof", `{"memory_id":"*"}`, "422 invalid"},
		{"memory_id: SQL", "submitter", "POST /v1/requests/{done}/memory-proof", `{"memory_id":"x' OR 1=1 --{canary}"}`, "404 not_found"},
		{"memory_id: NUL", "submitter", "POST /v1/requests/{done}/memory-proof", `{"memory_id":"{canary}\u0000"}`, "422 invalid"},
	} {
		list = append(list, attack{name: x.name, by: x.by, ask: x.ask, body: x.body, want: x.want})
	}
	return list
}
