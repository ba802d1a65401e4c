package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const auditorFolder = "../../deploy/auditor"

// What is kept as proof is the proof that was asked for. A page of some proxy
// with status 200 is found out now, and not in the year in which it is needed.
func TestWhatIsNoProofIsNotKeptAsOne(t *testing.T) {
	const id = "0199f2a4-5c1e-7d3b-8f00-0123456789ab"
	files := map[string][]byte{"page": []byte("<html>log in\x1b[2J</html>"), "empty": nil}
	for _, name := range []string{"certificate.tlog-proof", "receipt.tlog-proof", "memory.proof", "log.pub"} {
		text, err := os.ReadFile(filepath.Join(auditorFolder, name))
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ = strings.Cut(name, ".")
		files[name] = text
	}
	files["cut"] = files["certificate"][:len(files["certificate"])/2]
	for _, row := range []struct {
		args string
		good string // of the files
	}{
		{"certificate " + id, "certificate"},
		{"certificate " + strings.ToUpper(id), "certificate"},
		{"certificate " + id[:35] + "c", ""},
		{"certificate --accepted " + id, "receipt"},
		{"certificate --newest --accepted " + id, "receipt"},
		{"certificate --newest " + id, "certificate"},
		{"certificate --memory x " + id, "memory"},
		{"keys", "log"},
	} {
		for name, text := range files {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) }))
			var out, talk bytes.Buffer
			status := run(t.Context(), append(strings.Fields(row.args), "--server", server.URL), nil, &out, &talk)
			server.Close()
			if name == row.good && (status != exitDone || !bytes.Equal(out.Bytes(), text)) {
				t.Errorf("%s, given %s: status %d, %s", row.args, name, status, &talk)
			}
			if name != row.good && (status != exitError || out.Len() > 0 || strings.ContainsAny(talk.String(), "<\x1b")) {
				t.Errorf("%s, given %s: status %d, answer %q, %s", row.args, name, status, &out, &talk)
			}
		}
	}
}

func TestAReceiptOfAnotherRequestIsNotKept(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(auditorFolder, "receipt.tlog-proof"))
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]int{"0199f2a4-5c1e-7d3b-8f00-0123456789ab": exitDone, "0199f2a4-5c1e-7d3b-8f00-0123456789ac": exitError} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				w.WriteHeader(http.StatusAccepted)
				_, _ = io.WriteString(w, `{"id":"`+id+`","status":"received","stores":[]}`)
				return
			}
			_, _ = w.Write(text)
		}))
		file := filepath.Join(t.TempDir(), "receipt")
		var out, talk bytes.Buffer
		status := run(t.Context(), []string{"submit", "--id", "one", "--receipt", file, "--server", server.URL}, nil, &out, &talk)
		server.Close()
		_, err := os.Stat(file)
		if status != want || out.String() != id+"\n" || (err == nil) != (want == exitDone) {
			t.Errorf("%s: status %d, %v\n%s%s", id, status, err, &out, &talk)
		}
	}
}

func TestWhatAServerSaysCannotUpsetATerminal(t *testing.T) {
	const evil = "\\u001b[2J\\u202egone\\nlethe: all is well"
	for _, row := range []struct {
		args, body, kind string
		status           int
	}{
		{"status 1", `{"detail":"` + evil + `"}`, "application/problem+json", 409},
		{"status 1", `{"id":"1","status":"erasing","ticket":"` + evil + `","stores":[{"store":"a","note":"` + evil + `"}]}`, "application/json", 200},
		{"list", `{"requests":[{"id":"1","status":"erasing","ticket":"` + evil + `","stores":[]}]}`, "application/json", 200},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", row.kind)
			w.WriteHeader(row.status)
			_, _ = io.WriteString(w, row.body)
		}))
		var out bytes.Buffer
		run(t.Context(), append(strings.Fields(row.args), "--server", server.URL), nil, &out, &out)
		server.Close()
		if !strings.Contains(out.String(), "gone") || strings.ContainsAny(out.String(), "\x1b\u202e") {
			t.Errorf("%s: %q", row.args, &out)
		}
	}
}
