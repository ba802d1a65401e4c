package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"lethe/audit/fault"
	"lethe/jobs"
	"lethe/jobs/keyring"
)

// noticeLease is how long one try may take before another process may make the
// next one.
const noticeLease = 20 * time.Second

// A noticeRow is a row of notices. A trigger makes them: whichever statement
// changes a status, the notice stands in its transaction.
type noticeRow struct {
	Request, Endpoint                    string
	Seq                                  int
	Status                               string
	At                                   int64
	Found, Erased, Absent, Held, Refused int
	Body, URL                            []byte
	Attempts                             int
}

// insertNotify keeps who is told of a request, and the first notice: that it was
// received.
func (l *Ledger) insertNotify(ctx context.Context, tx *txn, a jobs.Acceptance) error {
	endpoints := a.Endpoints
	if a.NotifyURL != "" {
		endpoints = append([]string{""}, endpoints...)
	}
	for _, endpoint := range endpoints {
		var sealed []byte
		if endpoint == "" {
			key, err := l.keys.Notify(a.Request.ID)
			if err != nil {
				return err
			}
			if sealed, err = keyring.Seal(key, []byte(a.NotifyURL), notifyContext(a.Request.ID)); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, tx.Rebind(`INSERT INTO webhooks (request, endpoint, url, seq) VALUES (?, ?, ?, 1)`), a.Request.ID, endpoint, sealed)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, tx.Rebind(`INSERT INTO notices (request, endpoint, seq, status, at) VALUES (?, ?, 1, ?, ?)`),
			a.Request.ID, endpoint, a.Request.Status, millis(a.Request.CreatedAt))
		if err != nil {
			return err
		}
	}
	return nil
}

func notifyContext(request string) string { return "notify " + request }

// dueNotices are those whose time has come and before which, for the same
// request and the same receiver, there is no other.
const dueNotices = `notices n WHERE n.next_at <= ? AND n.lease_until <= ? AND NOT EXISTS
	(SELECT 1 FROM notices e WHERE e.request = n.request AND e.endpoint = n.endpoint AND e.seq < n.seq)`

// Notices claims up to limit notices that are due, for noticeLease. No other
// process gets them meanwhile.
func (l *Ledger) Notices(ctx context.Context, limit int) ([]jobs.Notice, error) {
	now := millis(l.now())
	var any int
	err := l.read.GetContext(ctx, &any, l.read.Rebind(`SELECT COUNT(*) FROM (SELECT 1 FROM `+dueNotices+` LIMIT 1) AS due`), now, now)
	if err != nil {
		return nil, fmt.Errorf("find notices: %w", err)
	}
	if any == 0 { // mostly; and it costs no write
		return nil, nil
	}
	var claimed []jobs.Notice
	err = l.write(ctx, func(ctx context.Context, tx *txn) error {
		claimed = nil // it may run more than once
		var rows []noticeRow
		err := tx.SelectContext(ctx, &rows, tx.Rebind(`SELECT n.request, n.endpoint, n.seq, n.status, n.at, n.found, n.erased, n.absent, n.held, n.refused,
			n.body, n.attempts, (SELECT w.url FROM webhooks w WHERE w.request = n.request AND w.endpoint = n.endpoint) AS url
			FROM `+dueNotices+` ORDER BY n.next_at, n.request LIMIT ?`+tx.sql.takeOf("n")), now, now, limit)
		if err != nil {
			return err
		}
		for _, r := range rows {
			n, err := l.claimNotice(ctx, tx, r)
			if err != nil {
				return err
			}
			claimed = append(claimed, n)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("claim notices: %w", err)
	}
	return claimed, nil
}

func (l *Ledger) claimNotice(ctx context.Context, tx *txn, r noticeRow) (jobs.Notice, error) {
	if r.Body == nil || fault.Bug("webhook/bytes-differ") {
		r.Body = r.text(l.now())
	}
	r.Attempts++
	_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE notices SET attempts = ?, lease_until = ?, body = ? WHERE request = ? AND endpoint = ? AND seq = ?`),
		r.Attempts, millis(l.now().Add(noticeLease)), r.Body, r.Request, r.Endpoint, r.Seq)
	if err != nil {
		return jobs.Notice{}, err
	}
	n := jobs.Notice{ID: r.id(), Request: r.Request, Endpoint: r.Endpoint, Seq: r.Seq, Body: r.Body, At: at(r.At), Attempts: r.Attempts}
	if r.Endpoint == "" {
		n.URL, err = l.notifyURL(r)
	}
	return n, err
}

// notifyURL returns "" if the key or the row has gone: then nobody can be told.
func (l *Ledger) notifyURL(r noticeRow) (string, error) {
	key, err := l.keys.Notify(r.Request)
	if isGone(err) || r.URL == nil {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	plain, err := keyring.Unseal(key, r.URL, notifyContext(r.Request))
	return string(plain), err
}

func (r noticeRow) id() string { return r.Request + "-" + strconv.Itoa(r.Seq) }

// text is what is told: no more than codes, counts, times and the request's ID.
// It is the payload of Standard Webhooks: type, timestamp, data.
func (r noticeRow) text(now time.Time) []byte {
	if !fault.Bug("webhook/bytes-differ") {
		now = at(r.At)
	}
	type counts struct {
		Found   int `json:"found"`
		Erased  int `json:"erased"`
		Absent  int `json:"absent"`
		Held    int `json:"held"`
		Refused int `json:"refused"`
	}
	type data struct {
		Request string `json:"request"`
		Status  string `json:"status"`
		Seq     int    `json:"seq"`
		Counts  counts `json:"counts"`
	}
	text, err := json.Marshal(struct {
		ID        string `json:"id"`
		Type      string `json:"type"`
		Timestamp string `json:"timestamp"`
		Data      data   `json:"data"`
	}{
		r.id(), "request.status", now.Format("2006-01-02T15:04:05.000Z"),
		data{r.Request, r.Status, r.Seq, counts{r.Found, r.Erased, r.Absent, r.Held, r.Refused}},
	})
	if err != nil { // of strings and numbers
		panic(fmt.Sprintf("ledger: notice: %v", err))
	}
	return text
}

// NoticeDone takes away a notice that was told, or given up. With the last one
// of a request that has ended, the URL and its key go too.
func (l *Ledger) NoticeDone(ctx context.Context, n jobs.Notice) error {
	wiped := false
	err := l.write(ctx, func(ctx context.Context, tx *txn) error {
		if err := tx.lock(ctx, n.Request); err != nil { // its end is seen, or comes after
			return err
		}
		_, err := tx.ExecContext(ctx, tx.Rebind(`DELETE FROM notices WHERE request = ? AND endpoint = ? AND seq = ?`), n.Request, n.Endpoint, n.Seq)
		if err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, tx.Rebind(`DELETE FROM webhooks WHERE request = ? AND endpoint = ?
			AND NOT EXISTS (SELECT 1 FROM notices n WHERE n.request = webhooks.request AND n.endpoint = webhooks.endpoint)
			AND EXISTS (SELECT 1 FROM requests r WHERE r.id = webhooks.request AND r.completed_at IS NOT NULL)`), n.Request, n.Endpoint)
		if err != nil {
			return err
		}
		gone, err := res.RowsAffected()
		wiped = gone > 0
		return err
	})
	if err != nil {
		return fmt.Errorf("answer notice: %w", err)
	}
	if !wiped || n.Endpoint != "" || fault.Bug("webhook/keep-key") {
		return nil
	}
	fault.Point("ledger/notified")
	if err := l.keys.DestroyNotify(n.Request); err != nil {
		return fmt.Errorf("wipe notify url: %w", err)
	}
	return nil
}

// NoticeLater puts a claimed notice back until then. If it was not tried, the
// claim does not count.
func (l *Ledger) NoticeLater(ctx context.Context, n jobs.Notice, then time.Time, tried bool) error {
	attempts := n.Attempts
	if !tried {
		attempts--
	}
	err := l.write(ctx, func(ctx context.Context, tx *txn) error {
		_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE notices SET next_at = ?, lease_until = 0, attempts = ?
			WHERE request = ? AND endpoint = ? AND seq = ? AND attempts = ?`), millis(then), attempts, n.Request, n.Endpoint, n.Seq, n.Attempts)
		return err
	})
	if err != nil {
		return fmt.Errorf("put notice back: %w", err)
	}
	return nil
}

// PendingNotices returns how many notices are still to be told.
func (l *Ledger) PendingNotices(ctx context.Context) (n int, err error) {
	if err := l.read.GetContext(ctx, &n, `SELECT COUNT(*) FROM notices`); err != nil {
		return 0, fmt.Errorf("count notices: %w", err)
	}
	return n, nil
}

// SweepNotify destroys the keys of URLs that nobody needs any more, which a
// crash has left.
func (l *Ledger) SweepNotify(ctx context.Context) error {
	requests, err := l.keys.Notified()
	if err != nil {
		return err
	}
	for _, id := range requests {
		_, unfiled := requestByID(ctx, l.read, id) // first: what is filed after it is not yet old
		var needed int
		err := l.read.GetContext(ctx, &needed, l.read.Rebind(`SELECT COUNT(*) FROM webhooks WHERE request = ? AND endpoint = ''`), id)
		if err != nil {
			return fmt.Errorf("sweep notify keys: %w", err)
		}
		switch {
		case needed > 0, unfiled != nil && !isNotFound(unfiled):
		case unfiled == nil, stagedBefore(id, l.now().Add(-stagedFor)):
			if err := l.keys.DestroyNotify(id); err != nil {
				return err
			}
		}
	}
	return nil
}
