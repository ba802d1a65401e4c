package tables_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lethe/store/tables"
)

func TestATimeIsReadAsLateAsItCanBeMeant(t *testing.T) {
	for text, want := range map[string]string{
		// Instants, to the end of the unit in which they are written.
		"2026-06-15T12:00:00Z":               "2026-06-15T12:00:00.999999999Z",
		"2026-06-15t12:00:00z":               "2026-06-15T12:00:00.999999999Z",
		"2026-06-15T12:00:00.000Z":           "2026-06-15T12:00:00.000999999Z",
		"2026-06-15T11:54:57.686896+00:00":   "2026-06-15T11:54:57.686896999Z",
		"2026-06-15 11:54:57.686896+00":      "2026-06-15T11:54:57.686896999Z",
		"2026-06-15 12:00:00.123456789Z":     "2026-06-15T12:00:00.123456789Z",
		"2026-06-15 12:00:00.1234567891234Z": "2026-06-15T12:00:00.123456789Z",
		"2026-06-15T12:00:00+02:00":          "2026-06-15T10:00:00.999999999Z",
		"2026-06-15T12:00:00+0545":           "2026-06-15T06:15:00.999999999Z",
		"2026-06-15 12:00:00 -0800":          "2026-06-15T20:00:00.999999999Z",
		"2026-06-15 12:00:00-00:00":          "2026-06-15T12:00:00.999999999Z",
		"2026-06-15 12:00:00+00:19:32":       "2026-06-15T11:40:28.999999999Z",
		"2026-06-15 12:00:00 UTC":            "2026-06-15T12:00:00.999999999Z",
		"2026-06-15T12:00Z":                  "2026-06-15T12:00:59.999999999Z",
		"2026-12-31T23:59:60Z":               "2027-01-01T00:00:00.999999999Z",
		"2024-02-29T00:00:00+14:00":          "2024-02-28T10:00:00.999999999Z",
		// Without a zone: where the day comes last.
		"2026-06-15T12:00:00":     "2026-06-16T00:00:00.999999999Z",
		"2026-06-15 12:00:00.250": "2026-06-16T00:00:00.250999999Z",
		"2026-06-15 12:00":        "2026-06-16T00:00:59.999999999Z",
		"2026-06-15":              "2026-06-16T11:59:59.999999999Z",
		"2026-12-31":              "2027-01-01T11:59:59.999999999Z",
		"9999-12-31":              "10000-01-01T11:59:59.999999999Z",
		"1990-01-01":              "1990-01-02T11:59:59.999999999Z",
		// Not sure to mean one thing.
		"": "", " ": "", "now": "", "null": "", "2026": "", "2026-06": "", "2026-6-15": "", "26-06-15": "", "15-06-2026": "", "06/15/2026": "",
		"20260615": "", "20260615T120000Z": "", "1781524800": "", "2026-06-31": "", "2025-02-29": "", "2026-00-10": "", "2026-13-01": "",
		"2026-06-15T": "", "2026-06-15 ": "", " 2026-06-15": "", "2026-06-15\n": "", "2026-06-15x12:00:00": "", "2026-06-15T12": "", "2026-06-15T12:60:00Z": "",
		"2026-06-15T24:00:00Z": "", "2026-06-15T12:00:61Z": "", "2026-06-15T12:00:00.Z": "", "2026-06-15T12:00.5Z": "", "2026-06-15T12:00:00,5Z": "",
		"2026-06-15Z": "", "2026-06-15+02:00": "", "2026-06-15T12:00:00+": "", "2026-06-15T12:00:00+2": "", "2026-06-15T12:00:00+02:0": "", "2026-06-15T12:00:00+00:0000": "",
		"2026-06-15T12:00:00+14:01": "", "2026-06-15T12:00:00-12:01": "", "2026-06-15T12:00:00+02:60": "", "2026-06-15T12:00:00+02:00:00:00": "",
		"2026-06-15T12:00:00Z ": "", "2026-06-15T12:00:00Z[Europe/Berlin]": "", "2026-06-15T12:00:00 CEST": "", "2026-06-15T12:00:00+02:00 BC": "",
		"2026-06-15T12:00:00-+2:00": "", "2026-06-15T12:00:00  +02": "", "+2026-06-15": "", "-026-06-15": "", "12026-06-15": "", "2026-06-15T-1:00:00Z": "",
		"２０２６-06-15": "", "2026\u201106\u201115": "", "2026-06-15\x00": "", "infinity": "", "-infinity": "", "2026-W25-1": "", "2026-166": "",
		// What programs write for none.
		"0001-01-01T00:00:00Z": "", "1970-01-01": "", "1970-01-01T00:00:00.000Z": "", "0000-00-00 00:00:00": "", "1989-12-30": "",
	} {
		got := ""
		if at, ok := tables.LatestMeant(text); ok {
			got = at.Format(time.RFC3339Nano)
		}
		if got != want {
			t.Errorf("%q: read as %q, want %q", text, got, want)
		}
	}
}

func TestANumberIsReadByItsSize(t *testing.T) {
	for literal, want := range map[string]string{
		"1781524800":              "2026-06-15T12:00:00.999999999Z",
		"1781524800000":           "2026-06-15T12:00:00.000999999Z",
		"1781524800123":           "2026-06-15T12:00:00.123999999Z",
		"1781524800123456":        "2026-06-15T12:00:00.123456999Z",
		"1781524800.5":            "2026-06-15T12:00:00.999999999Z",
		"1.7815248e9":             "2026-06-15T12:00:00.999999999Z",
		"631152000":               "1990-01-01T00:00:00.999999999Z",
		"4102444799":              "2099-12-31T23:59:59.999999999Z",
		"631151999":               "",
		"4102444800":              "",
		"631151999999":            "",
		"4102444800000":           "",
		"631151999999999":         "",
		"4102444800000000":        "",
		"1781524800123456789":     "", // nanoseconds
		"20260615":                "",
		"20260615120000":          "",
		"2461207.0":               "", // a Julian day
		"0":                       "",
		"-1781524800":             "",
		"1e400":                   "",
		"99999999999999999999999": "",
	} {
		got := ""
		if at, ok := tables.LatestMeant(json.Number(literal)); ok {
			got = at.Format(time.RFC3339Nano)
		}
		if got != want {
			t.Errorf("%s: read as %q, want %q", literal, got, want)
		}
	}
	for _, value := range []any{true, false, nil, map[string]any{}, []any{"2026-06-15"}, 1781524800} {
		if at, ok := tables.LatestMeant(value); ok {
			t.Errorf("%v is read as %v", value, at)
		}
	}
}

// TestNothingIsReadTooEarly writes instants as clocks all over the earth would, more
// or less exactly, and with or without saying where they are.
func TestNothingIsReadTooEarly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(631238400, 4102358400).Draw(t, "second"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanosecond"))
		quarter := rapid.IntRange(-12*4, 14*4).Draw(t, "quarters of an hour east")
		local := at.In(time.FixedZone("", quarter*15*60))
		layout := rapid.SampledFrom([]string{
			time.DateOnly, "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02T15:04:05.000", "2006-01-02 15:04:05.999999", "2006-01-02T15:04:05.000000000",
			"2006-01-02T15:04Z07:00", time.RFC3339, time.RFC3339Nano, "2006-01-02 15:04:05.000-07", "2006-01-02 15:04:05 -0700", "2006-01-02T15:04:05.999999-0700",
		}).Draw(t, "layout")
		if strings.HasSuffix(layout, "-07") && quarter%4 != 0 {
			layout += "00"
		}
		read, ok := tables.LatestMeant(local.Format(layout))
		if !ok {
			t.Fatalf("%q is not read", local.Format(layout))
		}
		late := 24 * time.Hour // more than the unit, and less than two
		if !strings.Contains(layout, "07") {
			late += 26 * time.Hour // from the farthest east to the farthest west
		}
		if read.Before(at) || read.Sub(at) > late {
			t.Fatalf("%q means %v and is read as %v", local.Format(layout), at.UTC(), read)
		}
		for unit, n := range map[time.Duration]int64{time.Second: at.Unix(), time.Millisecond: at.UnixMilli(), time.Microsecond: at.UnixMicro()} {
			read, ok := tables.LatestMeant(json.Number(strconv.FormatInt(n, 10)))
			if !ok || read.Before(at) || read.Sub(at) > unit {
				t.Fatalf("%d means %v and is read as %v", n, at.UTC(), read)
			}
		}
	})
}

// FuzzNothingIsReadTooEarly compares with what Go reads, in the zone where the day
// comes last. What Go does not read in any of these layouts is nothing.
func FuzzNothingIsReadTooEarly(f *testing.F) {
	for _, text := range []string{
		"2026-06-15T12:00:00Z", "2026-06-15 12:00:00.5+02", "2026-06-15", "2026-06-15 12:00", "2026-06-15T23:59:60Z", "1970-01-01", "2026-06-15 12:00:00 UTC", "infinity",
		"2026-06-15T12:00:00.000000000000001-12:00",
	} {
		f.Add(text)
	}
	var layouts []string
	for _, separator := range []string{"T", " ", "t"} {
		for _, clock := range []string{"15:04", "15:04:05"} {
			for _, zone := range []string{"", "Z07:00", "Z0700", "Z07", "Z07:00:00", "Z070000", " Z07:00", " Z0700", " Z07", " Z07:00:00", " Z070000", "z", " UTC"} {
				layouts = append(layouts, "2006-01-02"+separator+clock+zone)
			}
		}
	}
	layouts = append(layouts, time.DateOnly)
	west := time.FixedZone("", -12*60*60)
	f.Fuzz(func(t *testing.T, text string) {
		latest, ok := tables.LatestMeant(text)
		if !ok {
			return
		}
		plain := text
		if head, tail, leap := strings.Cut(text, ":60"); leap && !strings.Contains(head, "+") && strings.Count(head, ":") == 1 {
			plain = head + ":59" + tail // which Go does not read
		}
		var readings []string
		for _, layout := range layouts {
			at, err := time.ParseInLocation(layout, plain, west)
			if strings.HasSuffix(layout, "z") || strings.HasSuffix(layout, "UTC") {
				at, err = time.Parse(layout, plain)
			}
			if err != nil {
				continue
			}
			readings = append(readings, layout)
			if latest.Before(at.Truncate(time.Nanosecond)) {
				t.Errorf("%q is read as %v, and can mean %v", text, latest, at.UTC())
			}
		}
		if len(readings) == 0 {
			t.Errorf("%q is read as %v, and Go reads it in no layout", text, latest)
		}
		if latest.Year() < 1990 {
			t.Errorf("%q is read as %v", text, latest)
		}
	})
}
