package web

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"lethe/store"
)

// wait returns when k may be sent: by the rate, and by what a 429 has asked for.
func (c *client) wait(ctx context.Context, k call) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		now := c.now()
		c.mu.Lock()
		pause := c.until.Sub(now)
		c.mu.Unlock()
		if pause > 0 {
			if err := k.mayWait(now, pause); err != nil {
				return err
			}
			if err := c.sleep(ctx, pause); err != nil {
				return err
			}
			continue
		}
		turn := c.bucket.ReserveN(now, 1)
		pause = turn.DelayFrom(now)
		if err := k.mayWait(now, pause); err != nil {
			turn.CancelAt(now)
			return err
		}
		if pause > 0 {
			if err := c.sleep(ctx, pause); err != nil {
				turn.CancelAt(c.now())
				return err
			}
		}
		return nil
	}
}

// mayWait reports whether k may be sent so much later.
func (k call) mayWait(now time.Time, pause time.Duration) error {
	switch {
	case k.destroys && now.Add(pause).After(k.by) && !bug("platform/late-after-fence"):
		return fmt.Errorf("%w: its turn would come too long after the fence", store.ErrBusy)
	case pause > cmp.Or(k.pause, maxPause):
		return fmt.Errorf("%w: it asks to wait %d s", store.ErrBusy, int(pause.Seconds()))
	}
	return nil
}

// rest keeps everybody from asking for as long as a 429 says or, if it does not,
// for longer with each turn.
func (c *client) rest(pause time.Duration, turn int) {
	if pause <= 0 {
		pause = min(time.Second<<(turn-1), maxPause)
	}
	until := c.now().Add(min(pause, maxRest))
	c.mu.Lock()
	defer c.mu.Unlock()
	if until.After(c.until) {
		c.until = until
	}
}

// pauseOf is how long an answer's header asks to wait; 0 if it does not say. It
// is Retry-After in seconds or as a date (RFC 9110, 10.2.3), else
// X-RateLimit-Reset in seconds, from now or since 1970.
func pauseOf(h http.Header, now time.Time) time.Duration {
	if text := h.Get("Retry-After"); text != "" {
		if seconds, err := strconv.ParseFloat(text, 64); err == nil {
			return inSeconds(seconds)
		}
		if at, err := http.ParseTime(text); err == nil {
			return max(at.Sub(now), 0)
		}
	}
	if reset, err := strconv.ParseFloat(h.Get("X-RateLimit-Reset"), 64); err == nil {
		if reset > 1e9 { // a time, not a span
			reset -= float64(now.UnixNano()) / 1e9
		}
		return inSeconds(reset)
	}
	return 0
}

func inSeconds(n float64) time.Duration {
	if n > 0 && n < maxRest.Seconds() {
		return time.Duration(n * float64(time.Second))
	}
	if n > 0 {
		return maxRest
	}
	return 0
}
