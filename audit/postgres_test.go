package audit_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/audit"
	"lethe/audit/audittest"

	"github.com/jmoiron/sqlx"
)

// onPostgres is the test under which newLedger makes logs on PostgreSQL.
const onPostgres = "TestTheLogOnPostgresKeepsThePromises/"

func TestTheLogOnPostgresKeepsThePromises(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"CheckOfASoundLog":                   TestCheckOfASoundLog,
		"TamperingIsFound":                   TestTamperingIsFound,
		"AFalseHeadIsFoundThoughWellSigned":  TestAFalseHeadIsFoundThoughWellSigned,
		"NothingIsSignedOnABrokenLog":        TestNothingIsSignedOnABrokenLog,
		"PinsFindARestoredDatabase":          TestPinsFindARestoredDatabase,
		"EveryEntryHasACertificate":          TestEveryEntryHasACertificate,
		"RolledBackTransactionLeavesNothing": TestRolledBackTransactionLeavesNothingBehind,
		"AppendIsIdempotent":                 TestAppendIsIdempotent,
		"AppendersExcludeEachOther":          TestAppendersExcludeEachOther,
		"SynchronousMustBeFull":              TestSynchronousMustBeFull,
		"TailAndEntryRead":                   TestTailAndEntryRead,
		"ALogCanBeReadWithoutTheKey":         TestALogCanBeReadWithoutTheKey,
		"ASignerThatLiesIsCaught":            TestASignerThatLiesIsCaught,
		"ServedFilesEqualExportedOnes":       TestServedFilesEqualExportedOnes,
		"AClientOfTilesCanProveAnEntry":      TestAClientOfTilesCanProveAnEntry,
		"HeadersAndWhatIsNotThere":           TestHeadersAndWhatIsNotThere,
		"MigrateTwiceIsHarmless":             TestMigrateTwiceIsHarmless,

		"GuardRefusesRollback":                  TestGuardRefusesRollback,
		"PinAheadNamesMissing":                  TestPinAheadNamesMissing,
		"GuardRefusesForkedPin":                 TestGuardRefusesForkedPin,
		"GuardRefusesAPinThatIsNotTheLogs":      TestGuardRefusesAPinThatIsNotTheLogs,
		"GuardNamesEveryReason":                 TestGuardNamesEveryReason,
		"ASoundLogAppends":                      TestASoundLogAppendsAndANewAnchorIsReported,
		"HungAnchorDoesNotHangTheStart":         TestHungAnchorDoesNotHangTheStart,
		"UnreadableAnchorRecoversByItself":      TestUnreadableAnchorRecoversByItself,
		"ABrokenEdgeOpensForReading":            TestABrokenEdgeOpensForReading,
		"ImportBringsBack":                      TestImportBringsBack,
		"ImportNeverSigns":                      TestImportNeverSigns,
		"ImportBelievesNoMirror":                TestImportBelievesNoMirror,
		"ImportIntoAnotherPastIsRefused":        TestImportIntoAnotherPastIsRefused,
		"ImportThatIsNotFollowedChangesNothing": TestImportThatIsNotFollowedChangesNothing,
		"ImportMendsNoBrokenDatabase":           TestImportMendsNoBrokenDatabase,
		"SucceedNamesTheOldHead":                TestSucceedNamesTheOldHead,
		"SucceedTakesTheNewestHead":             TestSucceedTakesTheNewestHeadThatAnyoneHolds,
		"SucceedTouchesNoKey":                   TestSucceedTouchesNoKeyBeforeAllIsMadeSureOf,
		"SucceedMayBeCalledAgain":               TestSucceedMayBeCalledAgain,
		"ALogCanBeSucceededTwice":               TestALogCanBeSucceededTwice,
		"AnAnchorThatKnewMore":                  TestAnAnchorThatKnewMoreOfTheOldLogIsReported,
		"PublisherBringsEveryNewHead":           TestPublisherBringsEveryNewHead,
		"TheLastHeadIsPinnedAtTheEnd":           TestTheLastHeadIsPinnedAtTheEnd,
		"ARefusedLogPublishesNothing":           TestARefusedLogPublishesNothing,
		"AHeadThatIsNotCommitted":               TestAHeadThatIsNotCommittedIsNotPublished,
		"CertificateCarriesCosignatures":        TestCertificateCarriesCosignatures,
	} {
		t.Run(name, test)
	}
}

func newPostgres(t testing.TB) *ledger { t.Helper(); return newLedgerAt(t, audittest.Schema(t)) }

func TestPostgresRowsAreInsertOnly(t *testing.T) {
	l := newPostgres(t)
	l.fill(t, 5)
	if _, err := l.write.Exec(`SET session_replication_role = replica`); err != nil { // ordinary triggers do not fire now
		t.Fatal(err)
	}
	for _, s := range []string{
		`UPDATE audit_entry SET body = '\x00' WHERE idx = 2`,
		`DELETE FROM audit_entry WHERE idx = 4`,
		`TRUNCATE audit_entry`,
		`INSERT INTO audit_entry VALUES (6, 'gap', '\x00')`,
		`INSERT INTO audit_entry VALUES (5, 'one', '\x00'), (7, 'gap', '\x00')`,
		`INSERT INTO audit_entry VALUES (2, 'again', '\x00')`,
		`INSERT INTO audit_entry VALUES (-1, 'before', '\x00')`,
		`INSERT INTO audit_entry VALUES (5, '` + entryID(1) + `', '\x00')`,
		`INSERT INTO audit_entry VALUES (2, 'x', '\x00') ON CONFLICT (idx) DO UPDATE SET body = EXCLUDED.body`,
		`UPDATE audit_hash SET h = sha256('') WHERE id = 1`,
		`DELETE FROM audit_hash`,
		`TRUNCATE audit_hash`,
		`INSERT INTO audit_hash VALUES (100, sha256(''))`,
		`INSERT INTO audit_hash VALUES (8, '\x00')`,
		`UPDATE audit_checkpoint SET note = '\x00'`,
		`DELETE FROM audit_checkpoint`,
		`TRUNCATE audit_checkpoint CASCADE`,
		`INSERT INTO audit_checkpoint VALUES (2, sha256(''), '\x00', 0)`,
		`INSERT INTO audit_checkpoint SELECT size, sha256(''), note, at FROM audit_checkpoint ON CONFLICT (size) DO UPDATE SET root = EXCLUDED.root`,
		`UPDATE audit_log SET origin = 'x'`,
		`DELETE FROM audit_log`,
		`INSERT INTO audit_log VALUES (2, 'x')`,
		`DELETE FROM audit_head`,
		`TRUNCATE audit_head`,
		`INSERT INTO audit_head VALUES (2, 0, 0, sha256(''))`,
		`UPDATE audit_outbox SET body = '\x00'`,
		`TRUNCATE audit_outbox`,
		`DELETE FROM audit_cosig`,
		`DELETE FROM audit_stamp`,
		`DELETE FROM audit_outcast`,
	} {
		if _, err := l.write.Exec(s); err == nil {
			t.Errorf("allowed: %s", s)
		}
	}
	if r, err := l.Check(t.Context()); err != nil || r.Size != 5 {
		t.Errorf("size %d, %v, want 5", r.Size, err)
	}
}

// Whoever appends to a log that another has succeeded is held off by the
// tables, and entries of the next log begin at its own first row.
func TestPostgresHoldsOffALogThatWasSucceeded(t *testing.T) {
	l := newPostgres(t)
	l.fill(t, 3)
	for _, s := range []string{
		`INSERT INTO audit_log VALUES (1, 'log.example/next')`,
		`INSERT INTO audit_entry VALUES (1::bigint << 48, 'x', '\x00')`,
	} {
		if _, err := l.write.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	if _, err := l.add(entry(3)); !errors.Is(err, audit.ErrFenced) {
		t.Errorf("append to the old log: %v, want ErrFenced", err)
	}
	if _, err := l.write.Exec(`INSERT INTO audit_entry VALUES (3, 'y', '\x00')`); err == nil {
		t.Error("a row of the old log was inserted")
	}
	if r, err := l.Check(t.Context()); err != nil || r.Size != 3 {
		t.Errorf("the old log: size %d, %v, want 3", r.Size, err)
	}
}

func TestPostgresAHeadRowThatWasChangedIsFound(t *testing.T) {
	for _, s := range []string{`UPDATE audit_head SET size = 4`, `UPDATE audit_head SET root = sha256('x')`} {
		l := newPostgres(t)
		l.fill(t, 5)
		if _, err := l.write.Exec(s); err != nil {
			t.Fatal(err)
		}
		if _, err := l.add(entry(5)); !errors.Is(err, audit.ErrBroken) {
			t.Errorf("%s: append says %v, want ErrBroken", s, err)
		}
		if err := l.Guard(t.Context()); !errors.Is(err, audit.ErrBroken) {
			t.Errorf("%s: guard says %v, want ErrBroken", s, err)
		}
	}
}

func TestPostgresMustCommitToDisk(t *testing.T) {
	l := newPostgres(t)
	for setting, ok := range map[string]bool{"on": true, "remote_apply": true, "remote_write": false, "local": false, "off": false} {
		db := connect(t, l.path, "FULL", 1)
		if _, err := db.Exec(`SET synchronous_commit = ` + setting); err != nil {
			t.Fatal(err)
		}
		_, err := audit.Open(t.Context(), db, audit.Options{Verifier: l.key.Verifier, Origin: l.key.Origin})
		if (err == nil) != ok {
			t.Errorf("%s: %v", setting, err)
		}
	}
	for _, name := range []string{"fsync", "full_page_writes"} {
		alter(t, l.read, name, "off")
		_, err := l.open(t.Context())
		alter(t, l.read, name, "on")
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// alter changes a setting of the whole server and returns when new sessions have
// it. Each query of db is in a new one.
func alter(t *testing.T, db *sqlx.DB, name, value string) {
	t.Helper()
	db.SetMaxIdleConns(-1)
	db.MustExec(`ALTER SYSTEM SET ` + name + ` = ` + value)
	for have := ""; have != value; time.Sleep(time.Millisecond) {
		db.MustExec(`SELECT pg_reload_conf()`)
		if err := db.Get(&have, `SHOW `+name); err != nil {
			t.Fatal(err)
		}
	}
}

// A guard sees one state of the log, whatever is appended meanwhile.
func TestPostgresGuardsWhileOthersAppend(t *testing.T) {
	l := newPostgres(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 80 {
			if _, err := l.add(entry(i)); err != nil {
				t.Error(err)
			}
		}
	}()
	for {
		if err := l.Guard(t.Context()); err != nil {
			t.Error(err)
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

func TestPostgresProcessesMayMigrateAtOnce(t *testing.T) {
	dsn := audittest.Postgres(t)
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for range 6 {
		db := connect(t, dsn, "FULL", 2)
		if err := db.Ping(); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			<-begin
			if err := audit.Migrate(t.Context(), db); err != nil {
				t.Error(err)
			}
		})
	}
	close(begin)
	wg.Wait()
	files, err := filepath.Glob("migrations/postgres/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var versions int
	if err := connect(t, dsn, "FULL", 1).Get(&versions, `SELECT count(*) FROM audit_migrations WHERE version_id > 0`); err != nil || versions != len(files) {
		t.Errorf("%d versions, %v, want %d", versions, err, len(files))
	}
}

func TestPostgresMigratesAloneInTheDatabase(t *testing.T) {
	dsn := audittest.Schema(t)
	first := connect(t, dsn, "FULL", 1).MustBegin()
	first.MustExec(`SELECT pg_advisory_xact_lock($1)`, int64(audit.Migrating))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := audit.Migrate(ctx, connect(t, dsn, "FULL", 1)); err == nil {
		t.Error("migrated while another process did")
	}
	if err := first.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := audit.Migrate(t.Context(), connect(t, dsn, "FULL", 1)); err != nil {
		t.Error(err)
	}
}

func TestPostgresRoleOfTheServiceCanOnlyAppend(t *testing.T) {
	owner := newPostgres(t)
	owner.fill(t, 3)
	const role = `lethe "service"`
	if _, err := owner.write.Exec(`DO $$ BEGIN CREATE ROLE "lethe ""service""" LOGIN; EXCEPTION WHEN duplicate_object THEN END $$`); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := audit.Grant(t.Context(), owner.write, role); err != nil {
			t.Fatal(err)
		}
	}
	as := func() *sqlx.DB {
		db := connect(t, owner.path, "FULL", 1)
		if _, err := db.Exec(`SET ROLE "lethe ""service"""`); err != nil {
			t.Fatal(err)
		}
		return db
	}
	l := &ledger{path: owner.path, key: owner.key, write: as(), read: as()}
	if err := audit.Migrate(t.Context(), l.write); err != nil { // there is nothing to do
		t.Errorf("migrate: %v", err)
	}
	var err error
	if l.Log, err = l.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.add(entry(3)); err != nil {
		t.Errorf("append: %v", err)
	}
	l.enqueue(t, entry(4))
	run(t, l)
	l.await(t, 4)
	// What the triggers forbid is forbidden to the role without them.
	owner.tamper(t)
	for _, table := range []string{"log", "entry", "hash", "checkpoint", "cosig", "stamp", "outcast"} {
		for _, s := range []string{`DELETE FROM audit_` + table, `TRUNCATE audit_` + table + ` CASCADE`} {
			if _, err := l.write.Exec(s); err == nil || !strings.Contains(err.Error(), "42501") {
				t.Errorf("%s: %v, want permission denied", s, err)
			}
		}
	}
	for _, s := range []string{
		`UPDATE audit_entry SET body = '\x00'`, `UPDATE audit_hash SET h = sha256('')`, `UPDATE audit_checkpoint SET note = '\x00'`,
		`UPDATE audit_outbox SET body = '\x00'`, `DELETE FROM audit_head`, `INSERT INTO audit_head VALUES (1, 0, 0, sha256(''))`,
		`ALTER TABLE audit_entry DISABLE TRIGGER ALL`, `DELETE FROM audit_migrations`,
	} {
		if _, err := l.write.Exec(s); err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s: %v, want permission denied", s, err)
		}
	}
}
