package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"strings"

	"lethe/audit/proof"
)

// maxBody bounds what is fetched, in bytes.
const maxBody = proof.MaxBundle

// A curl fetches files over HTTP with the program of that name.
type curl struct {
	path string // of the program
	err  error  // why there is none
}

func findCurl() curl {
	path, err := exec.LookPath("curl")
	if err != nil {
		err = errors.New("--log with a URL needs curl; or fetch the log with lethe log export or wget -r, and give the folder")
	}
	return curl{path, err}
}

// at returns a Fetch for the log published at prefix.
func (c curl) at(prefix string) proof.Fetch {
	return func(path string) ([]byte, error) {
		if c.err != nil {
			return nil, c.err
		}
		return c.get(prefix + "/" + path)
	}
}

// get fetches a URL. No redirects are followed, for the address of a log is
// given by whoever asks; no file of settings is read; and a name and password
// in the URL are refused, for they would stand in the list of processes.
func (c curl) get(url string) ([]byte, error) {
	if err := checkURL(url); err != nil {
		return nil, err
	}
	var stderr bytes.Buffer
	cmd := exec.Command(c.path, "-q", "-f", "-s", "-S", "-g",
		"--proto", "=http,https", "--max-redirs", "0", "--max-time", "60", "--max-filesize", fmt.Sprint(maxBody),
		"-A", "lethe-verify", "-w", "%{http_code}", "--", url)
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("run curl: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("run curl: %w", err)
	}
	body, err := io.ReadAll(io.LimitReader(out, maxBody+int64(len("200"))+1))
	if err == nil && len(body) > maxBody+len("200") {
		_ = cmd.Process.Kill() // it would go on for ever
		err = fmt.Errorf("fetch from the log: more than %d bytes", maxBody)
	}
	failed := cmd.Wait()
	if err != nil {
		return nil, err
	}
	return answer(body, failed, stderr.String())
}

// answer takes apart what curl wrote: the body, and the status behind it. A
// body cut short is no danger: no hash of it would fit.
func answer(out []byte, failed error, stderr string) ([]byte, error) {
	status := ""
	if n := len(out) - len("200"); n >= 0 {
		out, status = out[:n], string(out[n:])
	}
	switch {
	case status == "404" || status == "410":
		return nil, fs.ErrNotExist
	case failed != nil:
		return nil, fmt.Errorf("fetch from the log: %w: %s", failed, strings.TrimSpace(stderr))
	case status != "200":
		return nil, fmt.Errorf("fetch from the log: status %q", status)
	}
	return out, nil
}

// checkURL takes plain URLs alone, to which a path can be added.
func checkURL(url string) error {
	bad := errors.New("--log: want http://HOST/PATH or https://HOST/PATH, without user, query and fragment")
	scheme, rest, ok := strings.Cut(url, "://")
	host, _, _ := strings.Cut(rest, "/")
	if !ok || scheme != "http" && scheme != "https" || host == "" || strings.ContainsAny(rest, "@?#\\\"<>{}|^` ") {
		return bad
	}
	for i := range len(rest) {
		if rest[i] <= ' ' || rest[i] > '~' {
			return bad
		}
	}
	return nil
}
