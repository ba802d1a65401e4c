//go:build torture

package main

// sweepMutants are those of retention: of sweeps, and of our own records.
func sweepMutants() []mutant {
	with := func(plans ...string) story { return story{sweeps: true, limit: 30, plans: plans} }
	return []mutant{
		{bug: "sweep/filed-apart", scene: kill(3, with("sweep/filing:1:kill", "sweep/filing:2:kill"))},
		{bug: "sweep/taken-apart", scene: kill(3, with("sweep/taking:2:kill", "sweep/taking:1:kill"))},
		{bug: "sweep/never-again", scene: kill(3, with("sweep/tried~"+policyEnded+":1:kill"))},
		{bug: "sweep/unbraked", scene: kill(2, with())},
		{bug: "sweep/young-too", scene: kill(1, with())},
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
