package witness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"lethe/audit/durable"
	"lethe/audit/proof"
)

// Options say what a witness is.
type Options struct {
	Key    string            // file of the signing key, in note format, mode 0600
	State  string            // folder that nobody else writes into
	Name   string            // of a new key; else a name is made up. An existing key has its own
	Logs   []proof.VerifyKey // of the logs to witness; the keys of one name are one log's
	Now    func() time.Time
	Logger *slog.Logger
}

// A Server is a witness (C2SP tlog-witness). Its handler takes requests
// concurrently; those for one log wait for one another.
type Server struct {
	key    key
	signer note.Signer
	state  *state
	logger *slog.Logger
	mux    *http.ServeMux
	logs   map[string]*watched // by file name

	persisted func() // seam of the crash test
}

// A watched log is one that may be cosigned, or was.
type watched struct {
	name   string
	origin string
	keys   []note.Verifier // none if it is no longer configured
	clocks []note.Verifier // of the same keys

	mu    sync.Mutex
	last  *head // newest cosigned; nil if there is none
	text  []byte
	doubt error // why what is on disk is not known
}

// Open starts a witness. With neither key nor state there it makes both; with
// one of them, or a state that is not whole, the error wraps [ErrState]. The
// folder is held until [Server.Close], and one that another process holds is
// refused.
func Open(o Options) (*Server, error) {
	s := &Server{logger: o.Logger, logs: map[string]*watched{}, persisted: func() {}}
	for _, k := range o.Logs {
		if k.Cosigns() {
			return nil, fmt.Errorf("open witness: the key of %s cosigns, it is not that of a log", k.Name())
		}
		w := s.watch(k.Name())
		if len(w.keys) == maxKeys {
			return nil, fmt.Errorf("open witness: more than %d keys of %s", maxKeys, k.Name())
		}
		w.keys = append(w.keys, k)
		w.clocks = append(w.clocks, k.Clock())
	}
	var err error
	if s.state, s.key, err = openState(o.State, o.Key, o.Name); err != nil {
		return nil, err
	}
	if err := s.load(o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.mux = http.NewServeMux()
	s.mux.HandleFunc("POST /add-checkpoint", s.add)
	s.mux.HandleFunc("GET /checkpoint/{log}", s.checkpoint)
	s.mux.HandleFunc("GET /readyz", s.ready)
	s.mux.HandleFunc("GET /key", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, textPlain, s.Key()+"\n")
	})
	return s, nil
}

// watch returns the log of an origin, known from now on.
func (s *Server) watch(origin string) *watched {
	name := fileName(origin)
	if s.logs[name] == nil {
		s.logs[name] = &watched{name: name, origin: origin}
	}
	return s.logs[name]
}

func (s *Server) load(o Options) (err error) {
	for _, k := range o.Logs {
		if k.Same(s.key.VerifyKey) {
			return fmt.Errorf("open witness: %s has the witness's own key", k.Name())
		}
	}
	if s.signer, err = proof.NewCosigner(s.key.Name(), s.key.private, o.Now); err != nil {
		return fmt.Errorf("open witness: %w", err)
	}
	names, err := s.state.files()
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := s.state.get(name)
		if err != nil {
			return err
		}
		if err := s.restore(name, text); err != nil {
			return fmt.Errorf("%w: file %s: %w", ErrState, name, err)
		}
	}
	return nil
}

// restore takes up what was kept of one log.
func (s *Server) restore(name string, text []byte) error {
	h, err := parseHead(text)
	if err != nil {
		return err
	}
	w := s.watch(h.origin)
	if h.signed(s.key) == "" || w.name != name {
		return errors.New("not a head of this log that this witness has cosigned")
	}
	w.last, w.text = &h, text
	return nil
}

// Key returns the witness's verifier key, one line without a line break.
func (s *Server) Key() string { return s.key.String() }

// ServeHTTP implements [http.Handler]:
//
//	POST /add-checkpoint    C2SP tlog-witness
//	GET  /checkpoint/HASH   the newest cosigned head of a log, with its cosignature
//	GET  /key               the verifier key
//	GET  /readyz            200, or 503 if it must be started again
//
// HASH is the SHA-256 of the log's origin in hexadecimal.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Close lets go of the folder. No request may be under way.
func (s *Server) Close() error { return s.state.Close() }

func (s *Server) checkpoint(w http.ResponseWriter, r *http.Request) {
	l := s.logs[r.PathValue("log")]
	if l == nil {
		answer(w, http.StatusNotFound, textPlain, "no such log\n")
		return
	}
	l.mu.Lock()
	text, doubt := l.text, l.doubt
	l.mu.Unlock()
	switch {
	case doubt != nil:
		answer(w, http.StatusInternalServerError, textPlain, "the witness must be started again\n")
	case text == nil:
		answer(w, http.StatusNotFound, textPlain, "never cosigned\n")
	default:
		answer(w, http.StatusOK, textPlain, string(text))
	}
}

// ready says whether every log can be cosigned.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	for _, l := range s.logs {
		l.mu.Lock()
		doubt := l.doubt
		l.mu.Unlock()
		if doubt != nil {
			answer(w, http.StatusServiceUnavailable, textPlain, "the witness must be started again\n")
			return
		}
	}
	answer(w, http.StatusOK, textPlain, "ready\n")
}

// persist makes h, with the lines of the log and of the witness, the newest
// head. l is locked.
func (s *Server) persist(ctx context.Context, l *watched, h head, lines string) error {
	text := []byte(h.text + "\n" + lines)
	if err := s.state.put(l.name, text); err != nil {
		if errors.Is(err, durable.ErrUnsure) {
			l.doubt = err
		}
		s.logger.LogAttrs(ctx, slog.LevelError, "a head could not be kept", slog.String("log", l.origin), slog.String("error", err.Error()))
		return err
	}
	l.last, l.text = &h, text
	s.persisted()
	return nil
}
