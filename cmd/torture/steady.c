//go:build torture

#include "steady.h"

// SQLite's own, which its driver has linked in (sqlite.org/c3ref/funclist.html).
extern int sqlite3_auto_extension(void (*init)(void));
extern int sqlite3_db_config(void *db, int option, ...);
extern void *sqlite3_vfs_find(const char *name);
extern int sqlite3_vfs_register(void *vfs, int make_default);

enum { enable_qpsg = 1007 };

static int one_plan(void *db, char **error, const void *api) {
  return sqlite3_db_config(db, enable_qpsg, 1, (int *)0);
}

int steady_plans(void) { return sqlite3_auto_extension((void (*)(void))one_plan); }

int steady_files(void) {
  void *vfs = sqlite3_vfs_find("unix-excl");
  return vfs ? sqlite3_vfs_register(vfs, 1) : 1;
}
