package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/jobs"
	"lethe/store"
)

const sweptStores = `stores:
  - {name: assistant, kind: mem0-sqlite, vectors: v.db, entities: e.db, history: h.db}
  - {name: bare, kind: mem0-sqlite, vectors: w.db, entities: none, history: none}
  - name: app
    kind: tables
    driver: sqlite3
    file: app.db
    places:
      - {table: chat, id: id, match: {user_id: customer}, created: made}
      - {table: files, id: id, parent: {table: chat, column: chat}}
  - {name: ageless, kind: tables, driver: sqlite3, file: a.db, places: [{table: chat, id: id, match: {user_id: customer}}]}
policies:
`

// What cannot be meant is refused, each with its place and what to do: an absurd
// age, a unit left out, a policy of everything.
func TestPolicyFaultsSayWhereAndWhat(t *testing.T) {
	const where = ", where: {expired: true}}\n"
	for _, c := range []struct{ name, text, want string }{
		{"no unit", "  - {name: a, stores: [app], every: 24h, where: {older_than: 90}}\n", "lethe.yaml:13:62: policies[0].where.older_than: must be a duration such as 36h, 90m or 30d"},
		{"a negative age", "  - {name: a, stores: [app], every: 24h, where: {older_than: -90d}}\n", "lethe.yaml:13:62: policies[0].where.older_than: must be"},
		{"a negative age in hours", "  - {name: a, stores: [app], every: 24h, where: {older_than: -2160h}}\n", "policies[0].where.older_than: must be"},
		{"no age", "  - {name: a, stores: [app], every: 24h, where: {older_than: 0d}}\n", "lethe.yaml:13:62: policies[0].where.older_than: must be from 1h to 36500d"},
		{"zero", "  - {name: a, stores: [app], every: 24h, where: {older_than: 0}}\n", "policies[0].where.older_than: must be from 1h to 36500d"},
		{"minutes for months", "  - {name: a, stores: [app], every: 24h, where: {older_than: 3m}}\n", "policies[0].where.older_than: must be from 1h to 36500d"},
		{"nanoseconds", "  - {name: a, stores: [app], every: 24h, where: {older_than: 90ns}}\n", "policies[0].where.older_than: must be from 1h"},
		{"beyond a century", "  - {name: a, stores: [app], every: 24h, where: {older_than: 36501d}}\n", "policies[0].where.older_than: must be from 1h to 36500d"},
		{"more than fits", "  - {name: a, stores: [app], every: 24h, where: {older_than: 99999999999999999999h}}\n", "policies[0].where.older_than: must be a duration"},
		{"half a second", "  - {name: a, stores: [app], every: 24h, where: {older_than: 90h0.5s}}\n", "policies[0].where.older_than: must be whole seconds"},
		{"a word", "  - {name: a, stores: [app], every: 24h, where: {older_than: old}}\n", "policies[0].where.older_than: must be a"},
		{"not expired", "  - {name: a, stores: [assistant], every: 1h, where: {expired: false}}\n", "lethe.yaml:13:64: policies[0].where.expired: must be true, or be left out"},
		{"everything", "  - {name: a, stores: [assistant], every: 1h}\n", "policies[0].where: must have expired: true, older_than or orphaned: true: a policy erases by age"},
		{"empty where", "  - {name: a, stores: [assistant], every: 1h, where: {}}\n", "policies[0].where: must have expired"},
		{"a user of any age", "  - {name: a, stores: [assistant], every: 1h, where: {user_id: alice}}\n", "policies[0].where: must have expired"},
		{"orphans by age", "  - {name: a, stores: [assistant], every: 1h, where: {orphaned: true, older_than: 90d}}\n", "policies[0].where: must have orphaned alone"},
		{"orphans of a user", "  - {name: a, stores: [assistant], every: 1h, where: {orphaned: true, user_id: alice}}\n", "policies[0].where: must have orphaned alone"},
		{"a wildcard", "  - {name: a, stores: [assistant], every: 1h, where: {expired: true, user_id: \"*\"}}\n", "policies[0].where.user_id: must not be a wildcard"},
		{"a number for a user", "  - {name: a, stores: [assistant], every: 1h, where: {expired: true, user_id: 7}}\n", "policies[0].where.user_id: must be a text"},
		{"an unknown key", "  - {name: a, stores: [assistant], every: 1h, where: {older: 90d}}\n", "policies[0].where.older: is not a key"},
		{"metadata of lists", "  - {name: a, stores: [assistant], every: 1h, where: {expired: true, metadata: {a: [1]}}}\n", "policies[0].where.metadata.a: must be a text, a number, true or false"},
		{"no name", "  - {stores: [assistant], every: 1h" + where, "policies[0].name: must be 1 to 40"},
		{"a loud name", "  - {name: Expired!, stores: [assistant], every: 1h" + where, "lethe.yaml:13:12: policies[0].name: must be 1 to 40"},
		{"a name twice", "  - {name: a, stores: [assistant], every: 1h" + where + "  - {name: a, stores: [assistant], every: 2h" + where, "lethe.yaml:14:12: policies[1].name: is taken by another policy"},
		{"no store", "  - {name: a, every: 1h" + where, "policies[0].stores: must name the stores"},
		{"an unknown store", "  - {name: a, stores: [asistant], every: 1h" + where, "lethe.yaml:13:24: policies[0].stores[0]: must be the name of a store"},
		{"a store twice", "  - {name: a, stores: [assistant, assistant], every: 1h" + where, "policies[0].stores[1]: is there twice"},
		{"a store without ends", "  - {name: a, stores: [app], every: 1h" + where, "policies[0].stores[0]: has no place that says what the policy goes by: give a place expires"},
		{"a store without times", "  - {name: a, stores: [app, ageless], every: 1h, where: {older_than: 90d}}\n", "policies[0].stores[1]: has no place that says what the policy goes by: give a place created"},
		{"a store without history", "  - {name: a, stores: [bare], every: 1h, where: {orphaned: true}}\n", "policies[0].stores[0]: has no history"},
		{"a store without children", "  - {name: a, stores: [ageless], every: 1h, where: {orphaned: true}}\n", "policies[0].stores[0]: has no place with parent"},
		{"never due", "  - {name: a, stores: [assistant]" + where, "policies[0].every: must be given, or cron"},
		{"two schedules", "  - {name: a, stores: [assistant], every: 1h, cron: \"0 3 * * *\"" + where, "policies[0].every: must be given, or cron, and not both"},
		{"too often", "  - {name: a, stores: [assistant], every: 1s" + where, "lethe.yaml:13:43: policies[0].every: must be whole seconds from 1m0s to 366d"},
		{"a number", "  - {name: a, stores: [assistant], every: 60" + where, "policies[0].every: must be a duration"},
		{"no cron", "  - {name: a, stores: [assistant], cron: hourly" + where, "policies[0].cron: must have five fields"},
		{"a day that is none", "  - {name: a, stores: [assistant], cron: \"0 0 31 2 *\"" + where, "policies[0].cron: must name a day that exists"},
		{"a zone that is none", "  - {name: a, stores: [assistant], cron: \"0 3 * * *\", zone: Mars/Olympus" + where, "policies[0].zone: must be a time zone"},
		{"a zone without cron", "  - {name: a, stores: [assistant], every: 1h, zone: Europe/Berlin" + where, "policies[0].zone: is for cron alone"},
		{"no rows", "  - {name: a, stores: [assistant], every: 1h, max_rows: 0" + where, "policies[0].max_rows: must be at least 1"},
		{"negative rows", "  - {name: a, stores: [assistant], every: 1h, max_rows: -5" + where, "policies[0].max_rows: must be at least 1"},
		{"per cent", "  - {name: a, stores: [assistant], every: 1h, max_fraction: 50" + where, "policies[0].max_fraction: must be above 0 and at most 1"},
		{"no fraction", "  - {name: a, stores: [assistant], every: 1h, max_fraction: 0" + where, "policies[0].max_fraction: must be above 0"},
		{"a fraction that is none", "  - {name: a, stores: [assistant], every: 1h, max_fraction: .nan" + where, "policies[0].max_fraction: must be above 0"},
		{"an unknown regime", "  - {name: a, stores: [assistant], every: 1h, regime: mars" + where, "policies[0].regime: must be one of"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load(writeConfig(t, sweptStores+c.text), Overrides{})
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Count(err.Error(), "\n") > 0 || strings.Contains(err.Error(), "alice") {
				t.Errorf("error = %q\nwant one, with %q", err, c.want)
			}
		})
	}
}

// Policies mean what the manual's example says.
func TestGoodPolicies(t *testing.T) {
	c, err := Load(writeConfig(t, strings.Replace(sweptStores, "created: made}", "created: made, expires: ends}", 1)+`
  - {name: expired, stores: [assistant], every: 1h, where: {expired: true}}
  - {name: old-sessions, stores: [app], every: 24h, where: {older_than: 2160h, agent_id: support-bot}, max_fraction: 0.5}
  - name: nightly
    stores: [assistant, app]
    cron: "30 2 * * *"
    zone: Europe/Berlin
    regime: ccpa
    max_rows: 7
    where: {expired: true, older_than: 90d, metadata: {tier: 3, kind: "7", test: true}}
  - {name: orphans, stores: [assistant], every: 90m, where: {orphaned: true}}
`), Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	list := c.policies()
	at := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	var when []string
	for _, p := range list {
		if err := p.Check(); err != nil {
			t.Error(err)
		}
		next, _ := p.Schedule.Next(at)
		when = append(when, p.When+" "+next.Format(time.RFC3339))
	}
	if diff := cmp.Diff([]string{"every 1h 2026-11-29T13:00:00Z", "every 1d 2026-11-30T00:00:00Z", "30 2 * * * 2026-11-30T01:30:00Z", "every 1h30m 2026-11-29T13:30:00Z"}, when); diff != "" {
		t.Error(diff)
	}
	three, _ := store.NumberValue("3")
	want := []store.Selector{
		{ExpiredBefore: at},
		{CreatedBefore: at.Add(-2160 * time.Hour), AgentID: "support-bot"},
		{CreatedBefore: at.AddDate(0, 0, -90), ExpiredBefore: at, Metadata: map[string]store.Value{"tier": three, "kind": store.StringValue("7"), "test": store.BoolValue(true)}},
		{Orphaned: true},
	}
	for i, p := range list {
		got, _ := jobs.EncodeSelector(p.Selector(at))
		want, _ := jobs.EncodeSelector(want[i])
		if string(got) != string(want) {
			t.Errorf("%s selects %s, want %s", p.Name, got, want)
		}
		back, err := jobs.DecodeSelector(got)
		if again, _ := jobs.EncodeSelector(back); err != nil || string(again) != string(want) {
			t.Errorf("%s: read again %s, %v", p.Name, again, err)
		}
	}
	if list[1].MaxFraction != 0.5 || list[2].MaxRows != 7 || list[2].Regime != "ccpa" || len(list[2].Stores) != 2 {
		t.Errorf("%+v", list)
	}
}
