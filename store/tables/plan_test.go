package tables_test

import (
	"regexp"
	"testing"
)

// No statement about a batch goes through a customer's table from end to end,
// nor through another one for each row of it.
func TestIndexesServe(t *testing.T) {
	for _, journal := range []string{"delete", "wal"} { // without and with indexes of what hangs
		plans, err := openApp(t, journal).s.Plans(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(plans) != 11 {
			t.Errorf("%d plans", len(plans))
		}
		for name, plan := range plans {
			all := regexp.MustCompile(`(?m)^SCAN (r|x)\b`)
			if !regexp.MustCompile(` above$`).MatchString(name) {
				all = regexp.MustCompile(`(?m)^SCAN (t|r|x)\b`)
			}
			if all.MatchString(plan) {
				t.Errorf("%s, %s:\n%s", journal, name, plan)
			}
		}
	}
}
