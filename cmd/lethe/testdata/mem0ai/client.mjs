// Drives Lethe's door under /mem0 with Mem0's own client (npm mem0ai, unchanged),
// prints what each call answered, and fails if one answered otherwise than Mem0.
//
//   LETHE_MEM0=http://127.0.0.1:8080/mem0 LETHE_TOKEN_FILE=token node client.mjs world.json
//
// world.json says what there is to erase:
//   one       ID of a memory
//   linked    ID of another, erased with deleteLinked
//   batch     1000 IDs of memories
//   user      whose memories go by deleteAll
//   metadata  an object that memories of others have
//   entity    a user who goes by deleteUsers
//
// The last line is "requests" and the IDs of the requests that were filed. Nothing
// is sent to anybody but Lethe: MEM0_TELEMETRY=false is set before the client loads.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

process.env.MEM0_TELEMETRY = "false";
const { MemoryClient } = await import("mem0ai");

const host = process.env.LETHE_MEM0 ?? "http://127.0.0.1:8080/mem0";
const apiKey = readFileSync(process.env.LETHE_TOKEN_FILE, "utf8").trim();
const world = JSON.parse(readFileSync(process.argv[2], "utf8"));
const client = new MemoryClient({ apiKey, host });
const requests = [];

const inProgress = "Delete in progress. This may take some time.";
const unknown = "00000000-0000-4000-8000-000000000000";

// call prints what a call answered, and wants answers like a function or an error
// of that status whose text matches.
async function call(name, make, want) {
  let answer, error;
  const began = performance.now();
  try {
    answer = await make();
  } catch (e) {
    error = e;
  }
  const ms = Math.round(performance.now() - began);
  const said = error ? `${error.name} ${error.errorCode ?? ""}: ${error.message}` : JSON.stringify(answer) ?? "nothing";
  console.log(`${name}\n    ${said} (${ms} ms)`);
  const id = answer?.eventId ?? answer?.event_id;
  if (id && !requests.includes(id)) requests.push(id);
  if (typeof want === "function") {
    assert.equal(error, undefined, `${name} failed`);
    assert.ok(want(answer), `${name} answered otherwise`);
  } else {
    assert.ok(error, `${name} was answered: ${said}`);
    if (want.status) assert.equal(error.errorCode, `HTTP_${want.status}`, name);
    assert.match(error.message, want.says, name);
  }
  return answer;
}

// ask makes a call that the client has no method for, as its users do.
async function ask(path) {
  const answer = await fetch(host + path, { headers: { Authorization: `Token ${apiKey}` } });
  const body = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(JSON.stringify(body)), { errorCode: `HTTP_${answer.status}` });
  return body;
}

// poll asks for an event until it is over.
async function poll(id) {
  for (let i = 0; i < 1200; i++) {
    const event = await ask(`/v1/event/${id}/`);
    if (event.status === "SUCCEEDED" || event.status === "FAILED") return event;
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error("the event does not end");
}

const succeeded = (event) => event.status === "SUCCEEDED" && event.results.every((r) => r.remaining === 0);

await call("ping()", () => client.ping(), () => true);
await call("ping() with another key", () => new MemoryClient({ apiKey: "m0-another", host }).ping(), { status: 401, says: /./ });

// One memory.
const { one, linked, batch, user, metadata, entity } = world;
await call("delete(ID)", () => client.delete(one), (a) => a.message === "Memory deleted successfully!" && a.eventId);
await call("delete(the same ID)", () => client.delete(one), { status: 404, says: /Memory not found!/ });
await call("delete(an unknown ID)", () => client.delete(unknown), { status: 404, says: /Memory not found!/ });
await call('delete("no UUID")', () => client.delete("no UUID"), { status: 400, says: /memory_id should be a valid UUID/ });
await call("delete(ID, {deleteLinked: true})", () => client.delete(linked, { deleteLinked: true }),
  (a) => a.message === "Memory deleted successfully!" && a.cascadeCount === 0);

// Many.
await call(`batchDelete(${batch.length + 1} IDs)`, () => client.batchDelete([...batch, unknown]),
  { status: 400, says: /Maximum of 1000 memories can be deleted in a single request/ });
await call("batchDelete(no IDs)", () => client.batchDelete([]), { status: 400, says: /./ });
const many = await call(`batchDelete(${batch.length} IDs)`, () => client.batchDelete(batch),
  (a) => (a.message === `Successfully deleted ${batch.length} memories` || a.message === inProgress) && a.eventId);
await call("    its event", () => poll(many.eventId), succeeded);

// By filter: none, wildcards, and what Mem0 would not take for JSON.
await call("deleteAll()", () => client.deleteAll(), { status: 400, says: /At least one filter is required/ });
await call('deleteAll({userId: "*"})', () => client.deleteAll({ userId: "*" }), { status: 400, says: /wildcard/ });
await call("deleteAll(four wildcards)", () => client.deleteAll({ userId: "*", agentId: "*", appId: "*", runId: "*" }),
  { status: 400, says: /wildcard/ });
await call("deleteAll({metadata: an object})", () => client.deleteAll({ metadata }), { status: 400, says: /JSON\.stringify/ });
await call("deleteAll({anything: 1})", () => client.deleteAll({ anything: 1 }), { status: 400, says: /not known/ });

const all = await call("deleteAll({userId})", () => client.deleteAll({ userId: user }), (a) => a.message === inProgress && a.eventId);
await call("    its event", () => poll(all.eventId), (e) => succeeded(e) && e.results[0].found > 0);
const some = await call("deleteAll({metadata: JSON.stringify(…)})", () => client.deleteAll({ metadata: JSON.stringify(metadata) }),
  (a) => a.message === inProgress && a.eventId);
await call("    its event", () => poll(some.eventId), (e) => succeeded(e) && e.results[0].found > 0);

// Entities. The client tells of no event, so the newest one is asked for.
await call("deleteUsers({userId})", () => client.deleteUsers({ userId: entity }), (a) => a.message === "Entity deleted successfully.");
const { results } = await ask("/v1/events/?page_size=1");
requests.push(results[0].id);
await call("    its event", () => poll(results[0].id), (e) => succeeded(e) && e.results[0].found > 0);
await call("deleteUsers()", () => client.deleteUsers(), { says: /only deletes/ });
await call('deleteUser({entity_id: 7, entity_type: "user"})', () => client.deleteUser({ entity_id: 7, entity_type: "user" }), { status: 400, says: /./ });

// Events.
await call("an event that is not there", () => ask(`/v1/event/${unknown}/`), { status: 404, says: /Event not found/ });
await call("events", async () => (await ask("/v1/events/")).count, (n) => n === requests.length);

// What this door is not for.
await call("getAll()", () => client.getAll({ filters: { user_id: user } }), { status: 405, says: /only deletes/ });
await call("add()", () => client.add([{ role: "user", content: "hello" }], { userId: user }), { status: 405, says: /only deletes/ });

console.log(`requests ${requests.join(" ")}`);
