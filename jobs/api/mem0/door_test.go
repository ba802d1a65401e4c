package mem0_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/jobs/api/mem0"
	"lethe/store"
)

const progress = `{"message":"Delete in progress. This may take some time.","event_id":"{event}"}`

func bodyOf(ids ...string) string {
	var b strings.Builder
	for i, id := range ids {
		fmt.Fprintf(&b, `%s{"memory_id":%q}`, map[bool]string{true: ",", false: ""}[i > 0], id)
	}
	return `{"memories":[` + b.String() + `]}`
}

// Each call is answered as Mem0 answers it, with and without a slash at its end,
// and files what it says.
func TestCallsOfMem0AreAnsweredAsMem0Does(t *testing.T) {
	for _, c := range []struct {
		ask, body string
		want      string
		files     store.Selector
	}{
		{"DELETE /mem0/v1/memories/" + known, "", `{"message":"Memory deleted successfully!","event_id":"{event}"}`, store.Selector{IDs: []string{known}}},
		{"DELETE /mem0/v1/memories/" + strings.ToUpper(known), "", `{"message":"Memory deleted successfully!","event_id":"{event}"}`, store.Selector{IDs: []string{known}}},
		{"DELETE /mem0/v1/batch", bodyOf(known, unknown, known), `{"message":"Successfully deleted 2 memories","event_id":"{event}"}`, store.Selector{IDs: []string{known, unknown}}},
		{"DELETE /mem0/v1/memories?user_id=alice&agent_id=a%20b&app_id=c&run_id=d", "", progress, store.Selector{UserID: "alice", AgentID: "a b", AppID: "c", RunID: "d"}},
		{"DELETE /mem0/v1/memories?user_id=alice&org_id=o&project_id=p", "", progress, store.Selector{UserID: "alice"}},
		{"DELETE /mem0/v1/memories?metadata=%7B%22tier%22%3A3%2C%22vip%22%3Atrue%2C%22is%22%3A%22gold%22%7D", "", progress, store.Selector{Metadata: map[string]store.Value{"tier": number("3"), "vip": store.BoolValue(true), "is": store.StringValue("gold")}}},
		{"DELETE /mem0/v1/memories?metadata%5Btier%5D=3&metadata%5Bis%5D=gold&metadata%5Bcode%5D=%223%22", "", progress, store.Selector{Metadata: map[string]store.Value{"tier": number("3"), "is": store.StringValue("gold"), "code": store.StringValue("3")}}},
		{"DELETE /mem0/v2/entities/user/alice", "", progress, store.Selector{UserID: "alice"}},
		{"DELETE /mem0/v2/entities/agent/a%2Fb", "", progress, store.Selector{AgentID: "a/b"}},
		{"DELETE /mem0/v2/entities/app/c", "", progress, store.Selector{AppID: "c"}},
		{"DELETE /mem0/v2/entities/run/d?org_id=o", "", progress, store.Selector{RunID: "d"}},
		{"DELETE /mem0/memories/" + known, "", `{"message":"Memory deleted successfully","event_id":"{event}"}`, store.Selector{IDs: []string{known}}},
		{"DELETE /mem0/memories?user_id=alice&run_id=d&agent_id=b", "", `{"message":"All relevant memories deleted","event_id":"{event}"}`, store.Selector{UserID: "alice", RunID: "d", AgentID: "b"}},
		{"DELETE /mem0/entities/agent/b", "", `{"message":"Entity deleted","event_id":"{event}"}`, store.Selector{AgentID: "b"}},
		{"GET /mem0/v1/ping", "", `{"status":"ok","org_id":"lethe","project_id":"lethe","user_email":"lethe"}`, store.Selector{}},
		{"GET /mem0/v1/ping?org_id=lethe&project_id=lethe", "", `{"status":"ok","org_id":"lethe","project_id":"lethe","user_email":"lethe"}`, store.Selector{}},
	} {
		for _, slash := range []string{"", "/"} {
			h := open(t)
			h.then = func(r *jobs.Request) {
				verified(r)
				r.Jobs[0].Requested, r.Jobs[0].Found = len(c.files.IDs), len(c.files.IDs)
			}
			path, query, with := strings.Cut(c.ask, "?")
			if with {
				query = "?" + query
			}
			h.wants(path+slash+query, c.body, 200, c.want)
			switch {
			case strings.HasPrefix(c.ask, "GET"):
			case len(h.filed) != 1:
				t.Errorf("%s filed %d requests, want 1", c.ask, len(h.filed))
			default:
				got, _ := jobs.EncodeSelector(h.filed[0].Selector)
				want, _ := jobs.EncodeSelector(c.files)
				if s := h.filed[0]; string(got) != string(want) || s.Origin != jobs.OriginMem0 || s.By.ID != "tok-submitter" || s.Related {
					t.Errorf("%s filed %s by %s from %s, want %s", c.ask, got, s.By.ID, s.Origin, want)
				}
			}
		}
	}
}

func number(literal string) store.Value {
	v, err := store.NumberValue(literal)
	if err != nil {
		panic(err)
	}
	return v
}

// What Mem0 refuses is refused in its words, what Lethe alone refuses says what to
// do, and neither files anything nor repeats what was sent.
func TestWhatIsRefusedFilesNothing(t *testing.T) {
	many := make([]string, 1001)
	for i := range many {
		many[i] = fmt.Sprintf("0193a000-0000-4000-8000-%012d", i)
	}
	const noUUID, tooMany = `{"error":"memory_id should be a valid UUID"}`, `{"error":"Maximum of 1000 memories can be deleted in a single request"}`
	for _, c := range []struct {
		ask, body string
		status    int
		text      string // the whole, or a part of it after "…"
	}{
		{"DELETE /mem0/v1/memories/" + canary + "/", "", 400, noUUID},
		{"DELETE /mem0/v1/memories/urn:uuid:" + known + "/", "", 400, noUUID},
		{"DELETE /mem0/v1/memories/*/", "", 400, noUUID},
		{"DELETE /mem0/v1/memories/" + unknown + "/", "", 404, `{"error":"Memory not found!"}`},
		{"DELETE /mem0/v1/memories/" + known + "/?delete_linked=perhaps", "", 400, `{"error":"delete_linked must be true or false"}`},
		{"DELETE /mem0/v1/memories/" + known + "/?user_id=alice", "", 400, "…could erase more"},
		{"DELETE /mem0/v1/memories/" + known + "/", `{"user_id":"kanari"}`, 400, "…takes no body"},
		{"DELETE /mem0/v1/batch/", bodyOf(many...), 400, tooMany},
		{"DELETE /mem0/v1/batch/", bodyOf(many...) + strings.Repeat(" ", 1<<20), 400, tooMany},
		{"DELETE /mem0/v1/batch/", bodyOf(known, canary), 400, noUUID},
		{"DELETE /mem0/v1/batch/", bodyOf(known, "*"), 400, noUUID},
		{"DELETE /mem0/v1/batch/", bodyOf(), 400, "…at least"},
		{"DELETE /mem0/v1/batch/", `{}`, 400, "…at least"},
		{"DELETE /mem0/v1/batch/", "", 400, "…must be JSON"},
		{"DELETE /mem0/v1/batch/", `{"memories":[{"memory_id":1}]}`, 400, "…must be JSON"},
		{"DELETE /mem0/v1/batch/", `{"memories":[{"memory_id":"` + known + `","kanari":1}]}`, 400, "…must be JSON"},
		{"DELETE /mem0/v1/batch/", `{"memories":[],"memories":[{"memory_id":"` + known + `"}]}`, 400, "…must be JSON"},
		{"DELETE /mem0/v1/batch/?user_id=alice", bodyOf(known), 400, "…could erase more"},
		{"DELETE /mem0/v1/memories/", "", 400, "…At least one filter is required"},
		{"DELETE /mem0/v1/memories/?org_id=o&project_id=p", "", 400, "…At least one filter is required"},
		{"DELETE /mem0/v1/memories/", `{"user_id":"kanari"}`, 400, "…At least one filter is required"},
		{"DELETE /mem0/v1/memories/?user_id=alice", `{"run_id":"kanari"}`, 400, "…takes no body"},
		{"DELETE /mem0/v1/memories/?user_id=*&agent_id=*&app_id=*&run_id=*", "", 400, "…wildcard"},
		{"DELETE /mem0/v1/memories/?user_id=*", "", 400, `{"error":"user_id must not be a wildcard: only exact values are matched"}`},
		{"DELETE /mem0/v1/memories/?user_id=", "", 400, `{"error":"user_id must not be empty"}`},
		{"DELETE /mem0/v1/memories/?user_id=a&user_id=kanari", "", 400, `{"error":"user_id must be given once"}`},
		{"DELETE /mem0/v1/memories/?user_id=a&created_at=kanari", "", 400, "…could erase more"},
		{"DELETE /mem0/v1/memories/?kanari=a", "", 400, "…could erase more"},
		{"DELETE /mem0/v1/memories/?user_id=a;run_id=kanari", "", 400, "…well formed"},
		{"DELETE /mem0/v1/memories/?metadata=%5Bobject+Object%5D", "", 400, "…JSON.stringify"},
		{"DELETE /mem0/v1/memories/?metadata=%7B%27kanari%27%3A+1%7D", "", 400, "…json.dumps"},
		{"DELETE /mem0/v1/memories/?metadata=%7B%7D", "", 400, "…metadata must not be empty"},
		{"DELETE /mem0/v1/memories/?metadata=%7B%22kanari%22%3A%22*%22%7D", "", 400, "…wildcard"},
		{"DELETE /mem0/v1/memories/?metadata%5Bkanari%5D=*", "", 400, "…wildcard"},
		{"DELETE /mem0/v1/memories/?metadata=%7B%22a%22%3A%7B%22b%22%3A1%7D%7D", "", 400, "…string, number or boolean"},
		{"DELETE /mem0/v1/memories/?metadata=%7B%22a%22%3Anull%7D", "", 400, "…string, number or boolean"},
		{"DELETE /mem0/v1/memories/?metadata=%7B%22a%22%3A1%2C%22a%22%3A2%7D", "", 400, "…JSON object"},
		{"DELETE /mem0/v1/memories/?metadata=%7B%22a%22%3A1%7D%2C%22user_id%22%3A%22b%22", "", 400, "…JSON object"},
		{"DELETE /mem0/v1/memories/?metadata=%7B%22a%22%3A1%7D&metadata%5Bb%5D=1", "", 400, "…one form"},
		{"DELETE /mem0/v1/memories/?metadata%5Ba%5D%5Bb%5D=1", "", 400, "…one key"},
		{"DELETE /mem0/v1/memories/?user_id%5Ba%5D=1", "", 400, "…could erase more"},
		{"DELETE /mem0/v2/entities/users/kanari/", "", 400, `{"message":"Invalid entity type"}`},
		{"DELETE /mem0/v2/entities/user/*/", "", 400, "…wildcard"},
		{"DELETE /mem0/v2/entities/user/%20/", "", 400, "…blank"},
		{"DELETE /mem0/v2/entities/user/a/?filter=kanari", "", 400, "…could erase more"},
		{"DELETE /mem0/v1/entities/user/17/", "", 400, "…by its name"},
		{"DELETE /mem0/memories/" + canary, "", 400, `{"detail":"memory_id should be a valid UUID"}`},
		{"DELETE /mem0/memories/" + unknown, "", 404, `{"detail":"Memory with id ` + unknown + ` not found"}`},
		{"DELETE /mem0/memories", "", 400, `{"detail":"At least one identifier is required."}`},
		{"DELETE /mem0/memories?app_id=a", "", 400, "…could erase more"},
		{"DELETE /mem0/memories?user_id=*", "", 400, "…wildcard"},
		{"DELETE /mem0/entities/app/a", "", 422, `{"detail":"entity_type must be user, agent or run"}`},
		{"DELETE /mem0/entities/user/*", "", 400, "…wildcard"},
		{"POST /mem0/reset", "", 400, "…never erases everything"},
		{"GET /mem0/v1/event/" + unknown + "/", "", 404, `{"error":"Event not found or you don't have permission to access it."}`},
		{"GET /mem0/v1/event/" + canary + "/", "", 404, `{"error":"Event not found or you don't have permission to access it."}`},
		{"GET /mem0/v1/events/?page=0", "", 400, "…from 1"},
		{"GET /mem0/v1/events/?page_size=201", "", 400, "…from 1 to 200"},
		{"GET /mem0/v1/events/?status=kanari", "", 400, "…known are"},
	} {
		h := open(t)
		w := h.ask(c.ask, c.body)
		got := strings.TrimSpace(w.Body.String())
		part, isPart := strings.CutPrefix(c.text, "…")
		if w.Code != c.status || !isPart && got != c.text || !strings.Contains(got, part) {
			t.Errorf("%s: %d %s\nwant %d %s", c.ask, w.Code, got, c.status, c.text)
		}
		if strings.Contains(strings.ToLower(got), canary) {
			t.Errorf("%s: the answer repeats what was sent: %s", c.ask, got)
		}
		if len(h.filed) > 0 {
			t.Errorf("%s filed a request", c.ask)
		}
	}
}

// Whatever this door does not do is said to be so, and never to be "not found": a
// client would take that for the memory.
func TestTheDoorOnlyDeletes(t *testing.T) {
	h := open(t)
	for _, c := range []struct {
		ask    string
		status int
		allow  string
	}{
		{"GET /mem0/v1/memories/" + known + "/", 405, "DELETE"},
		{"PUT /mem0/v1/memories/" + known + "/", 405, "DELETE"},
		{"GET /mem0/v1/memories/" + known + "/history/", 405, ""},
		{"POST /mem0/v3/memories/", 405, ""},
		{"POST /mem0/v3/memories/search/", 405, ""},
		{"POST /mem0/v3/memories/add/", 405, ""},
		{"GET /mem0/v1/entities/", 405, ""},
		{"PUT /mem0/v1/batch/", 405, "DELETE"},
		{"DELETE /mem0/v1/ping/", 405, "GET"},
		{"POST /mem0/v1/exports/", 405, ""},
		{"GET /mem0/api/v1/orgs/organizations/o/projects/p/", 405, ""},
		{"GET /mem0/memories", 405, "DELETE"},
		{"POST /mem0/search", 405, ""},
		{"GET /mem0/reset", 405, "POST"},
		{"DELETE /mem0/v2/entities/user/a/b/", 405, ""},
		{"DELETE /mem0/", 404, ""},
		{"DELETE /mem0/kanari", 404, ""},
		{"DELETE /mem0/v1//memories/" + known, 404, ""},
		{"DELETE /mem0/v1/memories/" + known + "//", 404, ""},
		{"DELETE /mem0/v2/entities/user/%2e%2e/", 404, ""},
		{"DELETE /mem0/v2/entities/user//", 404, ""},
	} {
		w := h.ask(c.ask, "")
		if w.Code != c.status || w.Header().Get("Allow") != c.allow || !json.Valid(w.Body.Bytes()) || strings.Contains(w.Body.String(), canary) {
			t.Errorf("%s: %d, Allow %q: %s", c.ask, w.Code, w.Header().Get("Allow"), w.Body)
		}
	}
	if len(h.filed) > 0 {
		t.Error("something was filed")
	}
}

// A token is shown in one of three ways, once, and what its role may not do is
// refused, in the shape of the API that was asked.
func TestWhoComesIn(t *testing.T) {
	h := open(t)
	const one, server = "DELETE /mem0/v1/memories/" + known + "/", "DELETE /mem0/memories/" + known
	for _, c := range []struct {
		ask    string
		status int
		header []string
	}{
		{one, 200, []string{"Authorization", "Token submitter"}},
		{one, 200, []string{"Authorization", "token submitter"}},
		{one, 200, []string{"Authorization", "Bearer submitter"}},
		{one, 200, []string{"X-API-Key", "submitter"}},
		{server, 200, []string{"X-API-Key", "submitter"}},
		{one, 200, []string{"Authorization", "Token admin"}},
		{one, 403, []string{"Authorization", "Token approver"}},
		{one, 403, []string{"Authorization", "Token auditor"}},
		{server, 403, []string{"Authorization", "Bearer auditor"}},
		{one, 401, []string{"", ""}},
		{one, 401, []string{"Authorization", "Token nobody"}},
		{one, 401, []string{"Authorization", "Token"}},
		{one, 401, []string{"Authorization", "submitter"}},
		{one, 401, []string{"Authorization", "Basic submitter"}},
		{one, 401, []string{"Authorization", "Token submitter", "Authorization", "Token submitter"}},
		{one, 401, []string{"Authorization", "Token submitter", "X-API-Key", "submitter"}},
		{one, 401, []string{"X-API-Key", "submitter", "X-API-Key", "submitter"}},
		{one, 401, []string{"X-API-Key", ""}},
		{one, 401, []string{"Proxy-Authorization", "Token submitter"}},
		{server, 401, []string{"", ""}},
		{"GET /mem0/v1/ping/", 200, []string{"Authorization", "Token auditor"}},
		{"GET /mem0/v1/ping/", 401, []string{"Authorization", "Token nobody"}},
		{"GET /mem0/v1/ping/?access_token=submitter", 400, []string{"Authorization", "Token submitter"}},
		{"GET /mem0/v1/ping/?org_id=lethe_" + strings.Repeat("0a", 32), 400, []string{"Authorization", "Token submitter"}},
		{"GET /mem0/v1/events/", 200, []string{"Authorization", "Token auditor"}},
		{"POST /mem0/reset", 401, []string{"", ""}},
	} {
		w := h.ask(c.ask, "", c.header...)
		if w.Code != c.status {
			t.Errorf("%s with %q: %d, want %d: %s", c.ask, c.header, w.Code, c.status, w.Body)
		}
		if w.Code == 401 && (!strings.Contains(w.Body.String(), `{"detail":`) || w.Header().Get("WWW-Authenticate") == "") {
			t.Errorf("%s with %q: %s", c.ask, c.header, w.Body)
		}
	}
}

// Events are told to those who may see the request, and name nobody.
func TestEventsAreOfThoseWhoFiled(t *testing.T) {
	h := open(t)
	h.wants("DELETE /mem0/v1/memories/?user_id=kanari", "", 200, progress)
	id := h.requests[0].ID
	w := h.ask("GET /mem0/v1/event/"+id+"/", "")
	var e mem0.Event
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != 200 || e.Status != "SUCCEEDED" || e.ID != id || e.Results[0].Erased != 1 || strings.Contains(w.Body.String(), canary) {
		t.Errorf("%d %v %s", w.Code, err, w.Body)
	}
	for who, want := range map[string]int{"auditor": 200, "approver": 200, "admin": 200, "other": 404} {
		if w := h.ask("GET /mem0/v1/event/"+id+"/", "", "Authorization", "Token "+who); w.Code != want {
			t.Errorf("%s: %d, want %d", who, w.Code, want)
		}
		var list mem0.Events
		w := h.ask("GET /mem0/v1/events/", "", "Authorization", "Token "+who)
		if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || list.Count != len(list.Results) || (list.Count == 1) != (want == 200) {
			t.Errorf("%s: %v %s", who, err, w.Body)
		}
	}
	for range 4 {
		h.wants("DELETE /mem0/v1/memories/?user_id=kanari", "", 200, progress)
	}
	var list mem0.Events
	if err := json.Unmarshal(h.ask("GET /mem0/v1/events/?page=2&page_size=2", "").Body.Bytes(), &list); err != nil || list.Count != 5 || len(list.Results) != 2 ||
		*list.Next != "/mem0/v1/events/?page=3&page_size=2" || *list.Previous != "/mem0/v1/events/?page=1&page_size=2" {
		t.Errorf("%v %+v", err, list)
	}
}

// An event has the Platform's words for how far a request is.
func TestEventsSayHowFarARequestIs(t *testing.T) {
	for _, c := range []struct {
		name   string
		then   func(*jobs.Request)
		status string
	}{
		{"received", func(*jobs.Request) {}, "PENDING"},
		{"awaiting approval", func(r *jobs.Request) { r.Status = jobs.AwaitingApproval }, "PENDING"},
		{"in its grace period", func(r *jobs.Request) { r.Status = jobs.Waiting }, "PENDING"},
		{"erasing", func(r *jobs.Request) { r.Status = jobs.Erasing }, "RUNNING"},
		{"held", func(r *jobs.Request) { r.Status = jobs.Held }, "RUNNING"},
		{"to be verified", func(r *jobs.Request) { r.Status, r.Jobs[0].Stage = jobs.Verifying, jobs.StageVerifying }, "RUNNING"},
		{"verified", verified, "SUCCEEDED"},
		{"verified and cancelled", func(r *jobs.Request) { verified(r); r.Status = jobs.Cancelled }, "FAILED"},
		{"rejected", func(r *jobs.Request) { r.Status = jobs.Rejected }, "FAILED"},
		{"refused in part", func(r *jobs.Request) {
			verified(r)
			r.Status, r.Jobs[0].Exempt = jobs.Completed, 1
		}, "FAILED"},
	} {
		h := open(t)
		h.then = c.then
		h.wants("DELETE /mem0/v2/entities/user/alice/", "", 200, progress)
		var e mem0.Event
		if err := json.Unmarshal(h.ask("GET /mem0/v1/event/"+h.requests[0].ID+"/", "").Body.Bytes(), &e); err != nil || e.Status != c.status || (e.Error != nil) != (c.status == "FAILED") {
			t.Errorf("%s: %v %+v, want %s", c.name, err, e, c.status)
		}
	}
}

// A key that comes again is answered for the same request, though the memory is
// gone by then, and for another call is a conflict.
func TestARetryWithAKeyIsAnsweredAgain(t *testing.T) {
	h := open(t)
	key := []string{"Authorization", "Token submitter", "Idempotency-Key", "k1"}
	const one, deleted = "DELETE /mem0/v1/memories/" + known + "/", `{"message":"Memory deleted successfully!","event_id":"{event}"}`
	h.wants(one, "", 200, deleted, key...)
	h.gone = true
	h.wants(one, "", 200, deleted, key...)
	h.wants(one, "", 404, `{"error":"Memory not found!"}`)
	if len(h.filed) != 1 {
		t.Errorf("%d requests, want 1", len(h.filed))
	}
	h.wants("DELETE /mem0/v1/memories/"+unknown+"/", "", 409, `{"error":"this Idempotency-Key was used for another body"}`, key...)
	h.wants("DELETE /mem0/v1/memories/?user_id=a", "", 409, `{"error":"this Idempotency-Key was used for another body"}`, key...)
}

// With delete_linked, what the memory had replaced goes too, and is counted.
func TestLinkedMemoriesAreCounted(t *testing.T) {
	h := open(t)
	h.then = func(r *jobs.Request) { verified(r); r.Jobs[0].Related = 3 }
	h.wants("DELETE /mem0/v1/memories/"+known+"/?delete_linked=true", "", 200, `{"message":"Memory deleted successfully!","event_id":"{event}","cascade_count":3}`)
	if !h.filed[0].Related {
		t.Error("the request does not say related")
	}
}

// A log has the route of a call and nothing that it was sent.
func TestTheLogHasTheRouteAlone(t *testing.T) {
	log := &strings.Builder{}
	h := open(t, func(o *api.Options) { o.Logger = slog.New(slog.NewTextHandler(log, nil)) })
	h.broken = true
	w := h.ask("DELETE /mem0/v1/memories/"+known+"/?delete_linked=true", "")
	if w.Code != http.StatusInternalServerError || !strings.Contains(log.String(), "DELETE /mem0/v1/memories/{memory_id}/") || strings.Contains(log.String(), known) || strings.Contains(log.String(), canary) {
		t.Errorf("%d, logged %s", w.Code, log)
	}
}
