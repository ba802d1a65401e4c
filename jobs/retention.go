package jobs

import "time"

// A Retention says how long Lethe keeps what is left of its own work. The log and
// its certificates are not part of it: they name nobody, and stay.
type Retention struct {
	// Requests is how long after its end a request's record is kept: the asker's
	// reference, the counts, receipts and codes. 0 for ever.
	Requests time.Duration
}

// LeastRetention is the least that Requests may be: nobody is told of a request
// later than that, and no clock still runs.
const LeastRetention = 90 * 24 * time.Hour

// CCPAMonths is how long records of requests under the CCPA have to be kept, at
// least, whatever Requests says (11 CCR § 7101 (a)): from their end, to be sure.
const CCPAMonths = 24

// Over returns since when a request must have ended for its record to go now, and
// since when one under the CCPA.
func (r Retention) Over(now time.Time) (before, ccpa time.Time) {
	before, ccpa = now.Add(-r.Requests), now.AddDate(0, -CCPAMonths, 0)
	if before.Before(ccpa) {
		ccpa = before
	}
	return before, ccpa
}
