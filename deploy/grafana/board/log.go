package board

func proofs() *Dashboard {
	return &Dashboard{
		Name: "log", Title: "Lethe: log and proofs",
		About: "Is what happened written down, signed, and kept where others hold it; does every request get its certificate.",
		Rows:  []Row{logNow(), logFlow(), issued()},
	}
}

func logNow() Row {
	return Row{"Now", []Panel{
		box("Log", LogRefused.Now(""), Count).means(State{"0", "appends", green}, State{"1", "refuses", red}).size(4, 4).runbook("LetheLogRefused").
			about("While the log refuses, nothing is taken in and nothing is erased. /readyz and the process' log say why, and which ways out there are."),
		box("Entries", LogSize.Now(""), Count).size(4, 4).
			about("How long the log is. It only ever grows: if it shrinks, an older copy was put back, and the log refuses."),
		box("Age of the newest head", LogCheckpointAge.Now(""), Seconds).size(4, 4).runbook("LetheLogNotSigned").
			about("How long ago the log's head was signed. A head is signed when something is logged, so that a quiet night makes it old: bad only while entries wait."),
		box("Wait to be logged", LogPending.Now(""), Count, Step{1000, yellow}).runbook("LetheLogNotSigned").
			about("Entries that are committed and not logged yet; always 0 on SQLite. If they do not go, no process has the role scheduler, or the key's agent is away."),
		box("Outcast", LogOutcast.Now(""), Count, Step{1, red}).runbook("LetheLogOutcast").
			about("Rows that somebody put beside the log's outbox by other means. Each is for people to look at: who may write to the ledger?"),
		box("Without a certificate", CertificatesDue.Now(""), Count, Step{1, yellow}).runbook("LetheCertificateNotIssued").
			about("Requests whose stores are all through and whose certificate is still to be issued."),
		box("Since the last backup", "time() - "+LastBackup.Now(""), Seconds, Step{2 * day, yellow}, Step{7 * day, red}).
			mayBeEmpty("`lethe backup` has never been run here, or the ledger is in PostgreSQL, whose backups are its own.").
			about("When the newest backup of the ledger, with the log in it, was begun. Without one, what a disk takes is lost: see deploy/OPERATIONS.md."),
	}}
}

func logFlow() Row {
	return Row{"Written and kept", []Panel{
		lines("Entries over time", Count, Query{LogSize.Now(""), "entries"}).
			about("A step is an append. A line that is level while requests end is a fault."),
		lines("Since a head was signed", Seconds, Query{LogCheckpointAge.Now(""), "age of the head"}).runbook("LetheLogNotSigned").
			about("It falls to 0 with each entry. A line that rises while entries wait means that nobody signs."),
		states("Taken by others", LogPublishUp.Least("kind, name"), "{{kind}} {{name}}", State{"1", "taken", green}, State{"0", "refused or away", red}).runbook("LetheLogNotPublished").
			about("Whether each anchor, witness and time stamping authority took the last head from every process. While one is away, an attacker who puts an old ledger back is found by the others alone."),
		lines("Entries that others do not have yet", Count, Query{"scalar(" + LogSize.Now("") + ") - " + LogPublishedSize.Now("kind, name"), "{{kind}} {{name}}"}).size(12, 6).runbook("LetheLogNotPublished").
			about("How far each anchor, witness and authority is behind the log. A time stamping authority is asked once a day, so that it may be a day behind."),
	}}
}

func issued() Row {
	return Row{"Proofs", []Panel{
		lines("Certificates in an hour", Count,
			Query{by("sum", "", RequestsTotal.Grown("1h", "origin", `outcome="completed"`)), "issued"}, Query{CertificatesDue.Now(""), "due"}).size(8, 8).runbook("LetheCertificateNotIssued").
			about("Every request that completes has one. What is due must fall back to 0 within minutes."),
		lines("Not proved in an hour", Count,
			Query{VerifyFailures.Grown("1h", ""), "verification failed"}, Query{ResidueFound.Grown("1h", ""), "residue"}).size(8, 8).
			coloured(State{Text: "verification failed", Colour: red}, State{Text: "residue", Colour: orange}).runbook("LetheVerificationFailed", "LetheResidueFound").
			about("What could still be read after a store had said that it was gone. No certificate is issued over it."),
		lines("Since each loop's last turn", Seconds, Query{by("max", "loop", "time() - "+LoopLastTurn.Of(`loop=~"log_signer|rotator|reconciler"`)), "{{loop}}"}).lined(Step{5 * 60, red}).size(8, 8).runbook("LetheLoopStopped").
			about("log_signer logs, signs and publishes; rotator carries the rotation of the key out."),
	}}
}
