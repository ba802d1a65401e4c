package proof_test

import (
	"path/filepath"
	"strings"
	"testing"

	"lethe/audit/proof"
)

func TestMemoryProofsAreAnsweredByTheirFirstLine(t *testing.T) {
	e := newErasure(t, 3, 5)
	d := desk{t.TempDir()}
	write(t, filepath.Join(d.dir, "log.pub"), []byte(e.vkey))
	write(t, filepath.Join(d.dir, "c.tlog-proof"), e.text)
	files := map[proof.Outcome]receipted{}
	for _, m := range e.all {
		files[m.outcome] = m
		write(t, filepath.Join(d.dir, m.outcome.String()), e.proof(t, m).Text())
	}
	erased := files[proof.OutcomeErased].id
	write(t, filepath.Join(d.dir, "id"), []byte(erased+"\n"))
	write(t, filepath.Join(d.dir, "edited"), []byte("\ufeff"+erased+"\r\n"))
	write(t, filepath.Join(d.dir, "empty"), []byte("\n"))
	forged := e.proof(t, files[proof.OutcomeHeld])
	forged.Outcome = proof.OutcomeErased
	write(t, filepath.Join(d.dir, "forged"), forged.Text())
	key := " --key log.pub --subject-key " + strings.Repeat("07", 32)
	for _, row := range []struct {
		args   string
		status int
		says   string
	}{
		{"erased --memory " + erased + key, 0, "memory     the one you named, in place memories: erased"},
		{"erased --memory " + erased + key, 0, "this place and batch alone: elsewhere, or found again later, it may have another receipt"},
		{"erased --memory-file id" + key, 0, "the one you named"},
		{"erased --memory-file edited" + key, 0, "the one you named"},
		{"erased --memory-file empty" + key, 1, "it is empty"},
		{"erased --memory=" + key, 1, "it is empty"},
		{"held --memory " + files[proof.OutcomeHeld].id + key, 0, "NOT erased"},
		{"erased --memory " + erased + " --subject alice" + key, 0, "matches the name and key you gave"},
		{"erased --memory " + erased + " --subject bob" + key, 5, "give all of that with --selector-file"},
		{"erased --memory other" + key, 5, "no receipt of this memory"},
		{"erased --memory " + erased + " --key log.pub --subject-key " + strings.Repeat("08", 32), 5, "no receipt of this memory"},
		{"forged --memory " + files[proof.OutcomeHeld].id + key, 5, "no receipt of this memory"},
		{"erased --key log.pub", 1, "is checked with --subject-key and --memory"},
		{"erased --subject alice" + key, 1, "is checked with --subject-key and --memory"},
		{"c.tlog-proof --memory " + erased + key, 5, "no proof of what became of one memory"},
		{"erased c.tlog-proof --memory " + erased + key, 5, "OK      erased"},
		{"erased --memory " + erased + " --key log.pub", 2, "goes together"},
		{"erased --memory x --memory-file id" + key, 2, "exclude each other"},
		{"erased --memory-file missing" + key, 1, "read memory ID"},
	} {
		status, out := d.run(t, row.args)
		if status != row.status || !strings.Contains(out, row.says) || strings.Contains(out, canaryID) {
			t.Errorf("%s: status %d, want %d with %q\n%s", row.args, status, row.status, row.says, out)
		}
	}
}
