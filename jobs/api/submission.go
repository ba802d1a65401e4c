package api

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/jobs"
)

// maxTicketBytes is enough for any tracker's reference and too little for a
// letter: a ticket outlives the identities of its request.
const maxTicketBytes = 200

// readSubmission reads the body of a request or of a dry run. Explicit IDs go to
// take, a batch at a time.
func readSubmission(r io.Reader, take func([]string) error) (jobs.Submission, error) {
	var (
		s     jobs.Submission
		given bool
	)
	d := newDecoder(r, take)
	err := d.object("", []field{
		{"selector", func(at string) error { given = true; return d.selector(&s.Selector, at) }},
		{"related", d.flag(&s.Related)},
		{"stores", d.stores(&s.Stores)},
		{"ticket", d.ticket(&s.Ticket)},
		{"regime", d.code(&s.Regime)},
		{"ground", d.code(&s.Ground)},
		{"received_at", d.time(&s.ReceivedAt)},
		{"grace", d.duration(&s.Grace)},
		{"notify_url", d.notifyURL(&s.NotifyURL)},
	})
	if err != nil {
		return jobs.Submission{}, err
	}
	if !given {
		return jobs.Submission{}, unacceptable("selector", "must be given: everything cannot be said by omission")
	}
	return s, d.finish()
}

func (d *decoder) stores(to *[]string) func(string) error {
	return func(at string) error {
		if err := d.open(at, jsontext.KindBeginArray, "must be an array of strings"); err != nil {
			return err
		}
		for d.json.PeekKind() != jsontext.KindEndArray {
			name, err := d.text(at)
			if err != nil {
				return err
			}
			if slices.Contains(*to, name) {
				return unacceptable(at, "must not name a store twice")
			}
			*to = append(*to, name)
		}
		if len(*to) == 0 {
			return unacceptable(at, "must name a store, or be left out for all of them")
		}
		_, err := d.token(at)
		return err
	}
}

func (d *decoder) flag(to *bool) func(string) error {
	return func(at string) error {
		t, err := d.token(at)
		if err != nil {
			return err
		}
		if k := t.Kind(); k != jsontext.KindTrue && k != jsontext.KindFalse {
			return malformed(at, "must be true or false")
		}
		*to = t.Bool()
		return nil
	}
}

func (d *decoder) ticket(to *string) func(string) error {
	return func(at string) (err error) {
		switch *to, err = d.text(at); {
		case err != nil:
			return err
		case len(*to) > maxTicketBytes:
			return unacceptable(at, fmt.Sprintf("must be at most %d bytes", maxTicketBytes))
		case jobs.CheckTicket(*to) != nil:
			return unacceptable(at, "must not have control characters, or others that cannot be seen")
		}
		return nil
	}
}

// notifyURL reads who is to be told. What it may be is the book's to know.
func (d *decoder) notifyURL(to *string) func(string) error {
	return func(at string) (err error) {
		switch *to, err = d.text(at); {
		case err != nil:
			return err
		case *to == "" || len(*to) > jobs.MaxNotifyURL:
			return malformed(at, fmt.Sprintf("must be a URL of 1 to %d bytes", jobs.MaxNotifyURL))
		}
		return nil
	}
}

// code reads a word of a closed set. Which words there are is the book's to
// know; that it is a word is ours.
func (d *decoder) code(to *string) func(string) error {
	return func(at string) (err error) {
		if *to, err = d.text(at); err != nil {
			return err
		}
		if len(*to) == 0 || len(*to) > 64 || strings.IndexFunc(*to, notCode) >= 0 {
			return malformed(at, "must be a code of 1 to 64 lower-case letters, digits, '-', '_' and '.'")
		}
		return nil
	}
}

func notCode(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
}

func (d *decoder) time(to *time.Time) func(string) error {
	return func(at string) error {
		s, err := d.text(at)
		if err != nil {
			return err
		}
		// UnmarshalText keeps to RFC 3339, section 5.6; time.Parse takes more.
		if to.UnmarshalText([]byte(s)) != nil || to.Year() < 1970 {
			return malformed(at, "must be a time since 1970 as in RFC 3339, such as 2026-11-20T09:00:00Z")
		}
		*to = to.UTC()
		return nil
	}
}

func (d *decoder) duration(to *time.Duration) func(string) error {
	return func(at string) error {
		s, err := d.text(at)
		if err != nil {
			return err
		}
		if *to, err = time.ParseDuration(s); err != nil || *to < 0 {
			return malformed(at, "must be a duration of 0 or more in hours, minutes and seconds, such as 72h")
		}
		return nil
	}
}

// checkStores refuses names that are not configured. An empty known list leaves
// the question to the book.
func checkStores(names, known []string) error {
	for _, n := range names {
		if len(known) > 0 && !slices.Contains(known, n) {
			return unacceptable("stores", "must be configured: "+strings.Join(known, ", "))
		}
	}
	return nil
}
