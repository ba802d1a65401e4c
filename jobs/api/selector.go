package api

import (
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/jobs"
	"lethe/store"
)

// ReadSelector reads a Selector alone, as in a --selector-file, by the rules
// and within the limits of a request body. Explicit IDs are handed to ids, at
// most store.MaxBatch at a time and in order, and are not in the Selector that
// is returned; if ids is nil they are. An error of ids is returned as it is, one
// of r wrapped, and anything wrong with the text is a *Problem: 400 if it is
// malformed, 413 if too large, 422 if it cannot be meant.
func ReadSelector(r io.Reader, ids func([]string) error) (store.Selector, error) {
	var sel store.Selector
	take := ids
	if ids == nil {
		take = func(batch []string) error {
			sel.IDs = append(sel.IDs, batch...)
			return nil
		}
	}
	d := newDecoder(r, take)
	err := d.selector(&sel, "selector")
	if err == nil {
		err = d.finish()
	}
	if err != nil {
		return store.Selector{}, textProblem(err)
	}
	return sel, nil
}

// textProblem turns what is wrong with a text into a Problem and leaves other
// errors alone.
func textProblem(err error) error {
	if errors.Is(err, store.ErrSelector) || errors.Is(err, errTooLarge) {
		return problemOf(err)
	}
	return err
}

// finish reads to the end and hands over the IDs that are left, so that a body
// with few IDs has been read whole before anyone hears of them.
func (d *decoder) finish() error {
	if err := d.end(); err != nil {
		return err
	}
	return d.ids.flush()
}

// selector reads into sel all but the IDs, which go through d.ids.
func (d *decoder) selector(sel *store.Selector, at string) error {
	err := d.object(at, []field{
		{"ids", d.readIDs},
		{"user_id", d.identity(&sel.UserID)},
		{"agent_id", d.identity(&sel.AgentID)},
		{"app_id", d.identity(&sel.AppID)},
		{"run_id", d.identity(&sel.RunID)},
		{"metadata", d.metadata(&sel.Metadata)},
	})
	if err != nil {
		return err
	}
	probe := *sel
	if d.ids.count > 0 {
		probe.IDs = d.ids.batch // never empty once an ID was read
	}
	return probe.Validate()
}

// identity reads one identifier. It is checked here as well as by Validate,
// which cannot tell "" from absence.
func (d *decoder) identity(to *string) func(string) error {
	return func(at string) (err error) {
		if *to, err = d.text(at); err != nil {
			return err
		}
		return store.CheckValue(at, *to)
	}
}

// metadata reads an object of scalars. Its keys are the asker's own, so errors
// name the object alone.
func (d *decoder) metadata(to *map[string]store.Value) func(string) error {
	return func(at string) error {
		if err := d.open(at, jsontext.KindBeginObject, "must be an object"); err != nil {
			return err
		}
		*to = map[string]store.Value{}
		for d.json.PeekKind() != jsontext.KindEndObject {
			name, err := d.token(at)
			if err != nil {
				return within(err, nil)
			}
			key := name.String()
			if (*to)[key], err = d.scalar(at); err != nil {
				return err
			}
		}
		if len(*to) == 0 {
			return unacceptable(at, "must not be empty")
		}
		_, err := d.token(at)
		return err
	}
}

func (d *decoder) scalar(at string) (store.Value, error) {
	t, err := d.token(at)
	if err != nil {
		return store.Value{}, err
	}
	switch t.Kind() {
	case jsontext.KindString:
		return store.StringValue(t.String()), nil
	case jsontext.KindTrue, jsontext.KindFalse:
		return store.BoolValue(t.Bool()), nil
	case jsontext.KindNumber:
		v, err := store.NumberValue(t.String())
		if err != nil {
			return v, unacceptable(at, "must have numbers that a float64 can hold")
		}
		return v, nil
	}
	return store.Value{}, malformed(at, "must have string, number or boolean values")
}

// An idReader gathers IDs into batches. The last batch is kept until flush.
type idReader struct {
	take  func([]string) error
	batch []string
	count int
}

func (i *idReader) add(id string) error {
	if len(i.batch) == store.MaxBatch {
		if err := i.flush(); err != nil {
			return err
		}
	}
	i.count++
	i.batch = append(i.batch, id)
	return nil
}

func (i *idReader) flush() error {
	if len(i.batch) == 0 {
		return nil
	}
	batch := i.batch
	i.batch = make([]string, 0, store.MaxBatch) // the taker may keep the old one
	return i.take(batch)
}

func (d *decoder) readIDs(at string) error {
	if err := d.open(at, jsontext.KindBeginArray, "must be an array of strings"); err != nil {
		return err
	}
	start := d.json.InputOffset()
	for d.json.PeekKind() != jsontext.KindEndArray {
		if d.ids.count == jobs.MaxIDs {
			return unacceptable(at, fmt.Sprintf("must have at most %d elements", jobs.MaxIDs))
		}
		if err := d.readID(at); err != nil {
			return err
		}
		d.body.ids = d.json.InputOffset() - start
	}
	if d.ids.count == 0 {
		return unacceptable(at, "must have at least one element")
	}
	_, err := d.token(at)
	return err
}

func (d *decoder) readID(at string) error {
	t, err := d.token(at)
	if err != nil {
		return err
	}
	if t.Kind() != jsontext.KindString {
		return malformed(at, fmt.Sprintf("must have strings only (element %d)", d.ids.count+1))
	}
	id := t.String()
	if f, ok := errors.AsType[*store.FieldError](store.CheckValue(at, id)); ok {
		return unacceptable(at, fmt.Sprintf("%s (element %d)", f.Problem, d.ids.count+1))
	}
	return d.ids.add(id)
}
