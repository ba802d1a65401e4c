package board

// day and hour in seconds.
const (
	hour = 3600
	day  = 24 * hour
)

func overview() *Dashboard {
	return &Dashboard{
		Name: "overview", Title: "Lethe: overview",
		About: "Will every request be answered in time, does work move, and what needs a person.",
		Rows:  []Row{deadlines(), flow(), people(), processes()},
	}
}

func deadlines() Row {
	left := func(due string) string { return RequestsDue.Now("", `due_in="`+due+`"`) }
	return Row{"Deadlines", []Panel{
		box("Overdue", left("overdue"), Count, Step{1, red}).runbook("LetheOverdue").
			about("Open requests whose legal deadline has passed. `lethe list --due overdue` names them, with what each waits for. Tell whoever answers for data protection."),
		box("Due within a day", left("1d"), Count, Step{1, orange}).runbook("LetheDeadlineAtRisk").
			about("Open requests with less than a day left. `lethe list --due 1d` names them. If one cannot be done in time, `lethe extend` records a lawful extension."),
		box("Due within 3 days", left("3d"), Count, Step{1, yellow}).runbook("LetheDeadlineNear").
			about("Open requests with one to three days left. `lethe list --due 3d` names them."),
		box("Oldest open request", OldestOpen.Now(""), Seconds, Step{7 * day, yellow}, Step{25 * day, red}).runbook("LetheOldestOpenTooOld").
			about("Age of the oldest request that has not ended. An erasure takes minutes: what is weeks old waits for a person, a hold or a store."),
		box("Longest wait for approval", OldestApproval.Now(""), Seconds, Step{day, yellow}, Step{3 * day, red}).runbook("LetheApprovalWaits").
			about("How long the plan that waits longest for a second person has waited. `lethe list --status awaiting_approval`, then `lethe approve` or `lethe reject`."),
		box("Receipts overdue", ConfirmDue.Now("", `due_in="overdue"`), Count, Step{1, red}).runbook("LetheConfirmationDue").
			about("Requests whose receipt had to be confirmed to the person and was not. `lethe list --due unconfirmed`, then tell the person and `lethe confirm`."),
		box("IDs set aside", IDsRefused.Now(""), Count, Step{1, yellow}).runbook("LetheIdsRefused").
			about("IDs that a store refuses to erase. Their requests cannot end until somebody mends the cause: `lethe status` of the request says which."),
		box("Without a certificate", CertificatesDue.Now(""), Count, Step{1, yellow}).runbook("LetheCertificateNotIssued").
			about("Requests whose stores are all through and whose certificate is still to be issued. More than 0 for minutes: the log does not take it."),
		lines("Open requests by the time left", Count, Query{RequestsDue.Now("due_in"), "{{due_in}}"}).runbook("LetheDeadlineAtRisk", "LetheOverdue").
			stacked(State{Text: "overdue", Colour: red}, State{Text: "1d", Colour: orange}, State{Text: "3d", Colour: yellow}, State{Text: "7d", Colour: blue}, State{Text: "later", Colour: green}).
			about("All open requests. What is red is late; what turns from green to yellow comes due faster than it is done."),
		lines("Open requests by status", Count, Query{RequestsOpen.Now("status"), "{{status}}"}).stacked().
			about("Where open requests are. Many that wait for approval wait for people; many that are erasing wait for stores."),
	}}
}

func flow() Row {
	return Row{"Does work move", []Panel{
		box("Since a step ended", "time() - "+LastProgress.Now(""), Seconds).size(3, 8).runbook("LetheNothingMoving").
			about("How long ago any plan, batch, verification or certificate came to its end. Bad only while work is ready: see beside."),
		box("Ready to be done", WorkReady.Now(""), Count).size(3, 8).runbook("LetheNothingMoving").
			about("Tasks that are due now and wait for nothing but a worker. If this stays above 0 while the time beside it grows, nothing moves: look at the queue's dashboard."),
		lines("Requests in an hour", Count,
			Query{by("sum", "outcome", RequestsTotal.Grown("1h", "origin, outcome")), "{{outcome}}"}).size(9, 8).
			about("Requests taken in and ended in the hour before, whoever filed them. Accepted above completed for days means a growing pile."),
		lines("From intake to certificate", Seconds,
			Query{RequestDuration.Quantile("0.5", "1h", ""), "half of them"}, Query{RequestDuration.Quantile("0.95", "1h", ""), "95 of 100"}).size(9, 8).
			about("How long requests took that ended in the hour before, waiting for approval and grace included. A dot is one request: its exemplar holds the request's ID for `lethe status`."),
	}}
}

func people() Row {
	return Row{"Needs a person", []Panel{
		box("Alerts firing", `count(ALERTS{alertname=~"Lethe.+",alertstate="firing"}) or vector(0)`, Count, Step{1, red}).
			about("Alerts of deploy/prometheus/rules.yml that fire now; each has a section in the runbook. 0 also if the rules are not loaded."),
		box("Failed verifications, a day", VerifyFailures.Grown("1d", ""), Count, some(red)).runbook("LetheVerificationFailed").
			about("Batches that a store called erased and that could still be read. They are tried again; the cause is in the store: a trigger, a replica, a second writer."),
		box("Residue found, a day", ResidueFound.Grown("1d", ""), Count, some(yellow)).runbook("LetheResidueFound").
			about("IDs found when a whole job was read again. Somebody goes on writing what is being erased, or restored it."),
		box("Came back, a day", SuppressionFound.Grown("1d", "", `kind="back"`), Count, some(yellow)).runbook("LetheSuppressionFoundAgain").
			about("Rows of people who were forgotten, found in a store again. They are erased again; somebody has to look who writes them: a backup that was put back, a replica, an import."),
		box("Sweeps refused, a day", by("sum", "", SweepRefused.Grown("1d", "policy, reason")), Count, some(yellow)).runbook("LetheSweepRefused").
			about("How often a policy could not run. `lethe sweep list` says why."),
		box("Webhooks given up, a day", WebhooksTotal.Grown("1d", "", `outcome="given_up"`), Count, some(yellow)).runbook("LetheWebhookFailing").
			about("Notices that no receiver took until the last try. Nobody is told again: tell them."),
		box("Weak spots", by("sum", "", Weaknesses.Most("check")), Count, Step{1, yellow}).
			about("What the self-check at the start found weak. `lethe serve --check` says what, and how to mend it."),
		box("Holds that stand", HoldsActive.Now(""), Count).
			about("Legal holds in force. Each keeps something from being erased: `lethe hold list`. Nothing is wrong."),
	}}
}

func processes() Row {
	return Row{"Processes", []Panel{
		states("Ready", by("max", "instance", "("+Ready.Of()+") or ("+up.Of()+" - 1)"), "{{instance}}",
			State{"1", "ready", green}, State{"0", "not ready", orange}, State{"-1", "gone", red}).runbook("LetheDown", "LetheProcessDown", "LetheNotReady").
			about("Each process over time. Not ready: its /readyz says why. Gone: Prometheus does not reach it."),
		lines("Since each loop's last turn", Seconds, Query{by("max", "loop", "time() - "+LoopLastTurn.Of()), "{{loop}}"}).size(12, 6).lined(Step{5 * 60, red}).runbook("LetheLoopStopped").
			about("A loop that grows without end has stopped, or cannot reach what it works on: one that lives turns at least every 70 seconds. The worst process counts."),
		lines("Processor", Share, Query{processCPU.Rate(moment, "instance"), "{{instance}}"}).size(8, 6).
			about("Processors in use: 100 % is one whole core."),
		lines("Memory", Bytes, Query{processMemory.Sum("instance"), "{{instance}}"}).size(8, 6).
			about("Resident memory. It should not grow with the number of requests."),
		lines("Open files", Share, Query{by("max", "instance", processFDs.Of()+" / "+processMaxFDs.Of()), "{{instance}}"}).size(8, 6).lined(Step{0.8, red}).
			about("Of the files that a process may open. Near 100 %: raise LimitNOFILE, and look for what leaks."),
		{
			Title: "Versions", Look: Table, Unit: Count, Wide: 12, High: 5, Queries: []Query{{BuildInfo.Sum("instance, version, goversion"), ""}},
			About: "Which version each process runs. During a rolling restart there are two, and at no other time.",
		},
		{
			Title: "Roles", Look: Table, Unit: Count, Wide: 12, High: 5, Queries: []Query{{Role.Sum("instance, role"), ""}},
			Runbook: []string{"LetheRoleMissing"},
			About:   "What each process does. Each of api, worker and scheduler must be there at least once.",
		},
	}}
}
