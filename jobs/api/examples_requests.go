package api

import (
	"time"

	"lethe/jobs"
	"lethe/store"
)

// More of the request of the examples: what it would be after other decisions.

func exampleWaiting() Request {
	r := exampleFiled()
	r.Status, r.PlanHash = jobs.AwaitingApproval, examplePlanHash
	r.Approval = Approval{
		Needed: true, Since: new(exampleTime().Add(time.Second)),
		Beyond: []jobs.Excess{{Code: jobs.BeyondFraction, Store: "assistant", Place: "memories", Found: 38, Of: 114}},
	}
	r.Stores[0] = StoreProgress{
		Store: "assistant", Kind: "mem0-sqlite", Stage: jobs.StageErasing, Evidence: store.EvidenceNone, Requested: 89, Found: 89,
		Unattributable: 12, BatchesTotal: 1, Round: 1, Places: examplePlaces(),
	}
	return r
}

func exampleApproved() Request {
	r := exampleWaiting()
	r.Status = jobs.Erasing
	r.Approval.Needed, r.Approval.Since = false, nil
	r.Approval.By, r.Approval.At = "tok-0a1b2c3d4e5f6071", new(exampleTime().Add(time.Hour))
	return r
}

func exampleEnded(how jobs.Status) Request {
	r := exampleWaiting()
	r.Status, r.CompletedAt = how, new(exampleTime().Add(time.Hour))
	r.Approval.Needed, r.Approval.Since = false, nil
	r.Certificate = new(requestPath(exampleID) + "/certificate")
	return r
}

func exampleExtended() Request {
	r := exampleWaiting()
	r.FirstDueAt, r.ExtendedAt = new(r.DueAt), new(exampleTime().Add(time.Hour))
	r.ExtendedBy, r.ExtensionReason = "tok-0a1b2c3d4e5f6071", "complexity"
	r.DueAt = r.DueAt.AddDate(0, 2, 0)
	return r
}

func exampleConfirmed() Request {
	r := exampleWaiting()
	r.Regime = "ccpa"
	r.ConfirmBy, r.ConfirmedAt = new(exampleTime().AddDate(0, 0, 14)), new(exampleTime().Add(time.Hour))
	return r
}

func exampleExempt() Request {
	r := exampleWaiting()
	r.Status, r.PlanHash, r.Approval = jobs.Planning, "", Approval{}
	r.RefusedInPart = []Refused{{Store: "assistant", Place: "messages", Reason: "art17-3-e", By: "tok-0a1b2c3d4e5f6071", At: exampleTime().Add(time.Hour)}}
	return r
}

func exampleHold() Hold {
	return Hold{
		ID: "01a228f2-a4f6-7000-a369-407b1b5b426a", State: jobs.HoldActive, Reason: "litigation-2026-14", PlacedBy: "tok-0a1b2c3d4e5f6071",
		CreatedAt: exampleTime(), PlacedAt: new(exampleTime().Add(2 * time.Millisecond)),
	}
}

func exampleReleased() Hold {
	h := exampleHold()
	h.State, h.EndedAt, h.EndedBy, h.EndedReason = jobs.HoldEnded, new(exampleTime().AddDate(0, 3, 0)), h.PlacedBy, "released"
	return h
}

func exampleToken() Token {
	return Token{
		ID: "tok-0a1b2c3d4e5f6071", Name: "privacy team, second person", Role: jobs.RoleApprover, CreatedAt: exampleTime(), CreatedBy: "local",
		ExpiresAt: exampleTime().AddDate(0, 0, 90), Live: true,
	}
}

func exampleRevoked() Token {
	t := exampleToken()
	t.RevokedAt, t.Live = new(exampleTime().Add(time.Hour)), false
	return t
}
