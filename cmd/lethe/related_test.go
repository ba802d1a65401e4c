package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestRelatedIsAskedForAndTold: --related goes into the body of submit and of
// plan, and what a plan says of it is told with what will become of it.
func TestRelatedIsAskedForAndTold(t *testing.T) {
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		body = string(text)
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/v1/plans":
			_, _ = io.WriteString(w, `{"plan_hash":"h","stores":[{"store":"platform","found":3,"related":2,"places":[{"place":"memories","found":3}]},{"store":"app","found":1,"places":[]}]}`)
		case "/v1/requests":
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, `{"id":"1","status":"received","stores":[]}`)
		default:
			_, _ = io.WriteString(w, `{"id":"1","status":"awaiting_approval","plan_hash":"h","related":true,"stores":[{"store":"platform","stage":"erasing","related":2,"places":[{"place":"memories","found":3}]}]}`)
		}
	}))
	defer server.Close()
	const asked, left = "erased too", "left alone without --related"
	for _, c := range []struct {
		args          []string
		sent          bool
		says, saysNot string
	}{
		{[]string{"plan", "--user-id", "alice"}, false, left, asked},
		{[]string{"plan", "--user-id", "alice", "--related"}, true, asked, left},
		{[]string{"plan", "--id", "m1", "--related"}, true, asked, left},
		{[]string{"submit", "--user-id", "alice"}, false, "", asked},
		{[]string{"submit", "--user-id", "alice", "--related"}, true, "", left},
		{[]string{"submit", "--id", "m1", "--related"}, true, "", left},
		{[]string{"status", "1"}, false, asked, left},
	} {
		var out, talk bytes.Buffer
		name := strings.Join(c.args, " ")
		status := run(t.Context(), append(c.args, "--server", server.URL), nil, &out, &talk)
		if status != exitDone && c.args[0] != "status" {
			t.Errorf("%s: status %d, %s", name, status, &talk)
		}
		if sent := strings.Contains(body, `"related":true`); sent != c.sent {
			t.Errorf("%s: sent %s", name, body)
		}
		if !strings.Contains(out.String(), c.says) || strings.Contains(out.String(), c.saysNot) {
			t.Errorf("%s: says\n%s", name, &out)
		}
		if c.args[0] == "plan" && strings.Count(out.String(), "related") != 1+strings.Count(left, "related")*strings.Count(out.String(), left) {
			t.Errorf("%s: says it of another store too\n%s", name, &out)
		}
	}
}
