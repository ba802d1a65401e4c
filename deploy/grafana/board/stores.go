package board

func stores() *Dashboard {
	return &Dashboard{
		Name: "stores", Title: "Lethe: stores",
		About:     "Are the stores there, how fast are they erased from, and do policies run.",
		Variables: []Variable{{"store", "Store", string(StoreUp)}, {"policy", "Policy", string(SweepSuccess)}},
		Rows:      []Row{storesNow(), storesWork(), comesBack(), sweeps()},
	}
}

// chosen is the store that the reader has chosen.
const chosen = `store=~"$store"`

func storesNow() Row {
	return Row{"Now", []Panel{
		states("Stores", StoreUp.Least("store", chosen), "{{store}}", State{"1", "up", green}, State{"0", "down", red}).size(12, 5).runbook("LetheStoreDown").
			about("A store that is down for one process is down here. Its jobs wait, and go on by themselves: /readyz says why it is down, and which grant or file is missing."),
		box("Failed verifications, a day", VerifyFailures.Grown("1d", "", chosen), Count, some(red)).size(4, 5).runbook("LetheVerificationFailed").
			about("Batches that a store called erased and that could still be read."),
		box("Residue found, a day", ResidueFound.Grown("1d", "", chosen), Count, some(yellow)).size(4, 5).runbook("LetheResidueFound").
			about("IDs found when a whole job was read again: written since planning, or come back."),
		box("Tables not mapped", by("sum", "", StoreUnmapped.Most("store", chosen)), Count, Step{1, yellow}).size(4, 5).runbook("LetheStoreUnmapped").
			about("Tables with a problem, such as one that looks personal and is neither mapped nor waived. `lethe stores check` names them. What is not mapped is not erased."),
	}}
}

func storesWork() Row {
	return Row{"Work", []Panel{
		lines("Erased in a second", PerSecond, Query{IDsTotal.Rate(moment, "store", chosen, `outcome="erased"`), "{{store}}"}).
			about("IDs that were erased and read again to see that they are gone."),
		lines("IDs in an hour, by outcome", Count, Query{IDsTotal.Grown("1h", "outcome", chosen), "{{outcome}}"}).
			coloured(State{Text: "erased", Colour: green}, State{Text: "absent", Colour: blue}, State{Text: "held", Colour: purple}, State{Text: "refused", Colour: red}).runbook("LetheIdsRefused").
			about("Absent was gone already, held is kept by a legal hold. Refused is for a person to look at."),
		lines("Batches in an hour, by outcome", Count, Query{BatchesTotal.Grown("1h", "outcome", chosen), "{{outcome}}"}).
			coloured(State{Text: "done", Colour: green}, State{Text: "failed", Colour: red}, State{Text: "split", Colour: yellow}, State{Text: "refused", Colour: orange}, State{Text: "held", Colour: purple}).
			about("Failed batches are tried again. Many of them with a store that is up: its log says why."),
		lines("Time to erase a batch", Seconds,
			Query{EraseDuration.Quantile("0.5", "1h", "store", chosen), "{{store}}, half"}, Query{EraseDuration.Quantile("0.95", "1h", "store", chosen), "{{store}}, 95 of 100"}).
			about("What a store took for one batch, in the hour before. It grows when an index is missing, or when others lock the tables."),
	}}
}

func comesBack() Row {
	return Row{"What comes back", []Panel{
		lines("Found again in an hour", Count, Query{SuppressionFound.Grown("1h", "kind", chosen), "{{kind}}"}).size(10, 6).
			coloured(State{Text: "back", Colour: red}, State{Text: "later", Colour: blue}, State{Text: "undated", Colour: yellow}).
			runbook("LetheSuppressionFoundAgain").
			about("Rows of people who were forgotten. Back are erased again: somebody has to look who writes them. Later were made after the erasure, undated say nothing of when; both are left."),
		lines("Looks that are late", Seconds, Query{WatchLate.Now("store", chosen), "{{store}}"}).size(10, 6).runbook("LetheWatchLate").
			about("For how long a look whether anything has come back to a store has been due. A store that is down is not looked at."),
		box("Stores that cannot list", by("sum", "", WatchUnable.Most("store", chosen)), Count, Step{1, yellow}).size(4, 6).
			about("Stores that cannot list what is in them, so that nobody sees what comes back there."),
	}}
}

func sweeps() Row {
	const policy = `policy=~"$policy"`
	const none = "there are no policies, or none that has ever come to its end."
	return Row{"Policies", []Panel{
		{
			Title: "Since a policy's last whole sweep", Look: Bars, Unit: Seconds, Wide: 6, High: 6,
			Queries: []Query{{"time() - (" + SweepSuccess.Now("policy", policy) + " > 0)", "{{policy}}"}}, Runbook: []string{"LetheSweepLate"}, MayBeEmpty: none,
			About: "Of a policy's stores, that for which it is longest ago. `lethe sweep list` says how often it should run.",
		},
		lines("Sweeps that are late", Seconds, Query{SweepLate.Now("policy", policy), "{{policy}}"}).size(6, 6).runbook("LetheSweepLate").
			mayBeEmpty("there are no policies.").
			about("For how long a policy's sweep has been due. It falls to 0 once it is run."),
		lines("Sweeps refused in an hour", Count, Query{SweepRefused.Grown("1h", "policy, reason", policy), "{{policy}}: {{reason}}"}).size(6, 6).runbook("LetheSweepRefused").
			mayBeEmpty("there are no policies.").
			about("A tick that could not run is tried again each minute, and counted each time, by reason."),
		lines("Requests that policies filed in an hour", Count, Query{RequestsTotal.Grown("1h", "outcome", `origin="sweep"`), "{{outcome}}"}).size(6, 6).
			about("Each sweep that finds something files a request, with its own certificate."),
	}}
}
