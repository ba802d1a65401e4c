package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"lethe/jobs"
	"lethe/store"
)

// A PolicyConfig is a retention rule: what is erased by the clock, as if somebody
// had asked for it. Each time it is due it files one request for each of its
// stores, unless there is nothing to erase.
type PolicyConfig struct {
	// name: how commands, certificates and metrics call the policy. Lower-case
	// letters, digits, dots, dashes and underscores, at most 40; unique.
	Name string `yaml:"name"`

	// stores: the names of the stores it is for. It may not be left out.
	Stores []string `yaml:"stores"`

	// every: how often it is due, from 1m to 366d: at each multiple of it since
	// 1970 in UTC, so that a restart changes nothing. Or else cron.
	Every *Duration `yaml:"every"`

	// cron: when it is due, in the five fields minute, hour, day of the month,
	// month and day of the week, such as "30 3 * * *".
	Cron string `yaml:"cron"`

	// zone: the time zone whose clock cron goes by, such as Europe/Berlin. On the
	// days of a clock change each time is due once. Default the zone for all, or
	// UTC.
	Zone ZoneName `yaml:"zone"`

	// where: what it erases. See WhereConfig.
	Where WhereConfig `yaml:"where"`

	// max_rows, max_fraction: the brakes. A sweep that would erase more rows in a
	// store, or a larger part of the rows of a place, however few there are, waits
	// for somebody's approval. Default the limits for all requests.
	MaxRows     *Count   `yaml:"max_rows"`
	MaxFraction *float64 `yaml:"max_fraction"`

	// regime: by whose law its requests are due. Default the regime for all.
	Regime string `yaml:"regime"`
}

// A WhereConfig says what a policy erases. One of expired, older_than and orphaned
// must be there; all that is given must hold of a row.
type WhereConfig struct {
	// expired: true for rows that say when they end, and have: Mem0's
	// expiration_date, the column expires of a place.
	Expired *bool `yaml:"expired"`

	// older_than: rows that were made so long ago, from 1h to 36500d, with its
	// unit: 90d, 2160h. A row that does not say when it was made, in a way that can
	// be read, is never meant.
	OlderThan *Duration `yaml:"older_than"`

	// orphaned: true for rows that hang on one that is gone: Mem0's history of
	// memories that were deleted. It stands alone.
	Orphaned *bool `yaml:"orphaned"`

	// user_id, agent_id, app_id, run_id, metadata: as in a request.
	UserID   Exact   `yaml:"user_id"`
	AgentID  Exact   `yaml:"agent_id"`
	AppID    Exact   `yaml:"app_id"`
	RunID    Exact   `yaml:"run_id"`
	Metadata Scalars `yaml:"metadata"`
}

// An Exact is a text: a number would be another identifier.
type Exact string

// UnmarshalYAML reads the scalar at node.
func (e *Exact) UnmarshalYAML(node ast.Node) error {
	text, ok := node.(*ast.StringNode)
	if !ok {
		return faultAt(node, "must be a text; quote what looks like a number")
	}
	if err := store.CheckValue("", text.Value); err != nil {
		return faultAt(node, strings.TrimSpace(err.Error()))
	}
	*e = Exact(text.Value)
	return nil
}

// Scalars are the members of metadata.
type Scalars map[string]store.Value

// UnmarshalYAML reads the mapping at node.
func (s *Scalars) UnmarshalYAML(node ast.Node) error {
	pairs, ok := node.(*ast.MappingNode)
	if !ok || len(pairs.Values) == 0 {
		return faultAt(node, "must be a mapping of keys to texts, numbers, true or false")
	}
	*s = Scalars{}
	for _, pair := range pairs.Values {
		var err error
		switch v := pair.Value.(type) {
		case *ast.StringNode:
			(*s)[scalar(pair.Key)] = store.StringValue(v.Value)
		case *ast.BoolNode:
			(*s)[scalar(pair.Key)] = store.BoolValue(v.Value)
		case *ast.IntegerNode, *ast.FloatNode:
			(*s)[scalar(pair.Key)], err = store.NumberValue(v.GetToken().Value)
		default:
			err = errors.New("no scalar")
		}
		if err != nil {
			return faultAt(pair.Value, "must be a text, a number, true or false")
		}
	}
	return nil
}

// policy is what the configuration says, and all that is wrong with it.
func (c *Config) policy(p PolicyConfig, add func(field, problem string)) jobs.Policy {
	policy := jobs.Policy{Name: p.Name, Stores: p.Stores, Regime: p.Regime, Who: store.Selector{
		UserID: string(p.Where.UserID), AgentID: string(p.Where.AgentID), AppID: string(p.Where.AppID), RunID: string(p.Where.RunID), Metadata: p.Where.Metadata,
	}}
	var good bool
	if policy.Schedule, good = c.schedule(p, add); good {
		policy.When = p.when()
	}
	for _, flag := range []struct {
		name  string
		given *bool
		to    *bool
	}{{"where.expired", p.Where.Expired, &policy.Expired}, {"where.orphaned", p.Where.Orphaned, &policy.Orphaned}} {
		if flag.given == nil {
			continue
		}
		if *flag.to = *flag.given; !*flag.given {
			add(flag.name, "must be true, or be left out")
			good = false
		}
	}
	if d := p.Where.OlderThan; d != nil {
		if policy.OlderThan = time.Duration(*d); *d == 0 {
			add("where.older_than", "must be from 1h to 36500d")
			good = false
		}
	}
	if p.MaxRows != nil {
		if policy.MaxRows = int(*p.MaxRows); policy.MaxRows < 1 {
			add("max_rows", "must be at least 1")
			good = false
		}
	}
	if p.MaxFraction != nil {
		if policy.MaxFraction = *p.MaxFraction; !(policy.MaxFraction > 0) || policy.MaxFraction > 1 {
			add("max_fraction", "must be above 0 and at most 1, which is no limit")
			good = false
		}
	}
	if good {
		policyFault(policy.Check(), add)
	}
	return policy
}

// policyFault says what is wrong with a policy at the key that it is about.
func policyFault(err error, add func(field, problem string)) {
	if invalid, ok := errors.AsType[*jobs.Invalid](err); ok {
		add(invalid.Field, invalid.Problem)
	} else if field, ok := errors.AsType[*store.FieldError](err); ok {
		add(strings.Replace(strings.Fields(field.Field)[0], "selector", "where", 1), field.Problem)
	}
}

func (c *Config) schedule(p PolicyConfig, add func(field, problem string)) (s jobs.Schedule, good bool) {
	if (p.Every == nil) == (p.Cron == "") {
		add("every", "must be given, or cron, and not both: how often the policy is due")
		return s, false
	}
	if p.Every != nil {
		s, err := jobs.Every(time.Duration(*p.Every))
		if err != nil {
			add("every", err.Error())
		}
		if p.Zone != "" {
			add("zone", "is for cron alone: every counts in UTC")
		}
		return s, err == nil && p.Zone == ""
	}
	zone, err := time.LoadLocation(string(p.zone(c)))
	if err != nil {
		add("zone", "must be a time zone such as Europe/Berlin")
		return s, false
	}
	if s, err = jobs.Cron(p.Cron, zone); err != nil {
		add("cron", err.Error())
	}
	return s, err == nil
}

func (p PolicyConfig) zone(c *Config) ZoneName {
	for _, z := range []ZoneName{p.Zone, c.Zone} {
		if z != "" {
			return z
		}
	}
	return "UTC"
}

// when is the schedule as it was written.
func (p PolicyConfig) when() string {
	if p.Every != nil {
		d := time.Duration(*p.Every)
		if d%(24*time.Hour) == 0 {
			return fmt.Sprintf("every %dd", d/(24*time.Hour))
		}
		return "every " + strings.NewReplacer("m0s", "m", "h0m0s", "h").Replace(d.String())
	}
	return p.Cron
}

// checkPolicies adds what is wrong with the policies.
func (c *Config) checkPolicies(add func(field, problem string)) {
	clock, _ := c.clock() // what is wrong with it is said elsewhere
	for i, p := range c.Policies {
		at := func(field, problem string) {
			add(strings.TrimSuffix(fmt.Sprintf("policies[%d].%s", i, field), "."), problem)
		}
		policy := c.policy(p, at)
		if slices.ContainsFunc(c.Policies[:i], func(o PolicyConfig) bool { return o.Name == p.Name }) {
			at("name", "is taken by another policy; give each its own")
		}
		if _, known := clockRegime(clock, p.Regime); !known {
			at("regime", "must be one of "+clock.Names())
		}
		for k, name := range p.Stores {
			field := fmt.Sprintf("stores[%d]", k)
			s := c.store(name)
			switch {
			case s == nil:
				at(field, "must be the name of a store")
			case slices.Contains(p.Stores[:k], name):
				at(field, "is there twice")
			default:
				at(field, s.unswept(policy))
			}
		}
	}
}

func clockRegime(clock *jobs.Clock, name string) (jobs.Regime, bool) {
	if clock == nil || name == "" {
		return jobs.Regime{}, true
	}
	return clock.Regime(name)
}

func (c *Config) store(name string) *StoreConfig {
	for i := range c.Stores {
		if c.Stores[i].Name == name {
			return &c.Stores[i]
		}
	}
	return nil
}

// unswept says why a store can have nothing that the policy means.
func (s *StoreConfig) unswept(p jobs.Policy) string {
	some := func(has func(PlaceConfig) bool) bool { return slices.ContainsFunc(s.Places, has) }
	switch s.Kind {
	case KindMem0SQLite, KindMem0Postgres:
		if p.Orphaned && (s.History == "" || s.History == fileNone) {
			return "has no history: nothing in it can be orphaned"
		}
	case KindTables:
		switch {
		case p.Orphaned && !some(func(p PlaceConfig) bool { return p.Parent != nil }):
			return "has no place with parent: nothing in it can be orphaned"
		case (p.Expired || p.OlderThan > 0) && !some(func(place PlaceConfig) bool {
			return (!p.Expired || place.Expires.Column != "") && (p.OlderThan == 0 || place.Created.Column != "")
		}):
			return "has no place that says what the policy goes by: give a place " + needs(p)
		}
	default:
		return "is of a kind that cannot select by age"
	}
	return ""
}

func needs(p jobs.Policy) string {
	switch {
	case p.Expired && p.OlderThan > 0:
		return "created and expires, the columns that say when a row was made and when it ends"
	case p.Expired:
		return "expires, the column that says when a row ends"
	}
	return "created, the column that says when a row was made"
}

// policies are those of a configuration that has been checked.
func (c *Config) policies() []jobs.Policy {
	list := make([]jobs.Policy, len(c.Policies))
	for i, p := range c.Policies {
		list[i] = c.policy(p, func(string, string) {})
	}
	return list
}
