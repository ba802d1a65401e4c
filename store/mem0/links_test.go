package mem0_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/store"
	"lethe/store/mem0"
)

// payloads of entities that stand beside each other in one file.
func entityRows() map[string]string {
	return map[string]string{
		"shared":  `{"data":"caf\u00e9 \"x\"","n":1.50,"big":12345678901234567890,"entityType":"T","linkedMemoryIds":["m1","m2","M1","m1 "],"user_id":"bob"}`,
		"twice":   `{"entityType":"T","linkedMemoryIds":["m1","m3","m1"]}`,
		"only":    `{"entityType":"T","linkedMemoryIds":["m1"],"user_id":"bob"}`,
		"python":  `{"entity_type":"T","linked_memory_ids":["m1"]}`,
		"both":    `{"entity_type":"T","linked_memory_ids":["m1"],"linkedMemoryIds":["m2"]}`,
		"mixed":   `{"entityType":"T","linkedMemoryIds":["m1",null,1,2.5,true,{"a":"m1"},["m1"]]}`,
		"null":    `{"entityType":"T","linkedMemoryIds":["m1",null]}`,
		"empty":   `{"entityType":"T","linkedMemoryIds":[],"user_id":"bob"}`,
		"text":    `{"entityType":"T","linkedMemoryIds":"m1"}`,
		"untyped": `{"linkedMemoryIds":["m1"],"user_id":"bob"}`,
		"broken":  `{"entityType":"T","linkedMemoryIds":["m1"]`,
		"list":    `["m1"]`,
	}
}

func TestLinksGoWithTheirMemory(t *testing.T) {
	for _, v := range variants()[:2] {
		t.Run(v.name, func(t *testing.T) { linksGo(t, v.open(t)) })
	}
}

func linksGo(t *testing.T, f *fixture) {
	path := f.config.Entities
	if path == "" {
		path = f.config.Vectors
	}
	rows := entityRows()
	for id, payload := range rows {
		sql(t, path, `INSERT INTO vectors VALUES (?, x'00', ?)`, id, payload)
	}
	sql(t, f.config.Vectors, `INSERT INTO vectors VALUES ('m1', x'00', '{"user_id":"alice"}'), ('m2', x'00', '{"user_id":"bob"}')`)

	id := []store.ID{{Place: "memories", Key: "m1"}}
	if r, err := f.s.Erase(t.Context(), id); err != nil || r[0] != store.Erased {
		t.Fatalf("receipt %s, error %v", r, err)
	}
	if left, err := f.s.Remaining(t.Context(), id); err != nil || len(left) > 0 {
		t.Errorf("%d remaining, error %v", len(left), err)
	}
	want := map[string]string{
		"shared": `{"data":"caf\u00e9 \"x\"","n":1.50,"big":12345678901234567890,"entityType":"T","linkedMemoryIds":["m2","M1","m1 "],"user_id":"bob"}`,
		"twice":  `{"entityType":"T","linkedMemoryIds":["m3"]}`,
		"both":   `{"entity_type":"T","linked_memory_ids":[],"linkedMemoryIds":["m2"]}`,
		"mixed":  `{"entityType":"T","linkedMemoryIds":[null,1,2.5,true,{"a":"m1"},["m1"]]}`,
		"null":   `{"entityType":"T","linkedMemoryIds":[null]}`,
	}
	for _, kept := range []string{"empty", "text", "untyped", "broken", "list"} {
		want[kept] = rows[kept]
	}
	got := make(map[string]string)
	db := database(t, path)
	defer db.Close()
	found, err := db.Queryx(`SELECT id, payload FROM vectors WHERE id <> 'm2'`)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	for found.Next() {
		var id, payload string
		if err := found.Scan(&id, &payload); err != nil {
			t.Fatal(err)
		}
		got[id] = payload
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entities: (-want +got)\n%s", diff)
	}
}

func TestALinkAloneIsFoundByID(t *testing.T) {
	f := variants()[0].open(t)
	sql(t, f.config.Entities, `INSERT INTO vectors VALUES ('e', x'00', '{"entityType":"T","linkedMemoryIds":["gone","other"]}')`)
	sel := store.Selector{IDs: []string{"gone"}}
	ids := find(t, f.s, sel)
	if want := []store.ID{{Place: "memories", Key: "gone"}}; !slices.Equal(ids, want) {
		t.Fatalf("found %d, want the memory that is only linked to", len(ids))
	}
	if r, err := f.s.Erase(t.Context(), ids); err != nil || r[0] != store.Erased {
		t.Errorf("receipt %s, error %v", r, err)
	}
	if ids = find(t, f.s, sel); len(ids) > 0 {
		t.Errorf("%d left", len(ids))
	}
}

func TestAnEntityAndItsLastLinkInOneBatch(t *testing.T) {
	f := variants()[0].open(t)
	if err := mem0.WriteSQLite(t.Context(), f.config, slices.Values([]mem0.Memory{{ID: "m", UserID: "alice", Text: "t", Entities: []string{"e"}}})); err != nil {
		t.Fatal(err)
	}
	ids := find(t, f.s, store.Selector{UserID: "alice"})
	slices.Reverse(ids) // the memory first
	if r, err := f.s.Erase(t.Context(), ids); err != nil || r.Count(store.Erased) != 2 {
		t.Errorf("receipt %s, error %v; want both erased", r, err)
	}
}

func TestUnattributable(t *testing.T) {
	f := variants()[0].open(t)
	sql(t, f.config.Vectors, `INSERT INTO vectors VALUES ('m', x'00', '{"user_id":"alice"}'), ('broken', x'00', '{"user_id":"alice"'),
		('blob', x'00', x'7b7d'), ('list', x'00', '["alice"]')`)
	sql(t, f.config.Entities, `INSERT INTO vectors VALUES ('e', x'00', '{"entityType":"T","linkedMemoryIds":["linked"]}')`)
	sql(t, f.config.History, `INSERT INTO memory_history (memory_id, action) VALUES ('m', 'ADD'), ('linked', 'ADD'), ('orphan', 'ADD'), ('broken', 'ADD')`)
	sql(t, f.config.History, `INSERT INTO messages VALUES ('1', 'user_id=alice', '', '', '', ''), ('2', 'alice', '', '', '', ''), ('3', NULL, '', '', '', ''), ('4', '', '', '', '', '')`)
	census, err := f.s.Count(t.Context(), store.Selector{UserID: "alice"}.Only())
	if err != nil {
		t.Fatal(err)
	}
	if census.IDs() != 2 || census.Unattributable != 3+1+3 {
		got, _ := json.Marshal(census)
		t.Errorf("census %s, want 2 found, 7 unattributable", got)
	}
}

// Mem0 promotes userId only where user_id is absent.
func TestLegacyNames(t *testing.T) {
	f := variants()[0].open(t)
	for id, payload := range map[string]string{
		"snake": `{"user_id":"alice"}`, "camel": `{"userId":"alice"}`, "agree": `{"userId":"alice","user_id":"alice"}`,
		"snakewins": `{"userId":"bob","user_id":"alice"}`, "camelloses": `{"userId":"alice","user_id":"bob"}`,
		"nullwins": `{"userId":"alice","user_id":null}`, "lastwins": `{"user_id":"bob","user_id":"alice"}`,
		"firstloses": `{"user_id":"alice","user_id":"bob"}`, "escaped": `{"user\u005fid":"al\u0069ce"}`,
		"nested": `{"metadata":{"user_id":"alice"}}`, "array": `{"user_id":["alice"]}`, "nul": `{"user_id":"alice\u0000"}`,
	} {
		sql(t, f.config.Vectors, `INSERT INTO vectors VALUES (?, x'00', ?)`, id, payload)
	}
	var got []string
	for _, id := range find(t, f.s, store.Selector{UserID: "alice"}) {
		got = append(got, id.Key)
	}
	slices.Sort(got)
	want := []string{"agree", "camel", "escaped", "lastwins", "snake", "snakewins"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("found: (-want +got)\n%s", diff)
	}
	if ids := find(t, f.s, store.Selector{UserID: `["alice"]`}); len(ids) > 0 {
		t.Error("text equals an array")
	}
}

// In WAL mode a crash can fall between two files: never may history be left
// without its memory.
func TestMemoriesAreCommittedLast(t *testing.T) {
	got := variants()[0].open(t).config.CommitOrder()
	if want := []string{"history", "entities", "vectors"}; !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
}
