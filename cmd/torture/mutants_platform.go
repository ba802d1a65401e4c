//go:build torture

package main

// platformMutants are those of the store behind Mem0's API.
func platformMutants() []mutant {
	return []mutant{
		{bug: "platform/skip-hidden", check: "store/mem0/web TestHiddenRowsAreFound"},
		{bug: "platform/one-reading", check: "store/mem0/web TestRowsThatMoveBetweenPagesAreFound"},
		{bug: "platform/whatever-is-listed", check: "store/mem0/web TestOthersAreNotYieldedWhateverTheListSays"},
		{bug: "platform/related-of-others", check: "store/mem0/web TestRelatedFactsComeOnlyWhenAskedForAndNeverThoseOfOthers"},
		{bug: "platform/trust-the-sentence", check: "store/mem0/web TestAMemoryThatStaysIsNotSaidToBeErased"},
		{bug: "platform/entity-first", check: "store/mem0/web TestAnEntityGoesOnlyAfterItsMemories"},
		{bug: "platform/any-404", check: "store/mem0/web TestWhateverGoesWrongNothingIsSaidThatIsNotSo"},
		{bug: "platform/late-after-fence", check: "store/mem0/web TestWhatDestroysIsNotSentLongAfterItsFence"},
	}
}
