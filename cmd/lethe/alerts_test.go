package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/common/model"
)

// Where the alerts stand, and what to do about them.
const (
	rulesFile     = "../../deploy/prometheus/rules.yml"
	rulesTestFile = "../../deploy/prometheus/rules_test.yml"
	runbookFile   = "../../deploy/RUNBOOK.md"
	runbookPlace  = "https://lethe.example/deploy/RUNBOOK.md#"
)

// wantedAlerts are those that must not go missing: each tells of something else that
// hurts people, or proofs.
func wantedAlerts() []string {
	return []string{
		"LetheDeadlineAtRisk", "LetheOverdue", "LetheOldestOpenTooOld", "LetheNothingMoving", "LetheVerificationFailed",
		"LetheResidueFound", "LetheCertificateNotIssued", "LetheLogNotSigned", "LetheOutboxNotDraining", "LetheStoreDown",
		"LetheSweepRefused", "LetheSweepLate", "LetheSuppressionFoundAgain", "LetheLoopStopped", "LetheDown",
	}
}

// alertFiles are the files of the alerts, as texts.
type alertFiles struct{ rules, stories, runbook string }

func readAlertFiles(t testing.TB) alertFiles {
	t.Helper()
	var texts [3]string
	for i, path := range []string{rulesFile, rulesTestFile, runbookFile} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(text)
	}
	return alertFiles{texts[0], texts[1], texts[2]}
}

// An alertRule is one alert of the rules.
type alertRule struct {
	Alert       string            `yaml:"alert" json:"alert"`
	Expr        string            `yaml:"expr" json:"expr"`
	For         string            `yaml:"for" json:"for"`
	Keep        string            `yaml:"keep_firing_for" json:"keep_firing_for,omitempty"`
	Labels      map[string]string `yaml:"labels" json:"labels"`
	Annotations map[string]string `yaml:"annotations" json:"annotations"`
}

func (f alertFiles) alerts() ([]alertRule, error) {
	var file struct {
		Groups []struct{ Rules []alertRule }
	}
	if err := yaml.Unmarshal([]byte(f.rules), &file); err != nil {
		return nil, err
	}
	var all []alertRule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all, nil
}

// A foretold is what one story says of one alert: the times at which it is silent, and
// those at which it fires.
type foretold struct{ silent, firing []time.Duration }

// verdicts returns what each story of the tests says of each alert.
func (f alertFiles) verdicts() ([]map[string]foretold, error) {
	var file struct {
		Tests []struct {
			Checks []struct {
				At    string `yaml:"eval_time"`
				Alert string `yaml:"alertname"`
				Exp   []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal([]byte(f.stories), &file); err != nil {
		return nil, err
	}
	var all []map[string]foretold
	for _, story := range file.Tests {
		says := map[string]foretold{}
		for _, c := range story.Checks {
			at, err := model.ParseDuration(c.At)
			if err != nil {
				return nil, err
			}
			s := says[c.Alert]
			if len(c.Exp) == 0 {
				s.silent = append(s.silent, time.Duration(at))
			} else {
				s.firing = append(s.firing, time.Duration(at))
			}
			says[c.Alert] = s
		}
		all = append(all, says)
	}
	return all, nil
}

// bounded reports whether the alert fires at most a minute after it is still silent.
func (s foretold) bounded() bool {
	for _, at := range s.firing {
		if slices.ContainsFunc(s.silent, func(before time.Duration) bool { return before < at && at-before <= time.Minute }) {
			return true
		}
	}
	return false
}

// problems returns what the alerts lack. The service exports the metrics with the
// labels that are given.
func (f alertFiles) problems(exported []map[string]string) (list []string) {
	say := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	rules, err := f.alerts()
	if err != nil {
		return []string{err.Error()}
	}
	stories, err := f.verdicts()
	if err != nil {
		return []string{err.Error()}
	}
	known := map[string]bool{}
	for _, r := range rules {
		if known[r.Alert] {
			say("%s: there are two", r.Alert)
		}
		known[r.Alert] = true
		for _, lack := range slices.Concat(r.lacks(), f.section(r), strangers(r.Expr, exported), untold(r.Alert, stories)) {
			say("%s: %s", r.Alert, lack)
		}
	}
	for _, name := range wantedAlerts() {
		if !known[name] {
			say("%s: there is none", name)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^## (Lethe\w+)$`).FindAllStringSubmatch(f.runbook, -1) {
		if !known[m[1]] {
			say("%s: it is in the runbook and nowhere else", m[1])
		}
	}
	return list
}

// lacks returns what is missing of the rule itself.
func (r alertRule) lacks() (list []string) {
	if d, err := model.ParseDuration(r.For); err != nil || d == 0 {
		list = append(list, "for is missing: a moment would wake somebody")
	}
	if s := r.Labels["severity"]; s != "page" && s != "ticket" {
		list = append(list, "severity must be page or ticket")
	}
	for _, name := range []string{"summary", "description"} {
		if strings.TrimSpace(r.Annotations[name]) == "" {
			list = append(list, name+" is missing")
		}
	}
	return list
}

// section looks at the part of the runbook that a rule leads to.
func (f alertFiles) section(r alertRule) (list []string) {
	if got, want := r.Annotations["runbook_url"], runbookPlace+strings.ToLower(r.Alert); got != want {
		list = append(list, fmt.Sprintf("runbook_url is %q, want %q", got, want))
	}
	_, text, ok := strings.Cut(f.runbook, "\n## "+r.Alert+"\n")
	if !ok {
		return append(list, "the runbook has no section of it")
	}
	text, _, _ = strings.Cut(text, "\n## ")
	text = strings.Join(strings.Fields(text), " ")
	for _, words := range []string{"**" + r.Labels["severity"] + ".**", "*Whom it hurts:*", "*Over", "*Never*"} {
		if !strings.Contains(text, words) {
			list = append(list, "its section of the runbook lacks "+words)
		}
	}
	return list
}

// untold returns which stories an alert lacks.
func untold(name string, stories []map[string]foretold) (list []string) {
	var fires, bounded, silent bool
	for _, says := range stories {
		s, ok := says[name]
		fires = fires || len(s.firing) > 0
		bounded = bounded || s.bounded()
		silent = silent || ok && len(s.firing) == 0
	}
	for what, is := range map[string]bool{
		"in no story it fires": fires, "in no story it stays silent": silent, "in no story it is still silent a minute before it fires": bounded,
	} {
		if !is {
			list = append(list, what)
		}
	}
	slices.Sort(list)
	return list
}

// strangers returns what an expression asks for that nobody exports: metrics, labels,
// and values of labels.
func strangers(expr string, exported []map[string]string) (list []string) {
	var asked []map[string]string // series of the metrics that it names
	for _, m := range regexp.MustCompile(`\b(lethe_\w+|process_\w+|up)\b(?:\{([^}]*)\})?`).FindAllStringSubmatch(expr, -1) {
		var series []map[string]string
		for _, s := range exported {
			if s[model.MetricNameLabel] == m[1] {
				series = append(series, s)
			}
		}
		if len(series) == 0 {
			list = append(list, "nobody exports "+m[1])
			continue
		}
		asked = append(asked, series...)
		for _, match := range regexp.MustCompile(`(\w+)(=~|!=|!~|=)"([^"]*)"`).FindAllStringSubmatch(m[2], -1) {
			if !slices.ContainsFunc(series, func(s map[string]string) bool { return matches(s, match[1], match[2], match[3]) }) {
				list = append(list, fmt.Sprintf("no series of %s has %s", m[1], match[0]))
			}
		}
	}
	if len(list) > 0 { // what it has no series of has no labels either
		slices.Sort(list)
		return slices.Compact(list)
	}
	for _, m := range regexp.MustCompile(`\b(?:by|on) \(([\w, ]+)\)`).FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(m[1], ", ") {
			if !slices.ContainsFunc(asked, func(s map[string]string) bool { _, has := s[label]; return has }) {
				list = append(list, "no series has the label "+label)
			}
		}
	}
	return list
}

// matches reports whether a series is one that a matcher takes.
func matches(series map[string]string, label, how, value string) bool {
	got, has := series[label]
	switch how {
	case "=":
		return got == value
	case "=~":
		return regexp.MustCompile("^(?:" + value + ")$").MatchString(got)
	case "!=":
		return has && got != value
	}
	return has
}

// exportedSeries returns what Prometheus has of a real service: every name, and every
// combination of labels.
func exportedSeries(t testing.TB) []map[string]string {
	t.Helper()
	dir := t.TempDir()
	text := "listen: 127.0.0.1:0\ndata: data\nanchors: [{file: " + filepath.Join(dir, "head") + "}]\n" +
		"policies: [{name: expired, stores: [memories], every: 1h, where: {expired: true}}]\n"
	c, err := Load(writeConfig(t, text), Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, c, nil)
	r.completed(r.forget("alice")) // of an empty log no head is published
	waitFor(t, "the head is published", func() bool { return strings.Contains(r.get("/metrics", 200), "lethe_log_publish_up{") })
	families, err := r.s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := []map[string]string{{model.MetricNameLabel: "up", "job": "lethe", "instance": "a"}}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			series := map[string]string{model.MetricNameLabel: f.GetName(), "job": "lethe", "instance": "a"}
			for _, l := range m.GetLabel() {
				series[l.GetName()] = l.GetValue()
			}
			all = append(all, series)
		}
	}
	return all
}

func TestEveryAlertHasATestARunbookAndMetricsThatExist(t *testing.T) {
	t.Parallel()
	f, exported := readAlertFiles(t), exportedSeries(t)
	for _, p := range f.problems(exported) {
		t.Error(p)
	}
	first := "## LetheOverdue\n"
	for name, tt := range map[string]struct {
		spoil func(*alertFiles)
		want  string
	}{
		"a wrong metric": {func(f *alertFiles) { f.rules = strings.Replace(f.rules, "lethe_log_refused", "lethe_log_refuses", 1) }, "LetheLogRefused: nobody exports lethe_log_refuses"},
		"a wrong value":  {func(f *alertFiles) { f.rules = strings.Replace(f.rules, `due_in="overdue"`, `due_in="late"`, 1) }, `LetheOverdue: no series of lethe_requests_due has due_in="late"`},
		"a wrong label": {func(f *alertFiles) {
			f.rules = strings.Replace(f.rules, "by (job, store) (lethe_store_up)", "by (job, shop) (lethe_store_up)", 1)
		}, "LetheStoreDown: no series has the label shop"},
		"no section":     {func(f *alertFiles) { f.runbook = strings.Replace(f.runbook, first, "## Overdue\n", 1) }, "LetheOverdue: the runbook has no section of it"},
		"a poor section": {func(f *alertFiles) { f.runbook = strings.Replace(f.runbook, first, first+"\nText\n\n## Next\n", 1) }, "LetheOverdue: its section of the runbook lacks *Never*"},
		"no way to it":   {func(f *alertFiles) { f.rules = strings.Replace(f.rules, "#letheoverdue", "#overdue", 1) }, "LetheOverdue: runbook_url is "},
		"an orphan":      {func(f *alertFiles) { f.runbook += "\n## LetheElse\n" }, "LetheElse: it is in the runbook and nowhere else"},
		"no patience":    {func(f *alertFiles) { f.rules = strings.Replace(f.rules, "for: 5m", "for: 0s", 1) }, "LetheOverdue: for is missing"},
		"nobody's":       {func(f *alertFiles) { f.rules = strings.Replace(f.rules, "{severity: page}", "{severity: info}", 1) }, "LetheOverdue: severity must be"},
		"no words": {func(f *alertFiles) {
			f.rules = strings.Replace(f.rules, "summary: Erasure requests are overdue", "summary: ''", 1)
		}, "LetheOverdue: summary is missing"},
		"one is gone": {func(f *alertFiles) {
			f.rules = strings.Replace(f.rules, "alert: LetheSweepLate", "alert: LetheSweepTardy", 1)
		}, "LetheSweepLate: there is none"},
		"no story": {func(f *alertFiles) {
			f.stories = strings.ReplaceAll(f.stories, "alertname: LetheQueueDown", "alertname: LetheQueueUp")
		}, "LetheQueueDown: in no story it fires"},
		"only louder": {func(f *alertFiles) {
			f.stories = strings.ReplaceAll(f.stories, "alertname: LetheOverdue, exp_alerts: []", "alertname: LetheElse, exp_alerts: []")
		}, "LetheOverdue: in no story it stays silent"},
		"no boundary": {func(f *alertFiles) {
			f.stories = strings.ReplaceAll(f.stories, "{eval_time: 9m, alertname: LetheOverdue", "{eval_time: 8m, alertname: LetheOverdue")
		}, "LetheOverdue: in no story it is still silent a minute before it fires"},
	} {
		spoilt := f
		tt.spoil(&spoilt)
		list := spoilt.problems(exported)
		if spoilt == f || !slices.ContainsFunc(list, func(p string) bool { return strings.HasPrefix(p, tt.want) }) {
			t.Errorf("%s is not seen: %q", name, list)
		}
	}
}

func TestPromtoolAgreesWithTheAlerts(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"check", "rules", rulesFile},
		{"check", "config", "--syntax-only", "../../deploy/prometheus/prometheus.yml"},
		{"test", "rules", rulesTestFile},
	} {
		if out, err := promtool(t, nil, args...); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
	if amtool, err := exec.LookPath("amtool"); err == nil {
		if out, err := exec.Command(amtool, "check-config", "../../deploy/prometheus/alertmanager.yml").CombinedOutput(); err != nil {
			t.Errorf("amtool: %v\n%s", err, out)
		}
	}
}
