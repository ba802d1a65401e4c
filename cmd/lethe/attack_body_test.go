package main

import (
	"strings"
)

// jsonAttacks are bodies that two readers could read in two ways, or that cost
// more to read than to send.
func jsonAttacks() (list []attack) {
	const person = `"selector":{"user_id":"alice"}`
	deep := strings.Repeat(`[`, 20_000)
	wide := strings.Repeat(`"k{canary}":1,`, 4_000)
	for _, x := range []struct{ name, body, want string }{
		{"no body", ` `, "400 malformed"},
		{"null", `null`, "400 malformed"},
		{"a list", `[{` + person + `}]`, "400 malformed"},
		{"a text", `"{canary}"`, "400 malformed"},
		{"everything by omission", `{}`, "422 invalid"},
		{"a selector of nothing", `{"selector":{}}`, "422 invalid"},
		{"a selector that is null", `{"selector":null}`, "400 malformed"},
		{"a field that is null", `{"selector":{"user_id":null}}`, "400 malformed"},
		{"a number for a name", `{"selector":{"user_id":12}}`, "400 malformed"},
		{"an operator for a name", `{"selector":{"user_id":{"$ne":"{canary}"}}}`, "400 malformed"},
		{"a list for a name", `{"selector":{"user_id":["alice","{canary}"]}}`, "400 malformed"},
		{"deep lists", `{"selector":{"user_id":` + deep, "400 malformed"},
		{"deep objects", strings.Repeat(`{"selector":`, 20_000), "400 malformed"},
		{"deep metadata", `{"selector":{"metadata":{"a":` + deep, "400 malformed"},
		{"deep unknown", `{"x":` + deep, "400 malformed"},
		{"metadata of a list", `{"selector":{"metadata":{"a":["{canary}"]}}}`, "400 malformed"},
		{"metadata of null", `{"selector":{"metadata":{"a":null}}}`, "400 malformed"},
		{"metadata of nothing", `{"selector":{"metadata":{}}}`, "422 invalid"},
		{"4000 keys", `{"selector":{"metadata":{` + wide + `"z":1}}}`, "400 malformed"},
		{"33 metadata keys", `{"selector":{"metadata":{` + manyKeys(33) + `}}}`, "422 invalid"},
		{"a name of 60 KB", `{"selector":{"user_id":"{canary}` + strings.Repeat("a", 60_000) + `"}}`, "422 invalid"},
		{"more than 64 KB", `{` + person + `,"ticket":"{canary}` + strings.Repeat("a", 70_000) + `"}`, "413 too_large"},
		{"a megabyte of spaces", `{` + person + `}` + strings.Repeat(" ", 1<<20), "413 too_large"},
		{"a key twice", `{"selector":{"user_id":"nobody","user_id":"alice"}}`, "400 malformed"},
		{"a key twice, once escaped", `{"selector":{"user_id":"nobody","\u0075ser_id":"alice"}}`, "400 malformed"},
		{"two selectors", `{` + person + `,"selector":{"user_id":"bob"}}`, "400 malformed"},
		{"a metadata key twice", `{"selector":{"metadata":{"{canary}":1,"{canary}":2}}}`, "400 malformed"},
		{"a key in capitals", `{"selector":{"USER_ID":"alice"}}`, "400 malformed"},
		{"a key in another style", `{"selector":{"userId":"alice"}}`, "400 malformed"},
		{"a key with a long s", `{"\u017felector":{"user_id":"alice"}}`, "400 malformed"},
		{"an unknown key", `{` + person + `,"{canary}":true}`, "400 malformed"},
		{"the prototype", `{` + person + `,"__proto__":{"role":"{canary}"}}`, "400 malformed"},
		{"who files it", `{` + person + `,"filed_by":"tok-{canary}"}`, "400 malformed"},
		{"that it is approved", `{` + person + `,"approved":"{canary}"}`, "400 malformed"},
		{"its own status", `{` + person + `,"status":"completed"}`, "400 malformed"},
		{"ids and a name", `{"selector":{"ids":["a"],"user_id":"alice"}}`, "422 invalid"},
		{"ids of nothing", `{"selector":{"ids":[]}}`, "422 invalid"},
		{"ids of numbers", `{"selector":{"ids":[1,2]}}`, "400 malformed"},
		{"ids of lists", `{"selector":{"ids":[["{canary}"]]}}`, "400 malformed"},
		{"a number that no float holds", `{"selector":{"metadata":{"n":1e999}}}`, "422 invalid"},
		{"a number of 60,000 digits", `{"selector":{"metadata":{"n":` + strings.Repeat("9", 60_000) + `}}}`, "422 invalid"},
		{"a number in hex", `{"selector":{"metadata":{"n":0x10}}}`, "400 malformed"},
		{"a number with a zero before it", `{"selector":{"metadata":{"n":010}}}`, "400 malformed"},
		{"not a number", `{"selector":{"metadata":{"n":NaN}}}`, "400 malformed"},
		{"a byte order mark", "\ufeff{" + person + `}`, "400 malformed"},
		{"UTF-16", "{\x00\"\x00s\x00", "400 malformed"},
		{"bad UTF-8 in a name", "{\"selector\":{\"user_id\":\"{canary}\xff\xfe\"}}", "400 malformed"},
		{"bad UTF-8 in a key", "{\"selector\":{\"user_id\xc0\xaf\":\"alice\"}}", "400 malformed"},
		{"an overlong quote", "{\"selector\":{\"user_id\":\"a\xc0\xa2\"}}", "400 malformed"},
		{"something after it", `{` + person + `}{"selector":{"user_id":"{canary}"}}`, "400 malformed"},
		{"lines of JSON", "{" + person + "}\n{" + person + "}", "400 malformed"},
		{"a comment", `{` + person + ` /* {canary} */}`, "400 malformed"},
		{"a comment of a line", "{" + person + "} // {canary}", "400 malformed"},
		{"a comma too many", `{` + person + `,}`, "400 malformed"},
		{"single quotes", `{'selector':{'user_id':'{canary}'}}`, "400 malformed"},
		{"keys without quotes", `{selector:{user_id:"{canary}"}}`, "400 malformed"},
		{"a line in a text", "{\"selector\":{\"user_id\":\"{canary}\n\"}}", "400 malformed"},
		{"a bad escape", `{"selector":{"user_id":"\x61{canary}"}}`, "400 malformed"},
		{"cut off", `{` + person, "400 malformed"},
		{"a form", `user_id=alice&x={canary}`, "400 malformed"},
		{"XML", `<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;{canary}</a>`, "400 malformed"},
		{"YAML", "selector:\n  user_id: {canary}\n", "400 malformed"},
	} {
		list = append(list, attack{name: x.name, by: "submitter", ask: fileRequest, body: x.body, want: x.want})
	}
	for _, x := range []struct{ name, by, ask, body, want string }{
		{"a plan: a key twice", "submitter", planRequest, `{` + person + `,` + person + `}`, "400 malformed"},
		{"a plan: deep", "submitter", planRequest, `{"selector":` + deep, "400 malformed"},
		{"a hold: an unknown key", "approver", placeHold, `{` + person + `,"reason":"r","{canary}":1}`, "400 malformed"},
		{"a hold: a key twice", "approver", placeHold, `{` + person + `,"reason":"r","reason":"s"}`, "400 malformed"},
		{"a hold: 100,001 ids", "approver", placeHold, `{"selector":{"ids":[` + strings.Repeat(`"i",`, 100_000) + `"{canary}"]},"reason":"r"}`, "422 invalid"},
		{"a token: an unknown key", "admin", makeToken, `{"name":"n","role":"auditor","id":"{canary}"}`, "400 malformed"},
		{"a token: a role twice", "admin", makeToken, `{"name":"n","role":"auditor","role":"admin"}`, "400 malformed"},
		{"a token: something after it", "admin", makeToken, `{"name":"n","role":"auditor"}{canary}`, "400 malformed"},
		{"an approval: a hash twice", "approver", "POST /v1/requests/{waiting}/approve", `{"plan_hash":"x","plan_hash":"{hash}"}`, "400 malformed"},
		{"an approval: an unknown key", "approver", "POST /v1/requests/{waiting}/approve", `{"plan_hash":"{hash}","force{canary}":true}`, "400 malformed"},
		{"an approval: something after it", "approver", "POST /v1/requests/{waiting}/approve", `{"plan_hash":"{hash}"} {canary}`, "400 malformed"},
		{"an approval: 5 KB", "approver", "POST /v1/requests/{waiting}/approve", `{"plan_hash":"{hash}"` + strings.Repeat(" ", 5000) + `}`, "413 too_large"},
		{"an exemption: a key twice", "approver", "POST /v1/requests/{graced}/exempt", `{"store":"memories","store":"memories","reason":"art17-3-b"}`, "400 malformed"},
		{"an extension: deep", "approver", "POST /v1/requests/{graced}/extend", `{"reason":` + strings.Repeat(`{"a":`, 500), "400 malformed"},
		{"a memory's proof: an unknown key", "submitter", "POST /v1/requests/{done}/memory-proof", `{"memory_id":"m","{canary}":1}`, "400 malformed"},
	} {
		list = append(list, attack{name: x.name, by: x.by, ask: x.ask, body: x.body, want: x.want})
	}
	return list
}

func manyKeys(n int) string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = `"` + strings.Repeat("k", i+1) + `":1`
	}
	return strings.Join(keys, ",")
}

// mediaAttacks say of a body that it is something else.
func mediaAttacks() (list []attack) {
	const body = `{"selector":{"user_id":"alice"}}`
	for _, x := range []struct{ name, head, want string }{
		{"a form", "Content-Type: application/x-www-form-urlencoded", "415 media_type"},
		{"plain text, as a page may send it", "Content-Type: text/plain", "415 media_type"},
		{"parts of a form", "Content-Type: multipart/form-data; boundary={canary}", "415 media_type"},
		{"XML", "Content-Type: application/xml", "415 media_type"},
		{"JSON in a longer name", "Content-Type: application/json{canary}", "415 media_type"},
		{"JSON patch", "Content-Type: application/merge-patch+json", "415 media_type"},
		{"JSON and something else", "Content-Type: application/json, text/plain", "415 media_type"},
		{"a type that is broken", "Content-Type: application/json; charset=\"{canary}", "415 media_type"},
		{"gzip", "Content-Encoding: gzip", "415 media_type"},
		{"gzip twice", "Content-Encoding: gzip\r\nContent-Encoding: gzip", "415 media_type"},
		{"an encoding that there is not", "Content-Encoding: {canary}", "415 media_type"},
		{"identity, spelled out", "Content-Encoding: identity", "415 media_type"},
	} {
		list = append(list, attack{name: "a request: " + x.name, by: "submitter", ask: fileRequest, head: x.head + "\r\n", body: body, want: x.want})
	}
	for _, x := range []struct{ name, by, ask, body string }{
		{"a plan", "submitter", planRequest, body},
		{"a hold", "approver", placeHold, `{"selector":{"user_id":"alice"},"reason":"r"}`},
		{"a token", "admin", makeToken, `{"name":"n","role":"admin"}`},
		{"an approval", "approver", "POST /v1/requests/{waiting}/approve", `{"plan_hash":"{hash}"}`},
		{"a rejection", "approver", "POST /v1/requests/{waiting}/reject", `{"reason":"r"}`},
		{"an extension", "approver", "POST /v1/requests/{graced}/extend", `{"reason":"complexity"}`},
		{"an exemption", "approver", "POST /v1/requests/{graced}/exempt", `{"store":"memories","reason":"art17-3-b"}`},
		{"a memory's proof", "submitter", "POST /v1/requests/{done}/memory-proof", `{"memory_id":"m"}`},
	} {
		list = append(list,
			attack{name: x.name + ": plain text", by: x.by, ask: x.ask, body: x.body, head: "Content-Type: text/plain\r\n", want: "415 media_type"},
			attack{name: x.name + ": gzip", by: x.by, ask: x.ask, body: x.body, head: "Content-Encoding: gzip\r\n", want: "415 media_type"})
	}
	return append(list,
		attack{name: "a call that takes no body: gzip", by: "submitter", ask: "POST /v1/requests/{absent}/cancel", head: "Content-Encoding: gzip\r\n", want: "415 media_type"},
		attack{name: "a call that reads: gzip", by: "submitter", ask: "GET /v1/requests/{absent}", head: "Content-Encoding: gzip\r\n", want: "415 media_type"})
}
