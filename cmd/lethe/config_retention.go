package main

import (
	"fmt"
	"time"

	"github.com/goccy/go-yaml/ast"

	"lethe/jobs"
)

// A RetentionConfig says how long what is left of Lethe's own work is kept. The log
// and its certificates stay: they name nobody, and are the proof. Subject keys have
// subject_key_retention, keys of suppressions suppression.keep.
type RetentionConfig struct {
	// requests: how long after its end the record of a request is kept: the
	// ticket, the ground, counts, receipts, who decided. Then these are deleted;
	// that there was a request, when, and its certificate stay. One under the CCPA
	// is kept for 24 months in any case, and any for as long as there are digests of
	// what it erased (suppression.keep). At least 90d. Default 1096d, three years.
	// off: for ever.
	Requests Expiry `yaml:"requests"`

	// webhooks: how long a notice, with its body, is kept for a receiver that does
	// not take it; it is tried again for so long. 1d to 90d. Default 90d. What was
	// taken is deleted at once.
	Webhooks *Duration `yaml:"webhooks"`
}

// An Expiry is a Duration, or off for ever.
type Expiry struct {
	After Duration
	Off   bool
}

// UnmarshalYAML reads the scalar at node.
func (e *Expiry) UnmarshalYAML(node ast.Node) error {
	text := scalar(node)
	if text == "off" {
		e.Off = true
		return nil
	}
	d, err := parseDuration(text)
	if err != nil {
		return faultAt(node, err.Error()+", or off")
	}
	if e.After = Duration(d); d == 0 {
		return faultAt(node, "must be a duration such as 1096d, or off")
	}
	return nil
}

const (
	threeYears   = 1096 * 24 * time.Hour
	leastWebhook = 24 * time.Hour
	mostWebhook  = 90 * 24 * time.Hour
)

func (c *RetentionConfig) fillIn() {
	if c.Requests == (Expiry{}) {
		c.Requests.After = Duration(threeYears)
	}
	if c.Webhooks == nil {
		c.Webhooks = new(Duration(mostWebhook))
	}
}

func (c *Config) checkRetention(add func(field, problem string)) {
	r := c.Retention
	if !r.Requests.Off && (time.Duration(r.Requests.After) < jobs.LeastRetention || r.Requests.After < c.SubjectKeyRetention) {
		add("retention.requests", fmt.Sprintf("must be at least %dd and not less than subject_key_retention, or off", jobs.LeastRetention/(24*time.Hour)))
	}
	if w := time.Duration(*r.Webhooks); w < leastWebhook || w > mostWebhook {
		add("retention.webhooks", "must be from 1d to 90d")
	}
}

// rule is what the reconciler goes by.
func (c RetentionConfig) rule() jobs.Retention {
	if c.Requests.Off {
		return jobs.Retention{}
	}
	return jobs.Retention{Requests: time.Duration(c.Requests.After)}
}

// giveUp is how long a receiver is tried.
func (c RetentionConfig) giveUp() time.Duration {
	if c.Webhooks == nil {
		return 0
	}
	return time.Duration(*c.Webhooks)
}
