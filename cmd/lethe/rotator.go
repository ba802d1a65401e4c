package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"lethe/audit"
	"lethe/audit/keyfile"
	"lethe/jobs"
)

// rotateEvery is how often the service looks for a next key.
const rotateEvery = time.Second

// A rotator carries out the rotation of the log's key, step by step, from
// whatever state it finds. The order is:
//
//  1. how long both keys are to sign is written beside the key;
//  2. the next key is made beside it (keyfile.File.MakeNext);
//  3. the log announces it, in an entry that both sign;
//  4. once the overlap is over, the log retires the old key, in an entry that
//     the new one signs alone;
//  5. the next key takes the old one's place, which is destroyed.
//
// A step is taken only once the one before is on disk, so a process that dies
// leaves a state that the same steps go on from. Until 3 nobody has seen a
// signature of the new key; from 4 on nobody is asked for one of the old.
type rotator struct {
	file   keyfile.File
	log    *audit.Log
	write  audit.Write
	now    func() time.Time
	logger *slog.Logger
	pulse  jobs.Pulse

	known string                                        // keys that the log was given last
	turn  func(context.Context) (end func(), err error) // of several processes, one acts; nil for a process that is alone
	idle  bool                                          // there was nothing to do, and only a next key will change that
}

// Run takes steps until ctx is done. Whatever fails is tried again.
func (r *rotator) Run(ctx context.Context) error {
	tick := time.NewTicker(rotateEvery)
	defer tick.Stop()
	turned := r.pulse.Begin()
	for last := ""; ; {
		err := r.step(ctx)
		switch {
		case err == nil:
			last = ""
			turned()
		case err.Error() != last && ctx.Err() == nil:
			last = err.Error()
			r.logger.WarnContext(ctx, "the rotation of the log's key does not go on; it is tried again", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// step does what is next, if anything is. It does all that can be done at once.
func (r *rotator) step(ctx context.Context) error {
	refusal := r.log.Refusal()
	lacks := errors.Is(refusal, audit.ErrNoKey)
	if refusal != nil && !lacks { // nothing can be announced
		return nil
	}
	if r.idle && !lacks {
		if _, err := os.Stat(r.file.Path + nextSuffix); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	r.idle = false
	key, next, err := r.keys()
	if err != nil {
		return err
	}
	if news, err := r.hire(key, next); err != nil {
		return err
	} else if lacks {
		if !news {
			return nil
		}
		// Maybe another process has brought it. If not, the refusal says so.
		if err := r.log.Guard(ctx); !errors.Is(err, audit.ErrNoKey) {
			return err
		}
		return nil
	}
	if r.turn != nil {
		end, err := r.turn(ctx)
		if err != nil || end == nil {
			return err
		}
		defer end()
		if key, next, err = r.keys(); err != nil { // as the one before left them
			return err
		}
	}
	under, err := r.log.Rotation(ctx)
	if err != nil {
		return err
	}
	switch {
	case under == nil && next == nil:
		r.idle = true
		return nil
	case under == nil && r.log.Verifier() == next.Verifier:
		return r.promote(ctx)
	case under == nil:
		return r.announce(ctx, next)
	case key.Verifier == under.New: // the old one is gone, so both cannot sign
		return r.retire(ctx, next)
	case next == nil || next.Verifier != under.New:
		return fmt.Errorf("%w: the log has announced another key than the one in %s", audit.ErrNoKey, r.file.Path+nextSuffix)
	}
	overlap, said, err := readOverlap(r.file)
	if err != nil {
		return err
	}
	until := under.Until
	if end := under.Begun.Add(overlap); said && end.Before(until) {
		until = end
	}
	if r.now().Before(until) {
		return nil
	}
	return r.retire(ctx, next)
}

// hire gives the log the keys that are in the files now: another process may
// have put them there, and announced or retired one. It reports whether they are
// others than before.
func (r *rotator) hire(keys ...*keyfile.Key) (news bool, err error) {
	known := ""
	for _, k := range keys {
		if k == nil {
			continue
		}
		if err := r.log.Hire(audit.Signer{Name: k.Origin, Key: k.Signer}); err != nil {
			return false, err
		}
		known += k.Verifier + " "
	}
	news, r.known = known != r.known, known
	return news, nil
}

// keys reads the key in force, by its file, and the next one.
func (r *rotator) keys() (key, next *keyfile.Key, err error) {
	if key, err = r.file.Open(""); err != nil {
		return nil, nil, err
	}
	next, err = r.file.Next()
	return key, next, err
}

func (r *rotator) announce(ctx context.Context, next *keyfile.Key) error {
	overlap, _, err := readOverlap(r.file)
	if err != nil {
		return err
	}
	if err := r.log.Rotate(ctx, r.write, audit.Signer{Name: next.Origin, Key: next.Signer}, overlap); err != nil {
		return err
	}
	r.logger.InfoContext(ctx, "the log has announced its next key, and signs with both", slog.String("key", next.Verifier), slog.Duration("overlap", overlap))
	return nil
}

func (r *rotator) retire(ctx context.Context, next *keyfile.Key) error {
	if err := r.log.Retire(ctx, r.write); err != nil {
		return err
	}
	r.logger.InfoContext(ctx, "the log has retired its old key", slog.String("key", r.log.Verifier()))
	if next == nil {
		return nil
	}
	return r.promote(ctx)
}

func (r *rotator) promote(ctx context.Context) error {
	// The overlap first: once the key is promoted, another rotation may begin.
	if err := os.Remove(overlapFile(r.file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("end the rotation: %w", err)
	}
	if err := r.file.Promote(); err != nil {
		return err
	}
	return r.log.Retire(ctx, r.write) // forgets the old key, if it was retired before this process began
}
