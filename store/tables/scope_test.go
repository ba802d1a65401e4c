package tables_test

import (
	"maps"
	"testing"

	"lethe/store/tables"
)

func TestParseScope(t *testing.T) {
	for _, c := range []struct {
		scope string
		want  map[string]string // nil: an error
	}{
		{"user_id=alice", map[string]string{"user_id": "alice"}},
		{"agent_id=a&run_id=r&user_id=u", map[string]string{"agent_id": "a", "run_id": "r", "user_id": "u"}},
		{"user_id=a%26b%3Dc%25d", map[string]string{"user_id": "a&b=c%d"}},
		{"user_id=%2526", map[string]string{"user_id": "%26"}},
		{"user_id=a_b%25", map[string]string{"user_id": "a_b%"}},
		{"user_id= ", map[string]string{"user_id": " "}},
		{"", nil},
		{"alice", nil},
		{"user_id=", nil},
		{"user_id=a&", nil},
		{"&user_id=a", nil},
		{"user_id=a=b", nil},
		{"user_id=a&run_id=r", nil},
		{"user_id=a&user_id=b", nil},
		{"app_id=x", nil},
		{"USER_ID=a", nil},
		{"user_id=100%", nil},
		{"user_id=a%2", nil},
		{"user_id=a%3d", nil},
		{"user_id=a%20b", nil},
	} {
		got, err := tables.ParseScope(c.scope)
		if (err != nil) != (c.want == nil) || c.want != nil && !maps.Equal(got, c.want) {
			t.Errorf("%q: got %v, error %v; want %v", c.scope, got, err, c.want)
		}
	}
}

func FuzzParseScope(f *testing.F) {
	for _, s := range []string{"", "user_id=alice", "agent_id=a&run_id=r&user_id=u", "user_id=%25%26%3D", "user_id=%2525", "run_id==&user_id=%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := tables.ParseScope(s)
		if err != nil {
			return
		}
		if back := tables.FormatScope(got["agent_id"], got["run_id"], got["user_id"]); back != s {
			t.Errorf("%q parses but is written %q", s, back)
		}
	})
}

func FuzzFormatScope(f *testing.F) {
	f.Add("a", "", "alice")
	f.Add("&user_id=bob", "=", "%26")
	f.Fuzz(func(t *testing.T, agent, run, user string) {
		got, err := tables.ParseScope(tables.FormatScope(agent, run, user))
		if agent+run+user == "" {
			return
		}
		if err != nil || got["agent_id"] != agent || got["run_id"] != run || got["user_id"] != user {
			t.Errorf("%q %q %q: got %q, error %v", agent, run, user, got, err)
		}
	})
}
