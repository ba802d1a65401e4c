package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lethe/audit/proof"
	"lethe/audit/witness"
)

const (
	witnessListen = "127.0.0.1:8181"
	witnessState  = "lethe-witness" // folder
	keySuffix     = ".key"          // of the key beside it
)

func witnessCommand(c *console) *cobra.Command {
	var (
		o      witness.Options
		listen string
		logs   []string
	)
	cmd := &cobra.Command{
		Use:   "witness",
		Short: "Watch over somebody else's log: cosign its heads as long as it only grows",
		Long: `Witness runs a C2SP tlog-witness. A log shows it each new signed head, with a
proof that it grew from the one before, and gets a cosignature. One that was
rolled back or rewritten gets none. Whoever asks for the cosignature when
checking a certificate then knows that the log has shown one history to all.

It is worth as much as it is independent. Run it on another machine than the
log, with a key that belongs to other people: a customer, an auditor, a partner.

At the first start it makes a key and a state folder. They belong together: the
folder holds what was cosigned, and a witness that forgot it would cosign a
second history. So neither is used without the other, and the folder must never
be restored from a backup. If either is lost, remove both and start a new witness
with a new key.

If a log signs two heads of one size, the evidence is kept in the state folder, as
HASH.contradiction, which lethe verify reads.

Prints the verifier key, one line, which the log and those who check its
certificates are given. Logs go to standard error as JSON. Anyone may ask, for
what counts is the log's signature; put a proxy with TLS before it.

  POST /add-checkpoint    C2SP tlog-witness
  GET  /checkpoint/HASH   the newest cosigned head of a log, where HASH is the
                          SHA-256 of its origin in hexadecimal
  GET  /key               the verifier key
  GET  /readyz            200, or 503 if it must be started again`,
		Example: `  lethe witness --log lethe.pub --name witness.example.com/w1
  lethe witness --log lethe.pub --log other.pub --listen 10.0.0.7:8181 --state /srv/witness --key /etc/witness.key`,
		Args:        wants(),
		Annotations: map[string]string{exitNote: exitSection()},
	}
	f := cmd.Flags()
	f.StringVar(&listen, "listen", witnessListen, "`ADDR` of the HTTP server")
	f.StringVar(&o.Key, "key", "", "`FILE` of the signing key, made at the first start (default the state folder's name and .key)")
	f.StringArrayVar(&logs, "log", nil, "verifier `KEY` of a log to watch over, or a file with them as lethe keys --all prints it; may be given again")
	f.StringVar(&o.State, "state", witnessState, "`DIR` for what was cosigned, made at the first start")
	f.StringVar(&o.Name, "name", "", "`NAME` of a new key, such as witness.example.com/w1 (default made up)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if o.Logs, err = logKeys(logs); err != nil {
			return usagef(cmd, "--log: %s", err)
		}
		if o.Key == "" {
			o.Key = strings.TrimRight(o.State, "/") + keySuffix
		}
		o.Now, o.Logger = time.Now, slog.New(slog.NewJSONHandler(c.stderr, nil))
		return runWitness(cmd.Context(), c, listen, o)
	}
	return cmd
}

// logKeys reads verifier keys of logs, each given as it is or as a file. A key
// that was retired (#lethe:until) is left out: it signs no new head, and whoever
// has stolen it is not to get one cosigned.
func logKeys(given []string) ([]proof.VerifyKey, error) {
	var keys []proof.VerifyKey
	for n, text := range given {
		if b, err := readSmallFile(text, 64<<10); err == nil {
			text = string(b)
		} else if strings.Count(text, "+") < 2 {
			return nil, err
		}
		list, err := proof.ParseKeys([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("number %d: %w", n+1, err)
		}
		before := len(keys)
		for _, k := range list.Logs() {
			if k.Until == proof.Unbounded {
				keys = append(keys, k.Key)
			}
		}
		if len(keys) == before {
			return nil, fmt.Errorf("number %d has no key that is not retired", n+1)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("give the verifier key of a log at least, see lethe keys")
	}
	return keys, nil
}

func runWitness(ctx context.Context, c *console, listen string, o witness.Options) error {
	s, err := witness.Open(o)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return errors.Join(fmt.Errorf("listen: %w", err), s.Close())
	}
	c.answer("%s\n", s.Key())
	o.Logger.InfoContext(ctx, "witnessing", slog.String("listen", listener.Addr().String()), slog.Int("log_keys", len(o.Logs)))
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute, // logs ask again and again
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
	}
	err = serveUntil(ctx, server, listener)
	o.Logger.InfoContext(context.WithoutCancel(ctx), "stopped")
	return errors.Join(err, s.Close())
}

// serveUntil serves until ctx is done, and then as long as open requests take,
// httpDrain at most.
func serveUntil(ctx context.Context, server *http.Server, listener net.Listener) error {
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), httpDrain)
		defer cancel()
		err := server.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close() // a client that does not let go must not hold up the stop
		}
		stopped <- err
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return <-stopped
}
