package main

import "strings"

// decisionAttacks try to decide alone, on an old plan, twice, or by what another
// has sent before.
func decisionAttacks() (list []attack) {
	const approve, reject = "POST /v1/requests/{waiting}/approve", "POST /v1/requests/{waiting}/reject"
	for _, x := range []struct{ name, by, ask, body, want string }{
		{"approve what one has filed", "admin", "POST /v1/requests/{own}/approve", `{"plan_hash":"{own hash}"}`, "403 self_approval"},
		{"approve what one has filed, another hash", "admin", "POST /v1/requests/{own}/approve", `{"plan_hash":"{hash}"}`, "403 self_approval"},
		{"the hash of the plan before", "approver", "POST /v1/requests/{stale}/approve", `{"plan_hash":"{stale hash}"}`, "409 plan_changed"},
		{"the hash of another request", "approver", approve, `{"plan_hash":"{own hash}"}`, "409 plan_changed"},
		{"the hash of one that has ended", "approver", approve, `{"plan_hash":"{done hash}"}`, "409 plan_changed"},
		{"an invented hash", "approver", approve, `{"plan_hash":"{canary}"}`, "409 plan_changed"},
		{"half a hash", "approver", approve, `{"plan_hash":"{half hash}"}`, "409 plan_changed"},
		{"the hash in capitals", "approver", approve, `{"plan_hash":"{HASH}"}`, "409 plan_changed"},
		{"the hash with a space", "approver", approve, `{"plan_hash":" {half hash}"}`, "409 plan_changed"},
		{"a hash of SQL", "approver", approve, `{"plan_hash":"' OR plan_hash<>'{canary}"}`, "409 plan_changed"},
		{"a wildcard for a hash", "approver", approve, `{"plan_hash":"%"}`, "409 plan_changed"},
		{"an empty hash", "approver", approve, `{"plan_hash":""}`, "422 invalid"},
		{"no hash", "approver", approve, `{}`, "422 invalid"},
		{"a hash that is null", "approver", approve, `{"plan_hash":null}`, "400 malformed"},
		{"a hash that is true", "approver", approve, `{"plan_hash":true}`, "400 malformed"},
		{"a hash of 1 KB", "approver", approve, `{"plan_hash":"{canary}` + strings.Repeat("0", 1000) + `"}`, "422 invalid"},
		{"approve twice", "approver", "POST /v1/requests/{done}/approve", `{"plan_hash":"{done hash}"}`, "409 not_waiting"},
		{"approve what need not be", "approver", "POST /v1/requests/{graced}/approve", `{"plan_hash":"{hash}"}`, "409 not_waiting"},
		{"approve what is not there", "approver", "POST /v1/requests/{absent}/approve", `{"plan_hash":"{hash}"}`, "404 not_found"},
		{"reject what has ended", "approver", "POST /v1/requests/{done}/reject", `{"reason":"not-identified"}`, "409 too_late"},
		{"reject what is not there", "approver", "POST /v1/requests/{absent}/reject", `{"reason":"not-identified"}`, "404 not_found"},
		{"reject without a reason", "approver", reject, `{}`, "422 invalid"},
		{"cancel what has ended", "submitter", "POST /v1/requests/{done}/cancel", "", "409 too_late"},
		{"extend what has ended", "approver", "POST /v1/requests/{done}/extend", `{"reason":"complexity"}`, "409 too_late"},
		{"exempt what has been erased", "approver", "POST /v1/requests/{done}/exempt", `{"store":"memories","reason":"art17-3-b"}`, "409 too_late"},
		{"exempt the same twice", "approver", "POST /v1/requests/{stale}/exempt", `{"store":"memories","place":"messages","reason":"art17-3-b"}`, "409 already_exempt"},
		{"confirm where nothing is to be", "approver", "POST /v1/requests/{graced}/confirm", "", "409 no_confirmation"},
		{"release a hold twice", "approver", "DELETE /v1/holds/{ended hold}", "", "409 too_late"},
		{"release what is no hold", "approver", "DELETE /v1/holds/{waiting}", "", "404 not_found"},
		{"approve by reading", "approver", "GET /v1/requests/{waiting}/approve?plan_hash={hash}", "", "405 method"},
		{"cancel by reading", "submitter", "GET /v1/requests/{graced}/cancel", "", "405 method"},
		{"put an approval", "approver", "PUT /v1/requests/{waiting}/approve", `{"plan_hash":"{hash}"}`, "405 method"},
		{"delete a request", "admin", "DELETE /v1/requests/{waiting}", "", "405 method"},
		{"patch a request", "admin", "PATCH /v1/requests/{waiting}", `{"status":"completed"}`, "405 method"},
		{"delete all holds", "admin", "DELETE /v1/holds", "", "405 method"},
		{"delete all tokens", "admin", "DELETE /v1/tokens", "", "405 method"},
	} {
		list = append(list, attack{name: x.name, by: x.by, ask: x.ask, body: x.body, want: x.want})
	}
	again := attack{by: "submitter", ask: fileRequest, head: "Idempotency-Key: a key of hers\r\n", body: `{"selector":{"user_id":"bob"}}`}
	again.name, again.want = "a key again for another body", "409 conflict"
	list = append(list, again)
	again.name, again.body = "a key again for the same person and no grace", `{"selector":{"user_id":"alice"}}`
	list = append(list, again)
	again.name, again.body = "a key again, spelled otherwise", `{ "selector" : { "user_id" : "alice" }, "ticket":"PRIV-1","grace":"72h0m0s"}`
	list = append(list, again)
	// Another actor's key is not theirs: it tells nothing of hers, see
	// TestAForeignIDAnswersLikeAnAbsentOne. Here it comes with what nobody may file.
	again.name, again.by, again.body, again.want = "the key of another, with everything", "other", `{"selector":{}}`, "422 invalid"
	list = append(list, again)
	again.name, again.by, again.want = "the key of another, as auditor", "auditor", "403 forbidden"
	return append(list, again)
}
