package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/goccy/go-yaml/ast"

	"lethe/jobs"
)

// A RegimeConfig says how long a law gives for an answer. Of gdpr and ccpa only
// zone and holidays can be set here: their periods are the law's.
type RegimeConfig struct {
	// name: how requests call it. Lower-case letters, digits, dots and dashes.
	Name string `yaml:"name"`

	// months, days, business_days: how long after the day of receipt the
	// request is to be answered. One of them. A month ends on the day of the same
	// number or, where there is none, on its last day.
	Months       int `yaml:"months"`
	Days         int `yaml:"days"`
	BusinessDays int `yaml:"business_days"`

	// confirm_business_days: in how many working days the receipt is to be
	// confirmed. Default 0, which is never.
	ConfirmBusinessDays int `yaml:"confirm_business_days"`

	// extend_months, extend_days: by how much the period may be extended once.
	// Default 0, which is not at all.
	ExtendMonths int `yaml:"extend_months"`
	ExtendDays   int `yaml:"extend_days"`

	// next_working_day: whether a period that ends on a Saturday, a Sunday or a
	// holiday ends on the next working day instead. Default false.
	NextWorkingDay bool `yaml:"next_working_day"`

	// zone, holidays: as for all regimes, which these take the place of.
	Zone     ZoneName  `yaml:"zone"`
	Holidays *[]string `yaml:"holidays"`
}

// period is what the law says, without the office's calendar.
func (r RegimeConfig) period() jobs.Regime {
	return jobs.Regime{
		Name: r.Name, Period: jobs.Period{Months: r.Months, Days: r.Days, BusinessDays: r.BusinessDays},
		Extension: jobs.Period{Months: r.ExtendMonths, Days: r.ExtendDays}, Confirm: r.ConfirmBusinessDays, NextWorkingDay: r.NextWorkingDay,
	}
}

// A ZoneName is the name of a time zone of the IANA's database.
type ZoneName string

// UnmarshalYAML reads the scalar at node.
func (z *ZoneName) UnmarshalYAML(node ast.Node) error {
	name := scalar(node)
	if _, err := time.LoadLocation(name); err != nil || name == "" || name == "Local" {
		return faultAt(node, "must be a time zone such as Europe/Berlin")
	}
	*z = ZoneName(name)
	return nil
}

// checkClock adds what is wrong with the regimes and codes.
func (c *Config) checkClock(add func(field, problem string)) {
	if _, err := jobs.ReadHolidays(c.Holidays); err != nil {
		add("holidays", err.Error())
		return
	}
	for _, list := range []struct {
		name  string
		codes []string
	}{{"exemptions", c.Exemptions}, {"extensions", c.Extensions}} {
		if slices.ContainsFunc(list.codes, func(s string) bool { return !jobs.IsCode(s) }) {
			add(list.name, "must be codes of lower-case letters, digits, dots and dashes, at most 32, such as hgb-257")
		}
	}
	var own []jobs.Regime
	for i, r := range c.Regimes {
		at := fmt.Sprintf("regimes[%d]", i)
		regime, err := c.regime(r)
		if err == nil {
			own = append(own, regime)
			_, err = jobs.NewClock("", own...)
		}
		if err != nil {
			add(at, err.Error())
			return
		}
	}
	if _, err := jobs.NewClock(c.Regime, own...); err != nil {
		add("regime", err.Error())
	}
}

// regime is one of the configuration's, or what is set of a built-in one.
func (c *Config) regime(r RegimeConfig) (jobs.Regime, error) {
	regime := r.period()
	for _, law := range jobs.BuiltIn() {
		if law.Name != r.Name {
			continue
		}
		if set := r.period(); set.Period != (jobs.Period{}) || set.Extension != (jobs.Period{}) || set.Confirm != 0 || set.NextWorkingDay {
			return regime, errors.New("the periods of gdpr and ccpa are the law's: set zone and holidays alone, or give the regime another name")
		}
		regime = law
	}
	return c.calendar(regime, r.Zone, r.Holidays)
}

// calendar gives a regime the office's zone and holidays, or its own.
func (c *Config) calendar(r jobs.Regime, own ZoneName, holidays *[]string) (jobs.Regime, error) {
	for _, name := range []ZoneName{c.Zone, own} { // the last that is given
		if name == "" {
			continue
		}
		zone, err := time.LoadLocation(string(name))
		if err != nil {
			return r, errors.New("zone must be a time zone such as Europe/Berlin")
		}
		r.Zone = zone
	}
	list := c.Holidays
	if holidays != nil {
		list = *holidays
	}
	var err error
	if r.Holidays, err = jobs.ReadHolidays(list); err != nil {
		return r, fmt.Errorf("holidays %w", err)
	}
	return r, nil
}

// clock is the Clock of all regimes, each by the office's calendar.
func (c *Config) clock() (*jobs.Clock, error) {
	all := slices.Clone(c.Regimes)
	for _, law := range jobs.BuiltIn() {
		if !slices.ContainsFunc(all, func(r RegimeConfig) bool { return r.Name == law.Name }) {
			all = append(all, RegimeConfig{Name: law.Name})
		}
	}
	var regimes []jobs.Regime
	for _, r := range all {
		regime, err := c.regime(r)
		if err != nil {
			return nil, fmt.Errorf("regimes: %w", err)
		}
		regimes = append(regimes, regime)
	}
	return jobs.NewClock(c.Regime, regimes...)
}

// codes are the lists of reasons.
func (c *Config) codes() jobs.Codes {
	return jobs.Codes{Exempt: c.Exemptions, Extend: c.Extensions}
}
