package api

import (
	"context"
	"net/http"
	"time"
)

// readyTimeout is less than what probes wait.
const readyTimeout = 3 * time.Second

// healthz is GET /healthz: 200 for as long as the process serves.
func (s *server) healthz(w http.ResponseWriter, _ *http.Request) error {
	return writeText(w, []byte("ok\n"))
}

// readyz is GET /readyz.
func (s *server) readyz(w http.ResponseWriter, r *http.Request) error {
	answer := Readiness{Ready: true}
	if s.Ready != nil {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		answer.Reasons = s.Ready(ctx)
		answer.Ready = len(answer.Reasons) == 0
	}
	if s.States != nil {
		answer.Stores = s.States()
	}
	answer.Roles = s.Roles
	if !s.tells(r) {
		answer.Reasons, answer.Stores, answer.Roles = nil, nil, nil
	}
	status := http.StatusOK
	if !answer.Ready {
		status = http.StatusServiceUnavailable
	}
	return writeJSON(w, status, answer)
}

// tells reports whether to tell who asks more than yes or no: whoever has a
// token, or asks from this machine.
func (s *server) tells(r *http.Request) bool {
	if s.local(r) {
		return true
	}
	_, err := Authenticate(r, s.Tokens, s.Listen)
	return err == nil
}

// local reports whether a call comes from the machine itself, for all that can be
// told: the address listened on is loopback, or not known, and no proxy has passed
// it on.
func (s *server) local(r *http.Request) bool {
	return (s.Listen == "" || loopback(hostOf(s.Listen))) && !passedOn(r.Header)
}

// logKey is GET /log/key.
func (s *server) logKey(w http.ResponseWriter, _ *http.Request) error {
	if s.PublicKey == nil {
		return problem(http.StatusNotFound, "not_found", "there is no log here")
	}
	return writeText(w, []byte(s.PublicKey()+"\n"))
}

// log is GET /log/checkpoint, /log/keys and /log/tile/….
func (s *server) log(w http.ResponseWriter, r *http.Request) error {
	if s.LogHandler == nil {
		return problem(http.StatusNotFound, "not_found", "there is no log here")
	}
	s.LogHandler.ServeHTTP(w, r)
	return nil
}

// document is GET /v1/openapi.yaml.
func (s *server) document(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/openapi+yaml")
	_, _ = w.Write(s.openapi()) // a client that has gone needs no answer
	return nil
}
