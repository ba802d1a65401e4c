package main

import "strings"

// pathAttacks try to leave the folders, the tables and the questions that there
// are.
func pathAttacks() (list []attack) {
	for _, id := range []struct{ name, id, want string }{
		{"dots", "..", "404 not_found"},
		{"dots, escaped", "%2e%2e%2f%2e%2e%2fkeys%2f{canary}", "404 not_found"},
		{"dots, escaped twice", "%252e%252e%252f{canary}", "404 not_found"},
		{"back slashes", "..%5c..%5c{canary}", "404 not_found"},
		{"NUL", "{waiting}%00{canary}", "404 not_found"},
		{"CRLF", "{waiting}%0d%0aX-{canary}:%201", "404 not_found"},
		{"SQL", "{waiting}'%20OR%20'1'='1{canary}", "404 not_found"},
		{"a wildcard", "%25", "404 not_found"},
		{"capitals", "{WAITING}", "404 not_found"},
		{"braces", "%7b{waiting}%7d", "404 not_found"},
		{"a space", "{waiting}%20", "404 not_found"},
		{"a urn", "urn:uuid:{waiting}", "404 not_found"},
		{"no dashes", "0193a0000000700080009999999999999", "404 not_found"},
		{"overlong UTF-8", "%c0%ae%c0%ae%c0%af{canary}", "404 not_found"},
		{"a semicolon", "{waiting};{canary}=1", "404 not_found"},
		{"a template", "%7b%7b{canary}%7d%7d", "404 not_found"},
		{"very long", "{canary}" + strings.Repeat("a", 8000), "404 not_found"},
	} {
		list = append(list, attack{name: "request ID: " + id.name, by: "submitter", ask: "GET /v1/requests/" + id.id, want: id.want})
	}
	for _, tile := range []struct{ name, path, want string }{
		{"dots", "0/../../../log.key", "404 not_found"},
		{"dots, escaped", "0/%2e%2e/%2e%2e/keys/{canary}", "404 not_found"},
		{"back slashes", "..%5c..%5cledger.db", "404"},
		{"an absolute path", "/etc/passwd", "404 not_found"},
		{"a level too high", "64/000", "404"},
		{"a negative level", "-1/000", "404"},
		{"a number too large", "0/x999/x999/x999/x999/x999/x999/x999/999", "404"},
		{"a partial too wide", "0/000.p/257", "404"},
		{"a partial of none", "0/000.p/0", "404"},
		{"a number with a sign", "0/+00", "404"},
		{"another form of a number", "0/0", "404"},
		{"NUL", "0/000%00{canary}", "404"},
		{"entries that are none", "entries/{canary}", "404"},
		{"SQL", "0/000'%20OR%201=1{canary}", "404"},
	} {
		list = append(list, attack{name: "log tile: " + tile.name, ask: "GET /log/tile/" + tile.path, want: tile.want})
	}
	for _, q := range []struct{ name, query, want string }{
		{"status: SQL", "status=completed'%20OR%201=1--{canary}", "400 malformed"},
		{"status: unknown", "status={canary}", "400 malformed"},
		{"due: SQL", "due=1d'{canary}", "400 malformed"},
		{"due: twice", "due=1d&due=7d", "400 malformed"},
		{"limit: negative", "limit=-1", "400 malformed"},
		{"limit: huge", "limit=999999999999999999999", "400 malformed"},
		{"limit: hex", "limit=0x10", "400 malformed"},
		{"limit: two", "limit=1&limit=1000", "400 malformed"},
		{"cursor: SQL", "cursor='%20OR%201=1--{canary}", "400 malformed"},
		{"cursor: a path", "cursor=..%2f..%2f{canary}", "400 malformed"},
		{"cursor: too long", "cursor={canary}" + strings.Repeat("c", 600), "400 malformed"},
		{"a parameter that there is not", "filed_by={canary}", "400 malformed"},
		{"a parameter in capitals", "STATUS=completed", "400 malformed"},
		{"a semicolon", "status=completed;filed_by={canary}", "400 malformed"},
		{"a bad escape", "status=%zz{canary}", "400 malformed"},
		{"NUL", "status=%00{canary}", "400 malformed"},
	} {
		list = append(list, attack{name: "list, " + q.name, by: "auditor", ask: "GET /v1/requests?" + q.query, want: q.want})
	}
	for _, x := range []attack{
		{name: "certificate head: a path", ask: "GET /v1/requests/{done}/certificate?head=..%2f{canary}", want: "400 malformed"},
		{name: "certificate: a parameter that there is not", ask: "GET /v1/requests/{done}/certificate?file=%2fetc%2fpasswd{canary}", want: "400 malformed"},
		{name: "certificate: a file's name", ask: "GET /v1/requests/{done}/certificate/../../../{canary}", want: "404 not_found"},
		{name: "receipt head: twice", ask: "GET /v1/requests/{done}/receipt?head=newest&head=newest", want: "400 malformed"},
		{name: "hold release reason: free text", by: "approver", ask: "DELETE /v1/holds/{hold}?reason=Mr%20{canary}", want: "400 malformed"},
		{name: "hold release: a parameter that there is not", by: "approver", ask: "DELETE /v1/holds/{hold}?all={canary}", want: "400 malformed"},
		{name: "hold ID: a path", by: "approver", ask: "DELETE /v1/holds/..%2f{canary}", want: "404 not_found"},
		{name: "hold ID: SQL", by: "approver", ask: "DELETE /v1/holds/{hold}'%20OR%201=1{canary}", want: "404 not_found"},
		{name: "token ID: SQL", by: "admin", ask: "DELETE /v1/tokens/tok-'%20OR%201=1{canary}", want: "404 not_found"},
		{name: "token ID: a wildcard", by: "admin", ask: "DELETE /v1/tokens/%25", want: "404 not_found"},
		{name: "an asset of the page: dots", ask: "GET /console/assets/..%2ftemplates%2flayout.html", want: "404 not_found"},
		{name: "an asset of the page: a folder", ask: "GET /console/assets/.", want: "404 not_found"},
		{name: "two slashes", by: "admin", ask: "GET //v1/requests/{canary}", want: "404 not_found"},
		{name: "dots above the routes", by: "admin", ask: "GET /v1/../../{canary}", want: "404 not_found"},
		{name: "dots into the page", by: "admin", ask: "GET /v1/../console/{canary}/../holds", want: "404 not_found"},
		{name: "a route below a route", by: "admin", ask: "GET /healthz/{canary}", want: "404 not_found"},
		{name: "a debugger", ask: "GET /debug/pprof/heap?{canary}", want: "404 not_found"},
		{name: "what others leave lying about", ask: "GET /.git/config?{canary}", want: "404 not_found"},
	} {
		if x.by == "" && strings.Contains(x.ask, "/v1/") {
			x.by = "submitter"
		}
		list = append(list, x)
	}
	return list
}
