//go:build torture

package main

import "slices"

// mutants lists every planted bug with what has to catch it.
func mutants() []mutant {
	return slices.Concat(workerMutants(), jobsMutants(), auditMutants(), ledgerMutants(), peopleMutants(), holdMutants(), sweepMutants(), watchMutants(), webhookMutants(), platformMutants())
}

// scenes that several planted bugs are caught by.
type scenes struct{ all, big, purged, redis, panics, slow, forgot story }

func allScenes() scenes {
	all := story{whole: true, limit: 15}
	s := scenes{all: all, big: all, purged: all, redis: all, panics: all, forgot: story{disaster: "flush", limit: 25}}
	s.big.big = 1400
	s.purged.purge = "always"
	s.redis.queue = "redis"
	s.panics.last, s.panics.limit = "worker/claimed:1:panic", 25
	s.slow = s.big
	s.slow.last, s.slow.limit = "worker/batch-begun:*:sleep=300", 25
	return s
}

// with is the scene of lives that go to these plans.
func (s scenes) with(plans ...string) story {
	one := s.all
	one.plans = plans
	return one
}

func kill(tries int, s story) *scene { return &scene{"kill", s, tries} }

// workerMutants are those of the worker.
func workerMutants() []mutant {
	s := allScenes()
	return []mutant{
		{bug: "worker/skip-fence", check: "worker TestTheFenceStandsBeforeErase"},
		{bug: "worker/skip-remaining", check: "worker TestLyingStoreGetsNoCertificate"},
		{bug: "worker/refused-is-done", check: "worker TestAStoreThatRefusesGetsNoCertificate"},
		{bug: "worker/absent-is-erased", check: "worker TestWhatOthersErasedMeanwhileIsAbsent"},
		{bug: "worker/retry-counts-absent", scene: kill(4, s.with("worker/erased:1:kill"))},
		{bug: "worker/every-retry-touched", check: "worker TestWhatAnotherRequestErasedMeanwhileIsNotClaimedTwice"},
		{bug: "worker/disowns-nothing", check: "worker TestWhatAnotherRequestErasedMeanwhileIsNotClaimedTwice"},
		{bug: "ledger/untouched", check: "worker TestACancelledRequestCountsWhatADeadWorkerErased"},
		{bug: "worker/count-twice", scene: kill(1, s.all)},
		{bug: "worker/one-leaf", scene: kill(2, s.all)},
		{bug: "worker/leaves-turned", scene: kill(2, s.all)},
		{bug: "worker/log-an-id", scene: kill(1, s.all)},
		{bug: "worker/error-names-an-id", check: "worker TestErrorsNameNobody"},
		{bug: "worker/plan-one-page", scene: kill(6, s.big)},
		{bug: "worker/one-place", scene: kill(4, s.all)},
		{bug: "worker/missing-not-counted", scene: kill(6, s.all)},
		{bug: "worker/big-batch", check: "worker TestEverythingTwice"},
		{bug: "worker/certify-unverified", check: "worker TestWrittenBetweenPlanningAndVerifyingIsErasedInAnotherRound"},
		{bug: "worker/verify-by-find-alone", check: "worker TestWhatNoSelectorFindsIsFoundByReadingAgain"},
		{bug: "worker/verify-by-plan-alone", check: "worker TestWrittenBetweenPlanningAndVerifyingIsErasedInAnotherRound"},
		{bug: "worker/purge-by-word", scene: kill(2, s.purged)},
		{bug: "worker/exclusions-left-out", scene: kill(1, s.all)},
		{bug: "worker/works-without-lease", check: "worker TestLeaseLostMidBatchWritesNothing"},
		{bug: "worker/no-quarantine", check: "worker TestAnIDThatKillsItsWorkerIsSetAside"},
		{bug: "worker/cancel-without-looking", check: "worker TestACancelledRequestCountsWhatADeadWorkerErased"},
		{bug: "worker/along-untold", check: "worker TestACrashLosesNothingOfWhatWentAlong"},
		{bug: "worker/along-forgotten", check: "worker TestAnEntityThatGoesAlongWithItsLastMemoryIsCountedErased"},
		{bug: "worker/exempt-erased-anyway", check: "worker TestWhatIsExemptStaysAndIsNoResidue"},
	}
}

// jobsMutants are those of the intake, the keys and the clock.
func jobsMutants() []mutant {
	s := allScenes()
	return []mutant{
		{bug: "jobs/keys-ignored", scene: kill(1, s.all)},
		{bug: "jobs/body-ignored", scene: kill(1, s.all)},
		{bug: "jobs/no-grace", scene: kill(2, s.all)},
		{bug: "jobs/error-repeats-value", check: "jobs TestSubmitSaysWhichFieldIsWrong"},
		{bug: "jobs/due-late", scene: kill(1, s.all)},
		{bug: "jobs/leases-for-ever", scene: kill(1, s.panics)},
		{bug: "jobs/redis-is-the-truth", scene: &scene{"redis", s.forgot, 5}},
		{bug: "jobs/cancelled-says-none", check: "jobs/ledger TestCancelWhileRunningWaits"},
		{bug: "jobs/clock-weekend", check: "jobs TestTheDatedExamplesHold"},
		{bug: "jobs/clock-30-days", check: "jobs TestTheDatedExamplesHold"},
		{bug: "keyring/remove-alone", check: "jobs/keyring TestDestroyingOverwritesAndIsIdempotent"},
	}
}

// auditMutants are those of the log.
func auditMutants() []mutant {
	s := allScenes()
	return []mutant{
		{bug: "audit/answer-early", scene: kill(8, s.with("audit/commit:9:kill"))},
		{bug: "audit/no-guard", check: "audit TestTheProcessRemembersWhatItHasSeen"},
		{bug: "audit/trusts-a-backup", check: "audit TestABackupThatWasPutBackDoesNotAppendUntilSomebodyVouches"},
		{bug: "audit/sees-no-rollback", check: "audit TestTheLiveProcessNoticesARollback"},
		{bug: "audit/publish-what-is-refused", check: "audit TestARefusedLogPublishesNothing"},
	}
}

// ledgerMutants are those of the ledger and the queue.
func ledgerMutants() []mutant {
	s := allScenes()
	return []mutant{
		{bug: "ledger/wipe-nothing", scene: kill(1, s.all)},
		{bug: "ledger/keep-seal", scene: kill(1, s.all)},
		{bug: "ledger/end-unlogged", scene: kill(1, s.all)},
		{bug: "ledger/accept-unlogged", scene: kill(1, s.all)},
		{bug: "ledger/complete-half", check: "jobs/ledger TestCompleteNeedsEveryJob"},
		{bug: "ledger/ring-names-memory", scene: kill(1, s.redis)},
		{bug: "ledger/erase-on-half-a-plan", check: "jobs/ledger TestErasingBeginsWhenEveryJobIsPlanned"},
		{bug: "ledger/settle-early", scene: kill(2, s.slow)},
		{bug: "ledger/no-epoch", check: "jobs/ledger TestStaleEpochWritesNothing"},
		{bug: "ledger/along-unlooked", check: "worker TestACancelledRequestCountsWhatWentAlong"},
		{bug: "ledger/along-of-any-round", check: "worker TestWhatCameBackIsNotSaidToHaveGoneAlong"},
		{bug: "ledger/others-receipts", scene: kill(1, s.all)},
		{bug: "ledger/any-durability", check: "jobs/ledger TestSynchronousIsFullOnEveryConnection"},
		{bug: "ledger/nothing-abandoned", check: "jobs/ledger TestAbandonedTasksAreRungAtStart"},
		{bug: "ledger/exempt-keeps-plan", check: "jobs/ledger TestAPlannedPartThatIsExemptIsPlannedAnew"},
		{bug: "queue/never-fresh", check: "jobs/queue TestFlushAllMakesFresh"},
		{bug: "queue/error-told", check: "jobs/queue TestErrorTextIsNotStored"},
		{bug: "queue/any-eviction", check: "jobs/queue TestRefusesEvictingRedis"},
	}
}

// peopleMutants are those of what people may do.
func peopleMutants() []mutant {
	return []mutant{
		{bug: "approval/self", check: "jobs/ledger TestAPlanBeyondTheLimitsWaitsForASecondPerson"},
		{bug: "approval/any-hash", check: "jobs/ledger TestAPlanBeyondTheLimitsWaitsForASecondPerson"},
		{bug: "approval/skip-drift", check: "jobs/ledger TestWhatDriftedSinceItsApprovalWaitsAgain"},
		{bug: "approval/fence-blind", check: "jobs/ledger TestTheFenceReadsTheApprovalAgain"},
		{bug: "approval/never-needed", check: "jobs/ledger TestEveryPlanWaitsWhereTheRulesSayAlways"},
		{bug: "approval/residue-unjudged", check: "jobs/ledger TestMoreFoundWhileVerifyingThanWasApprovedWaits"},
		{bug: "door/role-ignored", check: "jobs/api TestEveryRouteIsForTheRolesOfTheTable"},
		{bug: "door/foreign-seen", check: "jobs/ledger TestAForeignRequestIsAsOneThatIsNotThere"},
		{bug: "door/keys-shared", check: "jobs/ledger TestIdempotencyKeysArePerActor"},
		{bug: "door/expired-lives", check: "jobs/ledger TestATokenIsGoodUntilItExpiresOrIsRevoked"},
		{bug: "door/revoked-lives", check: "jobs/ledger TestATokenIsGoodUntilItExpiresOrIsRevoked"},
		{bug: "door/opens-again", check: "jobs/ledger TestTheDoorIsOpenUntilTheFirstTokenAndNeverAgain"},
		{bug: "door/backup-revives", check: "jobs/ledger TestATokenRevokedSinceTheBackupStaysRevoked"},
		{bug: "door/unlogged-acts", check: "jobs/ledger TestTokensMadeBesideTheServiceAreLoggedBeforeTheyAreGood"},
		{bug: "api/no-rate", check: "jobs/api TestCallsBeyondTheRateAreRefusedAndComeBack"},
		{bug: "api/any-encoding", check: "jobs/api TestHeaderFloodsAndEncodedBodiesAreRefused"},
	}
}

// holdMutants are those of legal holds.
func holdMutants() []mutant {
	return []mutant{
		{bug: "holds/ignored", check: "worker TestHeldRowsStayAndTheRestIsErased"},
		{bug: "holds/wrong-field", check: "worker TestAHoldEndsWhenItsTimeComes"},
		{bug: "holds/read-at-start-only", check: "worker TestAHoldBetweenBeginAndFenceKeepsItsRows"},
		{bug: "holds/answer-early", check: "worker TestAHoldIsAnsweredOnceNoBatchThatPassedItsFenceIsAtWork"},
		{bug: "holds/forgets-the-dead", check: "worker TestAHoldWaitsForTheLeaseOfADeadWorker"},
		{bug: "holds/release-forgets", check: "worker TestHeldRowsStayAndTheRestIsErased"},
		{bug: "holds/held-uncounted", check: "worker TestHeldRowsStayAndTheRestIsErased"},
	}
}

// webhookMutants are those of webhooks.
func webhookMutants() []mutant {
	return []mutant{
		{bug: "webhook/unsigned", check: "jobs/webhook TestANoticeIsSignedAndTakenAfterAnError"},
		{bug: "webhook/redirects", check: "jobs/webhook TestARedirectIsNotFollowed"},
		{bug: "webhook/private-allowed", check: "jobs/webhook TestANameThatLeadsInsideIsNotTold"},
		{bug: "webhook/bytes-differ", check: "jobs/ledger TestANoticeHasTheSameBytesAtEveryTryAndWaitsForTheOneBefore"},
		{bug: "webhook/keep-key", check: "jobs/ledger TestEveryChangeOfStatusIsTold"},
	}
}
