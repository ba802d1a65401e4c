package ledger_test

import (
	"slices"
	"testing"
	"time"

	"lethe/jobs"
)

func TestTheNearestDeadlineIsFirst(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		sam := jobs.Actor{ID: "tok-sam", Role: jobs.RoleSubmitter}
		age := map[string]int{}
		for i, days := range []int{3, 9, 1, 9, 20} {
			by := jobs.ActorLocal
			if i%2 == 1 {
				by = sam
			}
			r, _, err := b.intake.Submit(t.Context(), jobs.Submission{
				By: by, Selector: user("u"), Origin: jobs.OriginConsole, ReceivedAt: b.Now().Add(-time.Duration(days) * 24 * time.Hour),
			})
			if err != nil {
				t.Fatal(err)
			}
			age[r.ID] = days
		}
		open := []jobs.Status{jobs.Received, jobs.Planning, jobs.Erasing}
		read := func(by jobs.Actor, limit int) (all []int) {
			t.Helper()
			var last jobs.Request
			for cursor, pages := "", 0; pages == 0 || cursor != ""; pages++ {
				list, next, err := b.intake.Urgent(t.Context(), by, open, limit, cursor)
				if err != nil || len(list) > limit || pages > 9 {
					t.Fatal(err, len(list), pages)
				}
				for _, r := range list {
					if all = append(all, age[r.ID]); r.DueAt.Before(last.DueAt) || len(r.Jobs) == 0 {
						t.Errorf("%+v after %s", r, last.DueAt)
					}
					last = r
				}
				cursor = next
			}
			return all
		}
		for _, limit := range []int{1, 2, 100} {
			if got := read(jobs.ActorLocal, limit); !slices.Equal(got, []int{20, 9, 9, 3, 1}) {
				t.Errorf("by %d: %v", limit, got)
			}
		}
		if got := read(sam, 1); !slices.Equal(got, []int{9, 9}) {
			t.Errorf("those of one filer: %v", got)
		}
		if got, err := b.intake.Commitment(t.Context(), sam, b.submit(t, "other").ID); err == nil {
			t.Errorf("another's commitment: %s", got)
		}
		if got, _, err := b.intake.Urgent(t.Context(), jobs.ActorLocal, []jobs.Status{jobs.Completed}, 9, ""); err != nil || len(got) != 0 {
			t.Errorf("completed: %v, %v", got, err)
		}
	})
}
