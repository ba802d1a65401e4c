package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lethe/jobs/queue/queuetest"
	"lethe/store/mem0"
)

// Lethe works whole as the Redis user of deploy/redis.acl, also after Redis has
// lost everything, and asks for nothing that is denied to it.
func TestAllIsDoneAsTheRedisUserOfTheACL(t *testing.T) {
	text, err := os.ReadFile("../../deploy/redis.acl")
	if err != nil {
		t.Fatal(err)
	}
	redis := queuetest.Redis(t)
	rule, rest, _ := strings.Cut(string(text), "\n")
	if strings.TrimSpace(rest) != "user default off" {
		t.Errorf("beside Lethe's user the file has %q", rest)
	}
	rule = strings.Replace(strings.TrimPrefix(rule, "user "), "#PASSWORD_SHA256", ">hunter22", 1)
	redis.Do(append([]string{"ACL", "SETUSER"}, strings.Fields(rule)...)...)
	dir := t.TempDir()
	mem := newMem0(t, filepath.Join(dir, "mem0"), mem0.Memory{ID: "m1", UserID: "alice", Text: "tea"}, mem0.Memory{ID: "m2", UserID: "bob", Text: "coffee"})
	r := start(t, configFor(filepath.Join(dir, "data"), strings.Replace(redis.URL(), "redis://", "redis://lethe:hunter22@", 1), configured("assistant", mem)), nil)
	for _, user := range []string{"alice", "bob"} {
		if c := r.completed(r.forget(user)); c.Stores[0].Erased != 1 {
			t.Errorf("%s: %+v", user, c.Stores[0])
		}
		redis.Flush()
	}
	r.stop()
	if denied := redis.Do("ACL", "LOG"); denied != "*0" {
		t.Errorf("something was denied: %s", denied)
	}
}
