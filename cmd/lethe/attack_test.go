package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// An attack is one named thing that somebody tries. In all its texts {canary} is
// a word of its own that must be found nowhere afterwards, and {waiting}, {graced}
// and so on are those of the target; see target.words.
type attack struct {
	area, name string

	by   string // whose token is sent: a key of target.tokens, or "" for none
	ask  string // METHOD TARGET
	head string // further lines of the header, each with its CRLF
	body string
	raw  string   // instead of all these: the bytes of a connection
	cli  []string // or the arguments of a command
	slow bool     // raw is sent where deadlines come fifty times as soon
	drip bool     // a byte at a time
	from byte     // from which address, if it must not be one of its own

	book func(context.Context, *service, *strings.Replacer) error // or a call of the book itself
	is   error                                                    // and what it wraps

	want  string // "422 invalid": status and code of the problem; "400" if the HTTP server itself answers; "0" if it hangs up; "exit 2"
	shown bool   // the answer may show the value: to who typed it, and escaped
	lacks string // what an answer must not have
	has   string // what it must have
	same  string // METHOD TARGET of a call that must be answered in just the same way
}

// An answer is what came of an attack.
type answer struct {
	status int
	head   string
	media  string
	body   string
}

// allAttacks is the whole suite.
func allAttacks() []attack {
	return slices.Concat(
		inArea("Injection in every field", fieldAttacks()),
		inArea("Paths, IDs and queries", pathAttacks()),
		inArea("JSON", jsonAttacks()),
		inArea("Media types and encodings", mediaAttacks()),
		inArea("HTTP itself", wireAttacks()),
		inArea("Tokens", tokenAttacks()),
		inArea("Roles", roleAttacks()),
		inArea("What is another's", foreignAttacks()),
		inArea("Approvals and replay", decisionAttacks()),
		inArea("Webhooks into the network", webhookAttacks()),
		inArea("Pages: CSRF", forgeryAttacks()),
		inArea("Pages: XSS", scriptAttacks()),
		inArea("Mem0's door", mem0Attacks()),
		inArea("Command line", commandAttacks()),
		inArea("Behind the doors", bookAttacks()),
	)
}

func inArea(area string, list []attack) []attack {
	for i := range list {
		list[i].area = area
	}
	return list
}

// Everything that is tried is refused with the right status, changes nothing,
// leaves no trace of what was sent, and the service goes on.
func TestTheAttackSuite(t *testing.T) {
	w := newTarget(t)
	var table strings.Builder
	for i, a := range allAttacks() {
		t.Run(a.area+"/"+a.name, func(t *testing.T) {
			got := w.try(t, a, fmt.Sprintf("kanari%dx", i))
			fmt.Fprintf(&table, "  %-28s %-64s %s\n", a.area, a.name, got)
		})
	}
	w.guesses(t)
	w.keyOfAnother(t)
	w.forReal(t)
	w.clean(t)
	t.Logf("\n%s", &table)
}

// try makes one attack, and says as what it was refused.
func (w *target) try(t *testing.T, a attack, canary string) string {
	t.Helper()
	before := w.fingerprint(t)
	words := strings.NewReplacer(append(w.words, "{canary}", canary)...)
	var got answer
	var said string
	switch {
	case a.book != nil:
		got, said = w.behind(t, a, words)
	case a.cli != nil:
		got, said = w.command(t, a, words)
	default:
		got, said = w.send(t, a, words)
	}
	if said != a.want {
		t.Errorf("answered %s, want %s: %s", said, a.want, got.body)
	}
	if a.raw == "" && got.status >= 400 && !strings.HasPrefix(got.media, "application/problem+json") && !strings.HasPrefix(got.media, "text/html") && strings.Contains(a.want, " ") {
		t.Errorf("refused as %q, want a problem", got.media)
	}
	if !a.shown && strings.Contains(strings.ToLower(got.head+got.body), canary) {
		t.Errorf("the answer repeats what was sent: %s %s", got.head, got.body)
	}
	if lacks := words.Replace(a.lacks); lacks != "" && strings.Contains(got.head+got.body, lacks) {
		t.Errorf("the answer has %q: %s", lacks, got.body)
	}
	if has := words.Replace(a.has); !strings.Contains(got.head+got.body, has) {
		t.Errorf("the answer lacks %q: %s %s", has, got.head, got.body)
	}
	if a.same != "" {
		got.head = undated(got.head)
		other := w.ask(t, words.Replace(a.same), a.by, a.head, a.body)
		if other.head = undated(other.head); other != got {
			t.Errorf("answered otherwise than %s:\n%+v\n%+v", a.same, other, got)
		}
	}
	w.quiet(t, canary)
	if after := w.fingerprint(t); after != before {
		t.Errorf("SOMETHING HAS CHANGED: %s", difference(before, after))
	}
	if alive := w.ask(t, "GET /healthz", "", "", ""); alive.status != http.StatusOK {
		t.Errorf("the service does not answer any more: %d", alive.status)
	}
	return said
}

// send sends what an attack sends, byte for byte.
func (w *target) send(t *testing.T, a attack, words *strings.Replacer) (answer, string) {
	t.Helper()
	text := words.Replace(a.raw)
	if a.raw == "" {
		text = w.call(words.Replace(a.ask), a.by, words.Replace(a.head), words.Replace(a.body))
	}
	got := w.exchange(t, a, text)
	said := fmt.Sprint(got.status)
	var problem struct {
		Status int    `json:"status"`
		Code   string `json:"code"`
	}
	if strings.HasPrefix(got.media, "application/problem+json") {
		if err := json.Unmarshal([]byte(got.body), &problem); err != nil || problem.Status != got.status {
			t.Errorf("no problem of this status: %v: %s", err, got.body)
		}
		said += " " + problem.Code
	}
	if strings.HasPrefix(got.media, "text/html") {
		said += " page"
	}
	return got, said
}

// ask makes a call of the target itself.
func (w *target) ask(t testing.TB, what, by, head, body string) answer {
	t.Helper()
	return w.exchange(t, attack{}, w.call(what, by, head, body))
}

// call returns the bytes of a call that is well formed as far as it is ours to be.
func (w *target) call(what, by, head, body string) string {
	method, target, _ := strings.Cut(what, " ")
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", method, target)
	if !strings.HasPrefix(head, "Host:") {
		fmt.Fprintf(&b, "Host: %s\r\n", w.address)
	}
	if by != "" {
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", w.tokens[by])
	}
	if body != "" && !strings.Contains(head, "Content-Type:") {
		b.WriteString("Content-Type: application/json\r\n")
	}
	if (body != "" || method == "POST") && !strings.Contains(head, "Transfer-Encoding:") {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("Connection: close\r\n" + head + "\r\n" + body)
	return b.String()
}

// exchange sends bytes and reads the first answer. Each call comes from an
// address of its own, so that none is refused for the others' sake. Status 0 is a
// connection that was closed without an answer.
func (w *target) exchange(t testing.TB, a attack, text string) answer {
	t.Helper()
	to := w.address
	if a.slow {
		to = w.slow
	}
	w.calls++
	from := &net.TCPAddr{IP: net.IPv4(127, 1, byte(w.calls>>8), byte(w.calls))}
	if a.from > 0 {
		from.IP = net.IPv4(127, 2, 0, a.from)
	}
	conn, err := (&net.Dialer{LocalAddr: from, Timeout: patience}).DialContext(t.Context(), "tcp", to)
	if err != nil { // a system that has but one loopback address
		conn, err = (&net.Dialer{Timeout: patience}).DialContext(t.Context(), "tcp", to)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	go speak(conn, text, a.drip) // the server may answer before it has all
	got, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return answer{}
	}
	var body []byte
	if media := got.Header.Get("Content-Type"); media != "text/event-stream" { // which has no end, so that Close would wait for it
		body, _ = io.ReadAll(io.LimitReader(got.Body, 1<<20))
	}
	if a.raw == "" {
		w.compare(t, text, got, body)
	}
	var head bytes.Buffer
	_ = got.Header.Write(&head)
	return answer{got.StatusCode, head.String(), got.Header.Get("Content-Type"), string(body)}
}

// undated is a header without its time.
func undated(head string) string {
	return regexp.MustCompile(`(?m)^Date: .*$`).ReplaceAllString(head, "")
}

// speak writes a text, or a drop of its last part now and then.
func speak(conn net.Conn, text string, drip bool) {
	if !drip {
		_, _ = io.WriteString(conn, text)
		return
	}
	header, rest, _ := strings.Cut(text, "\r\n\r\n")
	if rest == "" {
		header, rest = "", header
	} else {
		header += "\r\n\r\n"
	}
	_, err := io.WriteString(conn, header)
	for i := 0; i < len(rest) && err == nil; i++ {
		_, err = io.WriteString(conn, rest[i:i+1])
		time.Sleep(5 * time.Millisecond)
	}
}

// quiet wants nothing of a canary in what the service has logged since, and each
// line to be one of its own.
func (w *target) quiet(t testing.TB, canary string) {
	t.Helper()
	for line := range strings.Lines(w.logs.take()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("this is no line of the log: %q", line)
		}
		if strings.Contains(strings.ToLower(line), canary) || strings.Contains(line, "lethe_") && strings.Contains(line, w.tokens["admin"][:16]) {
			t.Errorf("the log repeats what was sent: %s", line)
		}
	}
}

// clean looks for what all of them may have left: in the metrics, in the logs and
// in the log.
func (w *target) clean(t *testing.T) {
	t.Helper()
	metrics := w.ask(t, "GET /metrics", "auditor", "", "")
	if metrics.status != http.StatusOK || strings.Contains(metrics.body, "kanari") {
		t.Errorf("the metrics repeat what was sent: %d", metrics.status)
	}
	if n := strings.Count(metrics.body, "\nlethe_"); n == 0 || n > 1000 {
		t.Errorf("%d series", n)
	}
	if report, err := w.s.ledger.Log().Check(t.Context()); err != nil || report.Size == 0 {
		t.Errorf("the log: %+v, %v", report, err)
	}
}

// attackTable is the suite by area, as the README has it.
func attackTable() string {
	counts, order, total := map[string]int{}, []string{}, 0
	for _, a := range allAttacks() {
		if counts[a.area]++; counts[a.area] == 1 {
			order = append(order, a.area)
		}
		total++
	}
	var b strings.Builder
	b.WriteString("| what is tried | cases | answered with |\n|---|---|---|\n")
	for _, area := range order {
		fmt.Fprintf(&b, "| %s | %d | %s |\n", area, counts[area], strings.Join(refusals(area), ", "))
	}
	fmt.Fprintf(&b, "| **all** | **%d** | |\n", total)
	return b.String()
}

// refusals returns what an area's attacks are answered with.
func refusals(area string) (list []string) {
	for _, a := range allAttacks() {
		want, _, _ := strings.Cut(strings.Replace(a.want, "exit ", "exit\u00a0", 1), " ")
		if want == "0" {
			want = "closed"
		}
		if a.area == area && !slices.Contains(list, want) {
			list = append(list, want)
		}
	}
	slices.Sort(list)
	return list
}

// The README's table is that of the suite, every case has a name of its own, and
// there are as many as were promised.
func TestTheAttackTableIsPublished(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if table := attackTable(); !strings.Contains(string(readme), "\n"+table) {
		t.Errorf("README.md lacks this table:\n%s", table)
	}
	seen := map[string]bool{}
	for _, a := range allAttacks() {
		if seen[a.area+a.name] || a.name == "" || a.want == "" {
			t.Errorf("%s/%s has no name of its own, or wants nothing", a.area, a.name)
		}
		seen[a.area+a.name] = true
	}
	if len(seen) < 250 {
		t.Errorf("%d cases, want 250", len(seen))
	}
}
