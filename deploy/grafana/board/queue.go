package board

func queue() *Dashboard {
	return &Dashboard{
		Name: "queue", Title: "Lethe: queue",
		About:     "Does what is to be done reach a worker. The queue may forget: the book knows all, and rings again.",
		Variables: []Variable{{"queue", "Queue", string(QueueTasks)}},
		Rows:      []Row{queueNow(), queueFlow(), told()},
	}
}

// picked is the queue that the reader has chosen.
const picked = `queue=~"$queue"`

func queueNow() Row {
	return Row{"Now", []Panel{
		box("Queue", QueueUp.Least(""), Count).means(State{"1", "answers", green}, State{"0", "down", red}).runbook("LetheQueueDown").
			about("Whether Redis answers every process. While it does not, requests are taken in and wait; nothing is lost."),
		box("Ledger", LedgerUp.Least(""), Count).means(State{"1", "answers", green}, State{"0", "down", red}).runbook("LetheLedgerDown").
			about("Whether the book and its log answer every process. While they do not, nothing can be filed, and what they say is missing on all dashboards."),
		box("Longest wait", by("max", "", QueueLatency.Now("queue", picked)), Seconds, Step{60, yellow}, Step{15 * 60, red}).runbook("LetheOutboxNotDraining").
			about("Age of the task that is to be taken next. It grows when there are too few workers, or none."),
		box("Archived", by("sum", "", QueueTasks.Now("queue", picked, `state="archived"`)), Count, Step{1, yellow}).
			about("Tasks that the queue gave up. The book rings them again: the queue's opinion decides nothing."),
		box("Outbox", OutboxPending.Now(""), Count).size(4, 4).runbook("LetheOutboxNotDraining").
			about("Tasks in the book that have not been answered, whatever they wait for."),
		box("Ready to be done", WorkReady.Now(""), Count).size(4, 4).runbook("LetheNothingMoving").
			about("Tasks that are due now and wait for nothing but a worker."),
		box("Since a step ended", "time() - "+LastProgress.Now(""), Seconds).size(4, 4).runbook("LetheNothingMoving").
			about("How long ago any plan, batch, verification or certificate came to its end."),
	}}
}

func queueFlow() Row {
	return Row{"Flow", []Panel{
		{
			Title: "Who answers", Look: Timeline, Unit: Count, Wide: 24, High: 4, States: []State{{"1", "answers", green}, {"0", "down", red}},
			Queries: []Query{{QueueUp.Least(""), "queue"}, {LedgerUp.Least(""), "ledger"}}, Runbook: []string{"LetheQueueDown", "LetheLedgerDown"},
			About: "For every process. What the queue has forgotten meanwhile is rung again once it is back: see below.",
		},
		lines("Tasks in the queue", Count, Query{by("sum", "state", QueueTasks.Now("queue, state", picked)), "{{state}}"}).stacked(State{Text: "archived", Colour: red}).
			about("By what Redis says. Pending waits for a worker, active is in one's hands, scheduled and retry wait for their time."),
		lines("Outbox and what of it is ready", Count, Query{OutboxPending.Now(""), "in the outbox"}, Query{WorkReady.Now(""), "ready"}).runbook("LetheOutboxNotDraining").
			about("The outbox is the book's own list. What is ready and does not shrink means that no bell rings: is there a process with the role scheduler, and one with the role worker?"),
		lines("Wait for a worker", Seconds, Query{QueueLatency.Now("queue", picked), "{{queue}}"}).
			about("Age of the oldest pending task of each queue. Sweeps wait in low, so that people do not."),
		lines("Rung again in an hour", Count, Query{ReconcilerRerung.Grown("1h", "reason"), "{{reason}}"}).
			coloured(State{Text: "queue_lost", Colour: red}).runbook("LetheQueueForgot").
			about("lease_expired: a worker died, or took too long. queue_lost: Redis came back empty. queue_forgot: it lost single tasks. Each was rung again, and none is lost; but a Redis that comes back empty should keep its data: see its appendonly."),
		lines("Since each loop's last turn", Seconds, Query{by("max", "loop", "time() - "+LoopLastTurn.Of(`loop=~"relay|reconciler|worker|sweeper|watch|webhooks"`)), "{{loop}}"}).lined(Step{5 * 60, red}).runbook("LetheLoopStopped").
			about("relay rings tasks, reconciler rings again what was forgotten, worker carries out."),
		lines("Erasing", Count, Query{BatchesTotal.Grown("1h", "outcome"), "{{outcome}}"}).
			about("Batches in the hour before: what all this is for."),
	}}
}

func told() Row {
	return Row{"Told to others", []Panel{
		lines("Webhooks still to be sent", Count, Query{WebhooksPending.Now(""), "notices"}).size(8, 6).runbook("LetheWebhookFailing").
			about("Status changes that somebody wants to know and was not told yet."),
		lines("Webhooks tried in an hour", Count, Query{WebhooksTotal.Grown("1h", "outcome"), "{{outcome}}"}).size(8, 6).
			coloured(State{Text: "delivered", Colour: green}, State{Text: "failed", Colour: yellow}, State{Text: "given_up", Colour: red}).runbook("LetheWebhookFailing").
			about("Failed is tried again for days. Given up is not told to anybody any more."),
		lines("Spans of traces in an hour", Count, Query{SpansTotal.Grown("1h", "outcome"), "{{outcome}}"}).size(8, 6).
			coloured(State{Text: "sent", Colour: green}, State{Text: "failed", Colour: red}).mayBeEmpty("traces are off.").
			about("Failed spans are dropped: the collector of traces was away. Nothing else suffers from it."),
	}}
}
