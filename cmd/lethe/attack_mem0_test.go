package main

import (
	"net/url"
	"strings"
)

// mem0Attacks come through the door of Mem0's clients, whose URLs name people.
func mem0Attacks() (list []attack) {
	const all, one, batch = "DELETE /mem0/v1/memories/", "DELETE /mem0/v1/memories/{absent}/", "DELETE /mem0/v1/batch/"
	for _, x := range []struct{ name, ask, body, want string }{
		{"no filter", all, "", "400"},
		{"every wildcard", all + "?user_id=*&agent_id=*&app_id=*&run_id=*", "", "400"},
		{"a wildcard of SQL", all + "?user_id=%25", "", "400"},
		{"a filter that there is not", all + "?user_id=bob&{canary}=1", "", "400"},
		{"a filter in capitals", all + "?USER_ID=bob", "", "400"},
		{"an operator", all + "?user_id%5B%24ne%5D={canary}", "", "400"},
		{"a filter twice", all + "?user_id=bob&user_id={canary}", "", "400"},
		{"an empty filter", all + "?user_id=bob&run_id=", "", "400"},
		{"filters in the body", all, `{"user_id":"{canary}"}`, "400"},
		{"more filters in the body", all + "?user_id=bob", `{"run_id":"{canary}"}`, "400"},
		{"a semicolon", all + "?user_id=bob;run_id={canary}", "", "400"},
		{"a bad escape", all + "?user_id=%zz{canary}", "", "400"},
		{"NUL", all + "?user_id={canary}%00", "", "400"},
		{"CRLF", all + "?user_id={canary}%0d%0aSet-Cookie:%20a=b", "", "400"},
		{"half a character", all + "?user_id={canary}%c3", "", "400"},
		{"600 bytes", all + "?user_id={canary}" + strings.Repeat("x", 600), "", "400"},
		{"metadata: an object that was none", all + "?metadata=%5Bobject%20Object%5D", "", "400"},
		{"metadata: a way out of it", all + "?metadata=" + url.QueryEscape(`{"a":1},"user_id":"bob"`), "", "400"},
		{"metadata: a key twice", all + "?metadata=" + url.QueryEscape(`{"tier":0,"tier":1}`), "", "400"},
		{"metadata: an operator", all + "?metadata=" + url.QueryEscape(`{"tier":{"$gte":0}}`), "", "400"},
		{"metadata: a wildcard", all + "?metadata=" + url.QueryEscape(`{"tier":"*"}`), "", "400"},
		{"metadata: empty", all + "?metadata=%7B%7D", "", "400"},
		{"metadata: deep", all + "?metadata=" + strings.Repeat("%5B", 4000), "", "400"},
		{"metadata: two keys deep", all + "?metadata%5Ba%5D%5Bb%5D={canary}", "", "400"},
		{"memory ID: SQL", "DELETE /mem0/v1/memories/x'%20OR%20'1'='1{canary}/", "", "400"},
		{"memory ID: dots", "DELETE /mem0/v1/memories/%2e%2e/", "", "404"},
		{"memory ID: a path", "DELETE /mem0/v1/memories/..%2f..%2f{canary}/", "", "400"},
		{"memory ID: a wildcard", "DELETE /mem0/v1/memories/*/", "", "400"},
		{"memory ID: a urn", "DELETE /mem0/v1/memories/urn:uuid:{absent}/", "", "400"},
		{"memory ID: unknown", one, "", "404"},
		{"memory ID: unknown, of a server", "DELETE /mem0/memories/{absent}", "", "404"},
		{"a filter beside an ID", one + "?user_id=bob", "", "400"},
		{"batch: none", batch, `{"memories":[]}`, "400"},
		{"batch: 1001", batch, `{"memories":[` + strings.Repeat(`{"memory_id":"{absent}"},`, 1000) + `{"memory_id":"{absent}"}]}`, "400"},
		{"batch: one that is no UUID", batch, `{"memories":[{"memory_id":"{absent}"},{"memory_id":"{canary}"}]}`, "400"},
		{"batch: a key twice", batch, `{"memories":[],"memories":[{"memory_id":"{absent}"}]}`, "400"},
		{"batch: a key that there is not", batch, `{"memories":[{"memory_id":"{absent}","{canary}":1}]}`, "400"},
		{"batch: no UTF-8", batch, "{\"memories\":[{\"memory_id\":\"{canary}\xff\"}]}", "400"},
		{"batch: deep", batch, strings.Repeat("[", 100_000), "400"},
		{"batch: more after it", batch, `{"memories":[{"memory_id":"{absent}"}]} {"{canary}":1}`, "400"},
		{"entity: a type that there is not", "DELETE /mem0/v2/entities/{canary}/bob/", "", "400"},
		{"entity: a wildcard", "DELETE /mem0/v2/entities/user/*/", "", "400"},
		{"entity: a name with a slash", "DELETE /mem0/v2/entities/user/bob/{canary}/", "", "405"},
		{"entity: nothing", "DELETE /mem0/v2/entities/user//", "", "404"},
		{"entity: by number", "DELETE /mem0/v1/entities/user/1/", "", "400"},
		{"reset", "POST /mem0/reset", "", "400"},
		{"list entities, to delete each", "GET /mem0/v1/entities/", "", "405"},
		{"read a memory", "GET /mem0/v1/memories/{absent}/", "", "405"},
		{"add", "POST /mem0/v3/memories/add/", `{"messages":"{canary}"}`, "405"},
		{"a path that there is not", "DELETE /mem0/{canary}/", "", "404"},
		{"a slash twice", "DELETE /mem0/v1//memories/", "", "404"},
		{"out of the door", "POST /mem0/../v1/requests", "", "404"},
		{"a token in the URL", "GET /mem0/v1/ping/?token={token of admin}", "", "400"},
	} {
		list = append(list, attack{name: x.name, by: "submitter", ask: x.ask, body: x.body, want: x.want})
	}
	for name, id := range map[string]string{"another's": "{waiting}", "none": "{absent}", "a path": "..%2f{canary}"} {
		list = append(list, attack{
			name: "event: " + name, by: "other", ask: "GET /mem0/v1/event/" + id + "/", want: "404",
			has: `{"error":"Event not found or you don't have permission to access it."}`,
		})
	}
	return append(list, mem0Strangers()...)
}

// mem0Strangers show no token, or one that may not, in every way there is.
func mem0Strangers() (list []attack) {
	const deed = "DELETE /mem0/v1/memories/?user_id=bob"
	for _, who := range []string{"approver", "auditor"} {
		list = append(list, attack{name: "delete as " + who, by: who, ask: deed, want: "403"})
	}
	for _, who := range []string{"expired", "revoked", "forged"} {
		list = append(list, attack{name: "delete with a token that is " + who, by: who, ask: deed, want: "401"})
	}
	const good = "{token of admin}"
	for _, x := range []struct{ name, head string }{
		{"no token", ""},
		{"two tokens", "Authorization: Token " + good + "\r\nX-API-Key: " + good + "\r\n"},
		{"two headers", "Authorization: Token " + good + "\r\nAuthorization: Token " + good + "\r\n"},
		{"an empty key", "X-API-Key: \r\n"},
		{"another scheme", "Authorization: Basic " + good + "\r\n"},
		{"more after it", "Authorization: Token " + good + " {canary}\r\n"},
		{"its ID as a key", "X-API-Key: {id of admin}\r\n"},
		{"SQL as a key", "X-API-Key: x' OR '1'='1{canary}\r\n"},
	} {
		list = append(list, attack{name: "delete with " + x.name, ask: deed, head: x.head, want: "401", has: "Www-Authenticate: Bearer"})
	}
	return append(list,
		attack{name: "a page of another origin", by: "submitter", ask: deed, head: "Origin: https://evil.example\r\n", want: "403 cross_origin"},
		attack{name: "another Host", by: "submitter", ask: deed, head: "Host: evil.example\r\n", want: "403 host"},
		attack{name: "Mem0's ways to show a token at the native API", ask: "GET /v1/requests", head: "Authorization: Token " + good + "\r\n", want: "401 no_token"},
	)
}
