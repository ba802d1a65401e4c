package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lethe/audit"
	"lethe/audit/keyfile"
	"lethe/audit/proof"
	"lethe/jobs/keyring"
	"lethe/jobs/ledger"
)

// A repair is a command on the ledger of a service that is stopped.
type repair struct{ config, data string }

func (r *repair) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.config, "config", "", "configuration `FILE` (YAML)")
	cmd.Flags().StringVar(&r.data, "data", "", "data folder `DIR` (default lethe-data)")
	cmd.Annotations = map[string]string{exitNote: exitSection(exitUnverified, exitForked)}
}

func (r *repair) load() (Config, keyfile.File, error) {
	c, err := Load(r.config, Overrides{Data: r.data})
	if err != nil {
		return c, keyfile.File{}, err
	}
	f := c.keyFile()
	if _, err := os.Stat(f.Path); err != nil { // else a key would be made
		return c, f, fmt.Errorf("find the log's key: %w", err)
	}
	return c, f, nil
}

// openRepair opens the ledger without a key to sign with, and takes its lock.
func openRepair(ctx context.Context, c Config, verifier string) (*ledger.Ledger, error) {
	anchors, err := c.logAnchors()
	if err != nil {
		return nil, err
	}
	keys, err := keyring.Open(filepath.Join(c.Data, keysFolder))
	if err != nil {
		return nil, err
	}
	origin, _, _ := strings.Cut(verifier, "+")
	former, err := c.keyFile().Retired()
	if err != nil {
		return nil, err
	}
	l, err := ledger.Open(ctx, ledger.Options{
		Dir: c.Data, URL: c.postgres(), Alone: true, Keys: keys,
		Origin: origin, Verifier: verifier, Former: former, Anchors: anchors,
	})
	if errors.Is(err, ledger.ErrLocked) {
		return nil, fmt.Errorf("%w: stop lethe serve first, every process of it", err)
	}
	return l, err
}

func logImportCommand(c *console) *cobra.Command {
	var r repair
	cmd := &cobra.Command{
		Use:   "import DIR_OR_URL",
		Short: "Bring back entries that the ledger has lost, from a copy of the log",
		Long: `After the ledger was put back to an older state, the log refuses to append: it
would sign a second history. Import brings the missing entries back from a copy:
a folder that lethe log export wrote, a mirror, or a server such as
https://erasure.example.com/log.

Put the newest backup of the ledger back first: a request that only the log knows
is not worked on.

Nothing of the copy is believed that its signed head does not vouch for. It must
begin with all that the ledger has, and have all that the anchors know of.
Nothing is signed anew. Requests that had ended by then are ended in the ledger
too; those that it no longer knows are printed, one a line, if they must be asked
for again. If a store was put back as well, run lethe replay once the service is up.

The service must be stopped.`,
		Example: `  lethe log import --config lethe.yaml /srv/www/log`,
		Args:    wants("DIR_OR_URL"),
	}
	r.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		config, file, err := r.load()
		if err != nil {
			return err
		}
		key, err := file.Open("")
		if err != nil {
			return err
		}
		l, err := openRepair(cmd.Context(), config, key.Verifier)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, l.Close()) }()
		in, err := l.Import(cmd.Context(), copyAt(cmd.Context(), args[0]), time.Duration(config.SubjectKeyRetention))
		c.printImported(in)
		return err
	}
	return cmd
}

// copyAt returns a Fetch for a copy of a log in a folder or at a URL.
func copyAt(ctx context.Context, where string) proof.Fetch {
	if strings.HasPrefix(where, "http://") || strings.HasPrefix(where, "https://") {
		return publishedAt(ctx)(strings.TrimRight(where, "/"))
	}
	return folder(where)
}

func (c *console) printImported(in ledger.Imported) {
	c.talk("%s came back\n", counted(int(in.Entries), "entry", "entries"))
	if n := len(in.Ended); n > 0 {
		c.talk("%s open in the ledger, and the log says how it ended: now it has\n", counted(n, "request was", "requests were"))
	}
	if n := len(in.Unknown); n > 0 {
		c.talk("%s had ended that the ledger does not know: lethe status does not find them, lethe certificate does\n", counted(n, "request", "requests"))
	}
	if in.Forgot > 0 {
		c.talk("%s completed since, whose digests the ledger does not have. If a store was put back too, run lethe replay --store NAME once the service is up: whoever was forgotten by one name or one ID is recognized by the log, for as long as the request's subject key is kept; what was asked for in another way must be asked for again\n", counted(in.Forgot, "request was", "requests were"))
	}
	for _, id := range in.Holds {
		c.talk("hold %s stands by the log, and the ledger does not know whom it is about: place it again before the service starts\n", id)
	}
	if n := len(in.Lost); n > 0 {
		c.talk("%s had been accepted and had not ended, and the ledger does not know of it. To be asked for again:\n", counted(n, "request", "requests"))
	}
	for _, id := range in.Lost {
		c.answer("%s\n", id)
	}
}

func logSucceedCommand(c *console) *cobra.Command {
	var (
		r              repair
		reason, origin string
	)
	cmd := &cobra.Command{
		Use:   "succeed --reason CODE",
		Short: "Close a log that cannot be repaired, and begin another one that names it",
		Long: `The last way out: for a ledger whose missing entries are gone for good, a log
that was forked, or a key that was stolen. The log is closed. Another one begins
in the same ledger, with another origin and another key. Its first entry says for
good which head of the old log was the newest that anyone held, its size, and
why.

The old log can be read as before, and certificates of its entries are still
given out. Its key is destroyed, but for the public half. Publish the new key,
which is printed, and say why. A log_origin in the configuration must be changed.

The service must be stopped, and every anchor must answer. If the command is
interrupted, run it again. A new log that an anchor knows already is not begun a
second time: put back a ledger that has it. If there is none, give another
--origin, and take the lost log's head from the anchors by hand.`,
		Example: `  lethe log succeed --config lethe.yaml --reason rolled-back
  lethe log succeed --data ./lethe-data --reason key-compromised --origin erasure.example.com/log2027`,
		Args: wants(),
	}
	r.add(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, as a `CODE` that goes into the log: lower-case letters, digits, dots, dashes")
	cmd.Flags().StringVar(&origin, "origin", "", "`NAME` of the new log (default the old one's and /2, /3 …)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if reason == "" {
			return usagef(cmd, "needs --reason")
		}
		if problem := originProblem(origin); problem != "" {
			return usagef(cmd, "--origin %s", problem)
		}
		config, file, err := r.load()
		if err != nil {
			return err
		}
		s := succession{ctx: cmd.Context(), config: config, file: file, origin: origin, reason: reason}
		held, verifier, err := s.run()
		if err != nil {
			return err
		}
		c.talk("closed %s at %d entries, root %s\n", held.Origin, held.Size, held.Root)
		c.answer("%s\n", verifier)
		return nil
	}
	return cmd
}

// A succession is one run of lethe log succeed. First the key is replaced, then
// the ledger changes, in one transaction; so a key of an origin that the ledger
// does not know is what an interrupted run leaves.
type succession struct {
	ctx            context.Context
	config         Config
	file           keyfile.File
	origin, reason string
}

func (s *succession) run() (held proof.Head, verifier string, err error) {
	key, err := s.file.Open("")
	if err != nil {
		return held, "", err
	}
	l, err := openRepair(s.ctx, s.config, key.Verifier)
	if errors.Is(err, audit.ErrOther) {
		if s.origin == "" {
			s.origin = key.Origin // that of the interrupted run
		}
		l, err = s.openRetired()
	} else if s.origin == "" {
		s.origin = nextOrigin(key.Origin)
	}
	if err != nil {
		return held, "", err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if held, err = l.Log().Held(s.ctx); err != nil {
		return held, "", err
	}
	verifier, err = l.Log().Succeed(s.ctx, l.Settled, audit.Heir{Origin: s.origin, Reason: s.reason, Key: func() (crypto.Signer, error) {
		k, err := s.file.Replace(s.origin, "")
		if err != nil {
			return nil, err
		}
		return k.Signer, nil
	}})
	return held, verifier, err
}

// openRetired opens the ledger under the retired key that its newest log has.
func (s *succession) openRetired() (*ledger.Ledger, error) {
	retired, err := s.file.Retired()
	if err != nil {
		return nil, err
	}
	for _, verifier := range retired {
		l, err := openRepair(s.ctx, s.config, verifier)
		switch {
		case err == nil && errors.Is(l.Log().Refusal(), audit.ErrSucceeded): // one before
			if err := l.Close(); err != nil {
				return nil, err
			}
		case err == nil:
			return l, nil
		case !errors.Is(err, audit.ErrOther) && !errors.Is(err, audit.ErrBroken): // the key of another log, or not its last
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w, and of its keys none is kept beside the key file", audit.ErrOther)
}

// nextOrigin counts up the last segment of an origin.
func nextOrigin(origin string) string {
	dir, last := origin, ""
	if i := strings.LastIndexByte(origin, '/'); i >= 0 {
		dir, last = origin[:i], origin[i+1:]
	}
	if n, err := strconv.ParseUint(last, 10, 16); err == nil && n > 1 && strconv.FormatUint(n, 10) == last {
		return dir + "/" + strconv.FormatUint(n+1, 10)
	}
	return origin + "/2"
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
