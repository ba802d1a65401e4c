package store_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"lethe/store"
)

func TestSelectorValidate(t *testing.T) {
	long := strings.Repeat("x", store.MaxValueBytes)
	meta := func(k string, v store.Value) store.Selector {
		return store.Selector{Metadata: map[string]store.Value{k: v}}
	}
	many := make(map[string]store.Value)
	for i := range store.MaxMetadataKeys + 1 {
		many[fmt.Sprint(i)] = store.BoolValue(true)
	}
	for _, c := range []struct {
		sel   store.Selector
		field string // "" for a valid one
	}{
		{store.Selector{UserID: "alice"}, ""},
		{store.Selector{UserID: long}, ""},
		{store.Selector{UserID: "a*"}, ""},
		{store.Selector{IDs: []string{"1"}}, ""},
		{meta("k", store.BoolValue(false)), ""},
		{store.Selector{}, "selector"},
		{store.Selector{IDs: []string{}}, "selector"},
		{store.Selector{IDs: []string{"1"}, AppID: "a"}, "selector"},
		{store.Selector{Metadata: many}, "selector.metadata"},
		{store.Selector{UserID: long + "x"}, "selector.user_id"},
		{store.Selector{AgentID: " \u00a0\u200b"}, "selector.agent_id"},
		{store.Selector{AppID: "*"}, "selector.app_id"},
		{store.Selector{RunID: "%%"}, "selector.run_id"},
		{store.Selector{UserID: "a\x00"}, "selector.user_id"},
		{store.Selector{UserID: "a\xff"}, "selector.user_id"},
		{store.Selector{IDs: []string{"1", ""}}, "selector.ids"},
		{meta("", store.BoolValue(true)), "selector.metadata key"},
		{meta("k", store.StringValue("")), "selector.metadata"},
		{meta("k", store.Value{}), "selector.metadata"},
	} {
		err := c.sel.Validate()
		var field *store.FieldError
		if errors.As(err, &field) != (c.field != "") || c.field != "" && (field.Field != c.field || !errors.Is(err, store.ErrSelector)) {
			t.Errorf("error %v, want one of field %q", err, c.field)
		}
	}
}

func TestNumbersAreOneByValue(t *testing.T) {
	for _, same := range [][]string{{"1", "1.0", "1e0", "10e-1"}, {"0", "-0", "0.0"}, {"0.5", "5e-1"}, {"9007199254740992", "9.007199254740992e15"}} {
		want, err := store.NumberValue(same[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, literal := range same[1:] {
			if got, err := store.NumberValue(literal); err != nil || got != want {
				t.Errorf("%s is %v, error %v; want it equal to %s", literal, got.Literal(), err, same[0])
			}
		}
	}
	a, _ := store.NumberValue("9007199254740993")
	b, _ := store.NumberValue("9007199254740992")
	if a == b || a == store.StringValue("9007199254740993") {
		t.Error("different values are equal")
	}
	for _, bad := range []string{"", "x", "1e400", "NaN", "Inf"} {
		if _, err := store.NumberValue(bad); err == nil {
			t.Errorf("%q is a number", bad)
		}
	}
}

func TestParseIDReversesString(t *testing.T) {
	for _, id := range []store.ID{{Place: "memories", Key: "x"}, {Place: "p", Key: "a/b/"}} {
		if got, err := store.ParseID(id.String()); err != nil || got != id {
			t.Errorf("got %v, error %v", got, err)
		}
	}
	for _, bad := range []string{"", "/", "a/", "/a", "a"} {
		if _, err := store.ParseID(bad); err == nil {
			t.Errorf("%q is an id", bad)
		}
	}
}

func TestNothingPersonalIsPrinted(t *testing.T) {
	sel := store.Selector{UserID: "SECRET", Metadata: map[string]store.Value{"SECRET": store.StringValue("SECRET")}}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).InfoContext(t.Context(), "x", slog.Any("sel", sel), slog.Any("id", store.ID{Place: "p", Key: "SECRET"}))
	fmt.Fprintf(&log, "%v %+v %#v %s", sel, sel, sel, sel)
	if strings.Contains(log.String(), "SECRET") {
		t.Errorf("printed: %s", log.String())
	}
}

func TestCensusCountsWhatStandsAlone(t *testing.T) {
	c := store.Census{Places: []store.PlaceCount{{Place: "a", Found: 2}, {Place: "b", Found: 3}, {Place: "c", Found: 9, With: "a"}}}
	if c.IDs() != 5 {
		t.Errorf("%d ids, want 5", c.IDs())
	}
}
