//go:build torture

package main

// sweepMutants are those of retention: of sweeps, and of our own records.
func sweepMutants() []mutant {
	return []mutant{
		{bug: "sweep/clock-believed", check: "jobs TestAClockThatJumpsIsNotBelieved"},
		{bug: "sweep/skew-ignored", check: "jobs TestASweepThatCannotBeTrustedIsRefused"},
		{bug: "sweep/overlap", check: "jobs/ledger TestTheBrakesOfASweepAreFrozenWithIt"},
		{bug: "sweep/brakes-ignored", check: "jobs/ledger TestTheBrakesOfASweepAreFrozenWithIt"},
		{bug: "sweep/unusual-ignored", check: "jobs/ledger TestTheBrakesOfASweepAreFrozenWithIt"},
		{bug: "sweep/filed-twice", check: "jobs/ledger TestATickIsTakenAndFiledOnce"},
		{bug: "sweep/erase-as-planned", check: "worker TestASweepLeavesWhatIsHeldOrNoLongerMeant"},
		{bug: "ledger/ccpa-short", check: "jobs/ledger TestRecordsUnderTheCCPAAreKeptForTwoYears"},
	}
}
