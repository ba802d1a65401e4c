//go:build torture

#include "steady.h"

// SQLite's own, which its driver has linked in (sqlite.org/c3ref/funclist.html).
extern int sqlite3_auto_extension(void (*init)(void));
extern int sqlite3_db_config(void *db, int option, ...);
extern int sqlite3_config(int option, ...);

enum { enable_qpsg = 1007, config_memstatus = 9, config_lookaside = 13 };

// Before SQLite begins: it need not count its memory, which takes a lock each time,
// and may keep more of it at hand.
__attribute__((constructor)) static void lean(void) {
  sqlite3_config(config_memstatus, 0);
  sqlite3_config(config_lookaside, 1200, 200);
}

static int one_plan(void *db, char **error, const void *api) {
  return sqlite3_db_config(db, enable_qpsg, 1, (int *)0);
}

int steady_plans(void) { return sqlite3_auto_extension((void (*)(void))one_plan); }
