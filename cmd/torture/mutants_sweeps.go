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

// watchMutants are those of the watch over what comes back.
func watchMutants() []mutant {
	return []mutant{
		{bug: "watch/no-marks", check: "worker TestWhatComesBackIsErasedAgainAndWhatIsMadeLaterIsLeft"},
		{bug: "watch/later-erased", check: "worker TestWhatComesBackIsErasedAgainAndWhatIsMadeLaterIsLeft"},
		{bug: "watch/not-superseded", check: "worker TestWhatComesBackIsErasedAgainAndWhatIsMadeLaterIsLeft"},
		{bug: "watch/exempt-is-back", check: "worker TestWhatWasExemptHasNotComeBack"},
		{bug: "watch/key-kept", check: "worker TestTheKeysOfOldMonthsAreDestroyed"},
		{bug: "watch/key-early", check: "worker TestTheKeysOfOldMonthsAreDestroyed"},
		{bug: "watch/answered-first", check: "worker TestAKillBetweenFindingAndFilingLosesNothing"},
		{bug: "watch/log-forgotten", check: "jobs/ledger TestWhoOnlyTheLogKnowsIsForgottenAgain"},
		{bug: "watch/replay-unlogged", check: "worker TestAReplayLeavesWhatWasMadeAfterTheErasure"},
	}
}
