package jobs_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"lethe/jobs"
	"lethe/store"
)

func digest(key []byte, name string, batches [][]store.ID) string {
	d := jobs.NewPlanDigest(key, name)
	for _, b := range batches {
		d.Batch(b)
	}
	return d.Sum()
}

func ids(place string, keys ...string) (list []store.ID) {
	for _, k := range keys {
		list = append(list, store.ID{Place: place, Key: k})
	}
	return list
}

func TestPlansThatDifferHaveOtherDigests(t *testing.T) {
	key := []byte("key")
	of := map[string]string{}
	for i, batches := range [][][]store.ID{
		nil,
		{{}},
		{ids("m", "a", "b")},
		{ids("m", "b", "a")},
		{ids("m", "a"), ids("m", "b")},
		{ids("m", "a", "b"), {}},
		{{}, ids("m", "a", "b")},
		{ids("m", "ab")},
		{ids("ma", "b")},
		{ids("m", "a")},
		{ids("", "ma")},
		{ids("m", "a1:b")},
		{ids("m", "1\n1:m1:a")},
		{ids("m", "a", "b", "b")},
	} {
		sum := digest(key, "notes", batches)
		if was, ok := of[sum]; ok {
			t.Errorf("plan %d has the digest of %s", i, was)
		}
		of[sum] = fmt.Sprint("plan ", i)
	}
	one := [][]store.ID{ids("m", "a")}
	if digest(key, "notes", one) == digest(key, "note", one) || digest(key, "notes", one) == digest([]byte("kez"), "notes", one) {
		t.Error("another store or another key has the same digest")
	}
	if first := digest(key, "notes", one); digest(key, "notes", one) != first {
		t.Error("the same plan has another digest")
	}
}

func TestPlanDigestsAreInjective(t *testing.T) {
	text := rapid.StringOfN(rapid.SampledFrom([]rune("1:\nab")), 0, 4, -1)
	plan := rapid.SliceOfN(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) store.ID {
		return store.ID{Place: text.Draw(t, "place"), Key: text.Draw(t, "key")}
	}), 0, 3), 0, 3)
	rapid.Check(t, func(t *rapid.T) {
		a, b := plan.Draw(t, "a"), plan.Draw(t, "b")
		if same := fmt.Sprintf("%q", a) == fmt.Sprintf("%q", b); same != (digest(nil, "s", a) == digest(nil, "s", b)) {
			t.Fatalf("%q and %q", a, b)
		}
	})
}

func TestPlanHashCoversTheSubjectAndEveryJob(t *testing.T) {
	list := func(change func(*jobs.Job)) []jobs.Job {
		j := jobs.Job{Store: "s", Digest: "a", MapVersion: "m", Places: []jobs.PlaceCount{{Place: "p", Found: 3, Total: 9}, {Place: "q", Found: 2, With: "p"}}}
		if change != nil {
			change(&j)
		}
		return []jobs.Job{j, {Store: "t", Digest: "b"}}
	}
	base := jobs.PlanHash("subject", 1, list(nil))
	two := list(nil)
	for name, other := range map[string]string{
		"subject":     jobs.PlanHash("other", 1, list(nil)),
		"number":      jobs.PlanHash("subject", 2, list(nil)),
		"order":       jobs.PlanHash("subject", 1, []jobs.Job{two[1], two[0]}),
		"fewer jobs":  jobs.PlanHash("subject", 1, two[:1]),
		"store":       jobs.PlanHash("subject", 1, list(func(j *jobs.Job) { j.Store = "t" })),
		"batches":     jobs.PlanHash("subject", 1, list(func(j *jobs.Job) { j.Digest = "b" })),
		"data map":    jobs.PlanHash("subject", 1, list(func(j *jobs.Job) { j.MapVersion = "n" })),
		"a count":     jobs.PlanHash("subject", 1, list(func(j *jobs.Job) { j.Places[1].Found++ })),
		"a place":     jobs.PlanHash("subject", 1, list(func(j *jobs.Job) { j.Places[1].Place = "r" })),
		"what hangs":  jobs.PlanHash("subject", 1, list(func(j *jobs.Job) { j.Places[1].With = "" })),
		"no place":    jobs.PlanHash("subject", 1, list(func(j *jobs.Job) { j.Places = nil })),
		"moved texts": jobs.PlanHash("subject", 1, list(func(j *jobs.Job) { j.Store, j.MapVersion = "sm", "" })),
	} {
		if other == base {
			t.Errorf("%s: two plans have one hash", name)
		}
	}
	if jobs.PlanHash("subject", 1, list(func(j *jobs.Job) { j.Places[0].Total++ })) != base {
		t.Error("the hash covers rows of others, which come and go")
	}
}
