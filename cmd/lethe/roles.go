package main

import (
	"fmt"
	"slices"
	"strings"
)

// The roles that a process can have. Each may be had by any number of
// processes of one ledger.
const (
	roleAPI       = "api"       // answers HTTP
	roleWorker    = "worker"    // carries tasks out
	roleScheduler = "scheduler" // rings tasks, reconciles, keeps the log and its key going
)

const allRoles = roleAPI + "," + roleWorker + "," + roleScheduler

// Roles are what a process does; none means all.
type Roles []string

// parseRoles reads a list such as "api,worker".
func parseRoles(s string) (Roles, error) {
	roles := Roles(strings.Split(s, ","))
	slices.Sort(roles)
	for i, r := range roles {
		if !slices.Contains(strings.Split(allRoles, ","), r) || i > 0 && roles[i-1] == r {
			return nil, fmt.Errorf("--roles must be one or more of %s, each once", allRoles)
		}
	}
	return roles, nil
}

func (r Roles) has(role string) bool { return len(r) == 0 || slices.Contains(r, role) }

// named lists them, also where none means all.
func (r Roles) named() []string {
	if len(r) == 0 {
		return strings.Split(allRoles, ",")
	}
	return r
}

func (r Roles) all() bool { return len(r) == 0 || len(r) == len(strings.Split(allRoles, ",")) }

// rolesProblem says why this process cannot leave some roles to others.
func (c *Config) rolesProblem() string {
	switch {
	case c.Roles.all():
		return ""
	case c.postgres() == "":
		return "must be " + allRoles + ": with a SQLite ledger one process has every role"
	case c.Queue == queueEmbedded:
		return "must be " + allRoles + ": with an embedded queue one process has every role"
	}
	return ""
}
