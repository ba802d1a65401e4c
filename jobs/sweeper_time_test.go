package jobs_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lethe/jobs"
	"lethe/store"
)

// twenty policies of all kinds: by intervals, by clocks that change, on days that
// not every month or year has.
func twenty(t *testing.T) []jobs.Policy {
	t.Helper()
	var all []jobs.Policy
	add := func(s jobs.Schedule, err error) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, jobs.Policy{Name: fmt.Sprint("p", len(all)), Stores: []string{fmt.Sprint("s", len(all)%4)}, Schedule: s, Expired: true})
	}
	for _, d := range []time.Duration{41 * time.Hour, 48 * time.Hour, 24 * time.Hour, 36 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour, 366 * 24 * time.Hour} {
		add(jobs.Every(d))
	}
	for spec, name := range map[string]string{
		"30 2 * * *": "Europe/Berlin", "15 2 * * *": "America/New_York", "0 0 29 2 *": "UTC", "0 12 31 * *": "Asia/Kolkata",
		"45 1 * * 0": "Australia/Lord_Howe", "0 0 1 1 *": "Pacific/Apia", "59 23 * * 1-5": "America/Sao_Paulo", "0 3 * * *": "Africa/Cairo",
		"10 2 1 * *": "Europe/London", "30 0 * * 6": "America/St_Johns", "0 5 30 2,4 *": "UTC", "0 2 28-31 3,10 *": "Europe/Berlin", "@weekly": "Asia/Tehran",
	} {
		add(jobs.Cron(spec, zone(t, name)))
	}
	return all
}

// For ten years two services run twenty policies. They stop, together or one at a
// time, for hours and for months; their clocks are put back and forward by some
// minutes, and apart. Each tick is covered by one sweep and by no two.
func TestTenYearsOfTicksAreEachRunOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const years = 10
		all := twenty(t)
		start := time.Now()
		var set [2]time.Duration // how far each clock is off
		var mu sync.Mutex
		clock := func(i int) func() time.Time {
			return func() time.Time {
				mu.Lock()
				defer mu.Unlock()
				return time.Now().Add(set[i]).UTC()
			}
		}
		s := newShelf(func() time.Time { return time.Now().UTC() })
		l := larder{
			clock: func(string) (time.Time, error) { return time.Now().UTC(), nil },
			sight: func(string, store.Selector) (jobs.SweepSight, error) { return rows(0, 10) },
		}
		var group sync.WaitGroup
		stops := make([]context.CancelFunc, 2)
		run := func(i int) {
			ctx, cancel := context.WithCancel(t.Context())
			stops[i] = cancel
			sweeper := newSweeper(s, l, clock(i), all...)
			sweeper.Turn = 25 * time.Hour
			group.Go(func() { _ = sweeper.Run(ctx) })
		}
		run(0)
		run(1)
		synctest.Wait()
		for month := 0; time.Since(start) < years*365*24*time.Hour; month++ {
			time.Sleep(29*24*time.Hour + time.Duration(month)*7*time.Minute)
			mu.Lock()
			set = [2]time.Duration{time.Duration(month%3-1) * 50 * time.Second, time.Duration(month%5-2) * 20 * time.Second}
			mu.Unlock()
			switch stops[month%2](); month % 6 {
			case 2: // one is away for a day, the other goes on
				time.Sleep(24 * time.Hour)
			case 5: // nobody runs for a month and more
				stops[(month+1)%2]()
				group.Wait()
				time.Sleep(40 * 24 * time.Hour)
				run((month + 1) % 2)
			}
			run(month % 2)
		}
		time.Sleep(time.Hour)
		stops[0]()
		stops[1]()
		group.Wait()
		for reason, n := range s.refused {
			t.Errorf("refused %d times: %s", n, reason)
		}
		judgeTicks(t, s, all)
	})
}

// judgeTicks makes sure that each tick is that of one sweep, or was missed by one.
func judgeTicks(t *testing.T, s *shelf, all []jobs.Policy) {
	t.Helper()
	covered, catching := 0, 0
	for _, p := range all {
		m := s.marks[p.Name+" "+p.Stores[0]]
		list := slices.Clone(m.list)
		slices.SortFunc(list, func(a, b *jobs.Sweep) int { return cmp.Compare(a.DueAt.UnixNano(), b.DueAt.UnixNano()) })
		after := m.since
		for _, w := range list {
			last, n, ok := p.Schedule.Last(after, w.DueAt)
			if !ok || !last.Equal(w.DueAt) || n != w.Missed+1 || w.State == jobs.SweepOpen {
				t.Errorf("%s: tick %s (%s) covers %d, want %d up to %s", p.Name, w.DueAt, w.State, w.Missed+1, n, last)
			}
			after, covered = w.DueAt, covered+n
			if n > 1 {
				catching++
			}
		}
		if last, n, ok := p.Schedule.Last(after, s.now().Add(-time.Minute)); ok {
			t.Errorf("%s: %d ticks up to %s were never run", p.Name, n, last)
		}
	}
	t.Logf("%d sweeps cover %d ticks; %d of them more than one", s.ticks, covered, catching)
	if covered < 15_000 || catching < 20 {
		t.Errorf("too few ticks for what this is to show: %d, %d caught up", covered, catching)
	}
}

// A clock that is set forward by years while the service runs is not believed:
// nothing is filed. Once it is right again all goes on.
func TestAClockThatJumpsIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		every, err := jobs.Every(time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		p := jobs.Policy{Name: "old", Stores: []string{"s"}, Schedule: every, OlderThan: 24 * time.Hour}
		var mu sync.Mutex
		var set time.Duration
		jump := func(d time.Duration) { mu.Lock(); set = d; mu.Unlock() }
		now := func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(set).UTC() }
		s := newShelf(now)
		l := larder{
			clock: func(string) (time.Time, error) { return now(), nil }, // a store on the same machine
			sight: func(string, store.Selector) (jobs.SweepSight, error) { return rows(5, 10) },
		}
		ctx, cancel := context.WithCancel(t.Context())
		sweeper := newSweeper(s, l, now, p)
		done := make(chan error, 1)
		go func() { done <- sweeper.Run(ctx) }()
		filed := func() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.requests) }
		time.Sleep(5*time.Hour + time.Minute)
		if filed() != 5 {
			t.Fatalf("%d requests in five hours", filed())
		}
		jump(3 * 365 * 24 * time.Hour)
		time.Sleep(3 * time.Hour)
		if n := s.refusals(jobs.RefusedJump); filed() != 5 || n < 170 || n > 190 {
			t.Errorf("set forward by three years: %d requests more, refused %d times in three hours", filed()-5, n)
		}
		jump(0)
		time.Sleep(2*time.Hour + time.Minute)
		if filed() != 7 && filed() != 8 {
			t.Errorf("set right: %d requests, want one for the hours of the jump and one an hour", filed())
		}
		before := filed()
		jump(-30 * time.Hour)
		time.Sleep(2 * time.Hour)
		if s.refusals(jobs.RefusedBack) == 0 || filed() != before {
			t.Errorf("put back: %d requests more, refused %d times", filed()-before, s.refusals(jobs.RefusedBack))
		}
		if list, err := sweeper.Sweep(ctx, jobs.ActorLocal, "old"); err != nil || list[0].State != jobs.SweepFiled {
			t.Errorf("by hand: %+v, %v", list, err)
		}
		before = filed()
		time.Sleep(2*time.Hour + time.Minute)
		if filed() != before+2 {
			t.Errorf("after a run by hand %d requests in two hours, by the clock as it is now", filed()-before)
		}
		cancel()
		<-done
	})
}

// What a sweep cannot trust refuses it, each with its own reason, and nothing is
// filed.
func TestASweepThatCannotBeTrustedIsRefused(t *testing.T) {
	every, err := jobs.Every(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	p := jobs.Policy{Name: "old", Stores: []string{"s"}, Schedule: every, OlderThan: 24 * time.Hour}
	now := func() time.Time { return clock }
	five := func() (jobs.SweepSight, error) { return rows(5, 10) }
	for name, c := range map[string]struct {
		off         time.Duration
		clock       error
		sight       func() (jobs.SweepSight, error)
		stay        bool
		want        string
		wantIsFiled bool
	}{
		"a store 61 s ahead":   {off: 61 * time.Second, sight: five, want: jobs.RefusedSkew},
		"a store 61 s behind":  {off: -61 * time.Second, sight: five, want: jobs.RefusedSkew},
		"a store of 1970":      {off: -56 * 365 * 24 * time.Hour, sight: five, want: jobs.RefusedSkew},
		"a store 59 s ahead":   {off: 59 * time.Second, sight: five, wantIsFiled: true},
		"a store that is down": {clock: fmt.Errorf("s: %w", store.ErrUnavailable), want: jobs.RefusedDown},
		"a store that breaks":  {clock: errBroken, want: jobs.RefusedError},
		"a store without ages": {clock: fmt.Errorf("s: %w", jobs.ErrUnable), want: jobs.RefusedUnable},
		"down after its clock": {sight: func() (jobs.SweepSight, error) { return jobs.SweepSight{}, store.ErrUnavailable }, want: jobs.RefusedDown},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf(now)
			l := larder{
				clock: func(string) (time.Time, error) { return clock.Add(c.off), c.clock },
				sight: func(string, store.Selector) (jobs.SweepSight, error) { return c.sight() },
			}
			sweeper := newSweeper(s, l, now, p)
			list, err := sweeper.Sweep(t.Context(), jobs.ActorLocal, "old")
			if err != nil || list[0].Reason != c.want || (list[0].State == jobs.SweepFiled) != c.wantIsFiled || len(s.requests) == 0 == c.wantIsFiled {
				t.Errorf("%+v, %v", list, err)
			}
			if jobs.ExplainRefusal(c.want) == c.want && c.want != "" || !slices.Contains(append(jobs.SweepRefusals(), ""), c.want) {
				t.Errorf("%s is not explained", c.want)
			}
			dry, err := sweeper.Preview(t.Context(), jobs.ActorLocal, "old")
			if err != nil || dry[0].Refused != c.want {
				t.Errorf("dry run: %+v, %v", dry, err)
			}
		})
	}
	sweeper := newSweeper(newShelf(now), larder{}, now, p)
	for _, role := range []jobs.Role{jobs.RoleSubmitter, jobs.RoleApprover, jobs.RoleAuditor} {
		who := jobs.Actor{ID: "x", Role: role}
		_, err1 := sweeper.Sweep(t.Context(), who, "old")
		_, err2 := sweeper.Preview(t.Context(), who, "old")
		if !errors.Is(err1, jobs.ErrForbidden) || !errors.Is(err2, jobs.ErrForbidden) {
			t.Errorf("%s may run it: %v, %v", role, err1, err2)
		}
	}
	if _, err := sweeper.Sweep(t.Context(), jobs.ActorLocal, "young"); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("a policy that is not there: %v", err)
	}
}
