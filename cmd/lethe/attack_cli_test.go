package main

import (
	"io/fs"
	"strings"
)

// A commandFile is one that the command line is told to read.
type commandFile struct {
	text string
	mode fs.FileMode
}

func commandFiles() map[string]commandFile {
	const admin = "{token of admin}"
	return map[string]commandFile{
		"token":           {"{token of submitter}\n", 0o600},
		"token.approver":  {"{token of approver}\n", 0o600},
		"token.own":       {admin + "\n", 0o600},
		"token.all":       {admin + "\n", 0o644},
		"token.writable":  {admin + "\n", 0o602},
		"token.two":       {admin + "\n" + admin + "\n", 0o600},
		"token.cut":       {strings.Repeat("lethe_kanari", 5), 0o600},
		"token.header":    {"Bearer " + admin + "\n", 0o600},
		"token.crlf":      {admin + "\r\nX-Kanari: 1", 0o600},
		"token.empty":     {"", 0o600},
		"token.revoked":   {"{token of revoked}", 0o600},
		"twice.json":      {`{"user_id":"nobody","user_id":"alice"}`, 0o600},
		"escaped.json":    {`{"user_id":"nobody","\u0075ser_id":"alice"}`, 0o600},
		"unknown.json":    {`{"user_id":"alice","kanari1":1}`, 0o600},
		"case.json":       {`{"User_ID":"alice"}`, 0o600},
		"after.json":      {`{"user_id":"alice"}{"user_id":"bob"}`, 0o600},
		"bom.json":        {"\ufeff" + `{"user_id":"alice"}`, 0o600},
		"utf8.json":       {"{\"user_id\":\"alice\xff\"}", 0o600},
		"everything.json": {`{}`, 0o600},
		"wildcard.json":   {`{"user_id":"*"}`, 0o600},
		"list.json":       {`[{"user_id":"alice"}]`, 0o600},
		"deep.json":       {`{"metadata":{"a":` + strings.Repeat("[", 10_000), 0o600},
		"comment.json":    {`{"user_id":"alice"} // bob`, 0o600},
		"request.json":    {`{"selector":{"user_id":"alice"}}`, 0o600},
		"large.json":      {`{"user_id":"alice"}` + strings.Repeat(" ", 1<<20), 0o600},
		"empty.json":      {"", 0o600},
		"wildcard.ids":    {"a\n*\n", 0o600},
		"blank.ids":       {"a\n \n", 0o600},
		"empty.ids":       {"", 0o600},
		"ansi.ids":        {"a\n\x1b[2Jb\n", 0o600},
		"nul.ids":         {"a\x00b\n", 0o600},
		"utf16.ids":       {"\xff\xfea\x00\n\x00", 0o600},
		"long.ids":        {strings.Repeat("x", 100_000), 0o600},
		"proof":           {"c2sp.org/tlog-proof@v1\n\x1b[2J../../etc/passwd\n", 0o600},
		"lethe.yaml":      {"data: {dir}/data\nstorez: []\n", 0o600},
		"twice.yaml":      {"data: {dir}/data\ndata: /tmp\n", 0o600},
		"bomb.yaml":       {"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\ndata: *c\n", 0o600},
		"password.yaml":   {"ledger: postgres://u:kanari1@h/db\nqueue: kanari2\n", 0o600},
	}
}

// commandAttacks are what may stand in a script, or in a file that a script reads.
func commandAttacks() (list []attack) {
	server := []string{"--server", "http://{address}", "--token-file", "{dir}/token"}
	at := func(args ...string) []string { return append(args, server...) }
	as := func(file string, args ...string) []string {
		return append(args, "--server", "http://{address}", "--token-file", "{dir}/"+file)
	}
	add := func(name, want string, args []string) { list = append(list, attack{name: name, cli: args, want: want}) }
	for _, f := range []string{"twice", "escaped", "unknown", "case", "after", "bom", "utf8", "everything", "wildcard", "list", "deep", "comment", "request", "large", "empty"} {
		add("a selector file: "+f, "exit 2", at("submit", "--selector-file", "{dir}/"+f+".json"))
	}
	for _, f := range []string{"wildcard", "blank", "empty", "ansi", "nul", "utf16", "long"} {
		add("a file of IDs: "+f, "exit 2", at("submit", "--ids-file", "{dir}/"+f+".ids"))
	}
	for _, f := range []string{"all", "writable", "two", "cut", "header", "crlf", "empty", "revoked"} {
		add("a token file: "+f, "exit 1", as("token."+f, "submit", "--user-id", "bob"))
	}
	for _, f := range []string{"{dir}", "/dev/zero", "{dir}/none", "/proc/self/environ", "../../../../etc/passwd"} {
		add("a token file at "+f, "exit 1", []string{"status", "{graced}", "--server", "http://{address}", "--token-file", f})
	}
	for _, url := range []string{
		"http://lethe.example", "http://192.0.2.1:8080", "http://[2001:db8::1]", "http://localhost.{canary}.example", "http://127.0.0.1.{canary}.example",
		"http://127.0.0.1@{canary}.example", "http://u:{canary}@127.0.0.1", "http://127.0.0.1/?x={canary}", "file:///etc/passwd", "ftp://127.0.0.1", "//127.0.0.1", "{canary}",
		"http://127.0.0.1%00.{canary}.example", "http://0x7f.1", "http://2130706433", "unix:///tmp/{canary}",
	} {
		add("a token to "+strings.ReplaceAll(url, "{canary}", "x"), "exit 1", []string{"submit", "--user-id", "bob", "--server", url, "--token-file", "{dir}/token"})
	}
	for _, x := range []struct {
		name, want string
		args       []string
	}{
		{"nobody", "exit 2", at("submit")},
		{"an empty name", "exit 2", at("submit", "--user-id", "")},
		{"a blank name", "exit 2", at("submit", "--user-id", " \u2003")},
		{"a wildcard", "exit 2", at("submit", "--user-id", "*")},
		{"ANSI in a name", "exit 2", at("submit", "--user-id", "\x1b[2J{canary}")},
		{"lines in a name", "exit 2", at("submit", "--user-id", "a\r\n{canary}")},
		{"bad UTF-8 in a name", "exit 2", at("submit", "--user-id", "{canary}\xff")},
		{"a name of 600 bytes", "exit 2", at("submit", "--user-id", "{canary}"+strings.Repeat("x", 600))},
		{"two ways to say who", "exit 2", at("submit", "--user-id", "{canary}", "--id", "m")},
		{"an empty ID", "exit 2", at("submit", "--id", "a", "--id", "")},
		{"metadata without a value", "exit 2", at("submit", "--metadata", "{canary}")},
		{"metadata twice", "exit 2", at("submit", "--metadata", "{canary}=1", "--metadata", "{canary}=2")},
		{"a metadata key of nothing", "exit 2", at("submit", "--metadata", "={canary}")},
		{"a number that no float holds", "exit 2", at("submit", "--metadata", "{canary}=1e999")},
		{"an option for a name", "exit 2", at("submit", "--user-id=bob", "--{canary}")},
		{"an option with a value", "exit 2", at("submit", "--user-id=bob", "--{canary}=1")},
		{"a short option", "exit 2", at("submit", "--user-id=bob", "-Zx")},
		{"a word too many", "exit 2", at("submit", "--user-id=bob", "{canary}")},
		{"a word after --", "exit 2", at("submit", "--user-id=bob", "--", "--wait")[:4]},
		{"a command that there is not", "exit 2", []string{"{canary}"}},
		{"a command with a path", "exit 2", []string{"../{canary}"}},
		{"no such store", "exit 2", at("submit", "--user-id", "bob", "--store", "../{canary}")},
		{"a ticket with ANSI", "exit 2", at("submit", "--user-id", "bob", "--ticket", "\x1b]0;{canary}\a")},
		{"a ticket that turns around", "exit 2", at("submit", "--user-id", "bob", "--ticket", "\u202e{canary}")},
		{"a grace backwards", "exit 2", at("submit", "--user-id", "bob", "--grace", "-1h")},
		{"a grace of words", "exit 2", at("submit", "--user-id", "bob", "--grace", "{canary}")},
		{"a time of words", "exit 2", at("submit", "--user-id", "bob", "--received-at", "{canary}")},
		{"a ground in words", "exit 2", at("submit", "--user-id", "bob", "--ground", "because {canary}")},
		{"a regime that there is not", "exit 2", at("submit", "--user-id", "bob", "--regime", "{canary}")},
		{"a key with lines", "exit 2", at("submit", "--user-id", "bob", "--idempotency-key", "a\r\nX-{canary}: 1")},
		{"a webhook inside", "exit 2", at("submit", "--user-id", "bob", "--notify-url", "https://169.254.169.254/{canary}")},
		{"a webhook at Redis", "exit 2", at("submit", "--user-id", "bob", "--notify-url", "gopher://127.0.0.1:6379/_{canary}")},
		{"the state: a path", "exit 4", at("status", "../tokens/{canary}")},
		{"the state: a question", "exit 4", at("status", "{graced}?access_token={canary}")},
		{"the state: lines", "exit 4", at("status", "{graced}\r\nX-{canary}: 1")},
		{"the state: an option", "exit 2", at("status", "--{canary}")},
		{"the state of another's", "exit 4", at("status", "{own}")},
		{"the certificate: a path", "exit 4", at("certificate", "../../log/key", "-o", "{dir}/out")},
		{"the certificate of another's", "exit 4", at("certificate", "{own}", "-o", "{dir}/out")},
		{"the end: a path", "exit 4", at("cancel", "../holds/{canary}")},
		{"the end, as approver", "exit 1", as("token.approver", "cancel", "{graced}")},
		{"approve as submitter", "exit 1", at("approve", "{waiting}", "--plan-hash", "{hash}")},
		{"approve what one has filed", "exit 1", as("token.own", "approve", "{own}", "--plan-hash", "{own hash}")},
		{"approve an old plan", "exit 1", as("token.approver", "approve", "{stale}", "--plan-hash", "{stale hash}")},
		{"approve an invented plan", "exit 1", as("token.approver", "approve", "{waiting}", "--plan-hash", "{canary}")},
		{"reject in words", "exit 2", as("token.approver", "reject", "{waiting}", "--reason", "Mr {canary} lies")},
		{"hold without a reason", "exit 2", as("token.approver", "hold", "add", "--user-id", "bob")},
		{"hold in words", "exit 2", as("token.approver", "hold", "add", "--user-id", "bob", "--reason", "Mr {canary} sues")},
		{"hold as submitter", "exit 1", at("hold", "add", "--user-id", "bob", "--reason", "r")},
		{"release: a path", "exit 4", as("token.approver", "hold", "release", "../tokens/{canary}")},
		{"a token as submitter", "exit 1", at("token", "create", "--role", "admin", "--name", "n")},
		{"a token of a role that there is not", "exit 2", as("token.own", "token", "create", "--role", "root-{canary}", "--name", "n")},
		{"a token with ANSI in its name", "exit 2", as("token.own", "token", "create", "--role", "admin", "--name", "\x1b[2J{canary}")},
		{"verify what is no proof", "exit 5", []string{"verify", "{dir}/proof", "--key", "{key}"}},
		{"verify a file that is not there", "exit 1", []string{"verify", "{dir}/../{canary}", "--key", "k"}},
		{"a configuration with a key that there is not", "exit 2", []string{"serve", "--check", "--config", "{dir}/lethe.yaml"}},
		{"a configuration with a key twice", "exit 2", []string{"serve", "--check", "--config", "{dir}/twice.yaml"}},
		{"a configuration that grows", "exit 2", []string{"serve", "--check", "--config", "{dir}/bomb.yaml"}},
		{"a configuration with a password", "exit 2", []string{"serve", "--check", "--config", "{dir}/password.yaml"}},
	} {
		add(x.name, x.want, x.args)
	}
	return list
}
