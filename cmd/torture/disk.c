//go:build torture

// A disk between SQLite and the files: it writes down every change of the
// files under some folders, with its bytes, and fails when it is told to. It
// becomes the default VFS, so that the ledger's own driver uses it and knows
// nothing of it. Files elsewhere go to the system's VFS untouched.

#include "disk.h"
#include "vfs.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

// Weak, because cgo links each package alone once before it links them all.
extern int sqlite3_vfs_register(vfs *, int) __attribute__((weak));
extern vfs *sqlite3_vfs_find(const char *) __attribute__((weak));

enum { most_disks = 16, most_files = 64, path_size = 512 };

typedef struct disk {
  char dir[path_size]; // empty for a free one
  char paths[most_files][path_size];
  int files;
  disk_op *ops;
  long long n, room;
  long long fail_at; // counted from 1; 0 for never
  int fail_times, fail_code, fail_only;
  long long failed;
} disk;

typedef struct watched {
  file base;
  disk *d;
  int number;
  file *real;
} watched;

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static disk disks[most_disks];
static vfs *below, above;

// count numbers an operation, and returns a code if it is to fail.
static int count(disk *d, int kind) {
  d->n++;
  if (d->fail_at && d->n >= d->fail_at && d->fail_times > 0 && (!d->fail_only || d->fail_only == kind)) {
    d->fail_times--;
    d->failed++;
    return d->fail_code;
  }
  return 0;
}

static void record(disk *d, int kind, int number, const void *bytes, int size, long long at) {
  if (d->n > d->room) {
    d->room = 2 * d->n + 256;
    d->ops = realloc(d->ops, d->room * sizeof(disk_op));
  }
  disk_op *op = &d->ops[d->n - 1];
  *op = (disk_op){.kind = kind, .file = number, .size = size, .at = at};
  if (kind == disk_write) {
    op->bytes = malloc(size);
    memcpy(op->bytes, bytes, size);
  }
}

// change counts and records one change; what fails is not done at all, but its
// place in the record is kept.
static int change(watched *w, int kind, const void *bytes, int size, long long at) {
  pthread_mutex_lock(&guard);
  int code = count(w->d, kind);
  record(w->d, code ? disk_failed : kind, w->number, bytes, size, at);
  pthread_mutex_unlock(&guard);
  return code;
}

static int w_close(file *f) {
  watched *w = (watched *)f;
  return w->real->m->close(w->real);
}
static int w_read(file *f, void *to, int n, long long at) {
  watched *w = (watched *)f;
  return w->real->m->read(w->real, to, n, at);
}
static int w_write(file *f, const void *from, int n, long long at) {
  watched *w = (watched *)f;
  int code = change(w, disk_write, from, n, at);
  return code ? code : w->real->m->write(w->real, from, n, at);
}
static int w_truncate(file *f, long long size) {
  watched *w = (watched *)f;
  int code = change(w, disk_truncate, 0, 0, size);
  return code ? code : w->real->m->truncate(w->real, size);
}
static int w_sync(file *f, int flags) {
  watched *w = (watched *)f;
  return change(w, disk_sync, 0, 0, 0);
}
static int w_size(file *f, long long *to) {
  watched *w = (watched *)f;
  return w->real->m->size(w->real, to);
}
static int w_lock(file *f, int how) {
  watched *w = (watched *)f;
  return w->real->m->lock(w->real, how);
}
static int w_unlock(file *f, int how) {
  watched *w = (watched *)f;
  return w->real->m->unlock(w->real, how);
}
static int w_reserved(file *f, int *to) {
  watched *w = (watched *)f;
  return w->real->m->reserved(w->real, to);
}
static int w_control(file *f, int op, void *arg) {
  watched *w = (watched *)f;
  return w->real->m->control(w->real, op, arg);
}
static int w_sector(file *f) {
  watched *w = (watched *)f;
  return w->real->m->sector(w->real);
}
static int w_character(file *f) {
  watched *w = (watched *)f;
  return w->real->m->character(w->real);
}
static int w_shm_map(file *f, int page, int size, int extend, void volatile **to) {
  watched *w = (watched *)f;
  return w->real->m->shm_map(w->real, page, size, extend, to);
}
static int w_shm_lock(file *f, int at, int n, int flags) {
  watched *w = (watched *)f;
  return w->real->m->shm_lock(w->real, at, n, flags);
}
static void w_shm_barrier(file *f) {
  watched *w = (watched *)f;
  w->real->m->shm_barrier(w->real);
}
static int w_shm_unmap(file *f, int del) {
  watched *w = (watched *)f;
  return w->real->m->shm_unmap(w->real, del);
}

static const methods watching = {2, w_close, w_read, w_write, w_truncate, w_sync, w_size, w_lock, w_unlock,
  w_reserved, w_control, w_sector, w_character, w_shm_map, w_shm_lock, w_shm_barrier, w_shm_unmap};

// disk_of returns the disk that a path is on, if there is one, and its number
// there. The guard is held.
static disk *disk_of(const char *path, int *number) {
  if (!path) return 0;
  for (int i = 0; i < most_disks; i++) {
    disk *d = &disks[i];
    size_t n = strlen(d->dir);
    if (!n || strncmp(path, d->dir, n) || path[n] != '/') continue;
    for (int k = 0; k < d->files; k++) {
      if (!strcmp(d->paths[k], path)) {
        *number = k;
        return d;
      }
    }
    if (d->files == most_files || strlen(path) >= path_size) abort();
    strcpy(d->paths[d->files], path);
    *number = d->files++;
    return d;
  }
  return 0;
}

static int v_open(vfs *v, const char *path, file *f, int flags, int *out) {
  int number = 0;
  pthread_mutex_lock(&guard);
  disk *d = disk_of(path, &number);
  pthread_mutex_unlock(&guard);
  if (!d) return below->open(below, path, f, flags, out);
  watched *w = (watched *)f;
  *w = (watched){.d = d, .number = number, .real = (file *)(w + 1)};
  w->real->m = 0;
  int code = below->open(below, path, w->real, flags, out);
  if (w->real->m) w->base.m = &watching; // else there is nothing to close
  return code;
}

static int v_delete(vfs *v, const char *path, int sync) {
  int number = 0, code = 0;
  pthread_mutex_lock(&guard);
  disk *d = disk_of(path, &number);
  if (d) {
    code = count(d, disk_delete);
    record(d, code ? disk_failed : disk_delete, number, 0, 0, sync);
  }
  pthread_mutex_unlock(&guard);
  return code ? code : below->delete(below, path, sync);
}

int disk_install(void) {
  if (!sqlite3_vfs_find || !(below = sqlite3_vfs_find(0))) return 1;
  above = *below;
  above.next = 0;
  above.name = "lab";
  above.file_size += sizeof(watched);
  above.open = v_open;
  above.delete = v_delete;
  return sqlite3_vfs_register(&above, 1);
}

int disk_attach(const char *dir) {
  int i = 0;
  pthread_mutex_lock(&guard);
  while (i < most_disks && disks[i].dir[0]) i++;
  if (i < most_disks && strlen(dir) < path_size) {
    memset(&disks[i], 0, sizeof disks[i]);
    strcpy(disks[i].dir, dir);
  } else {
    i = -1;
  }
  pthread_mutex_unlock(&guard);
  return i;
}

void disk_detach(int i) {
  pthread_mutex_lock(&guard);
  for (long long k = 0; k < disks[i].n; k++) free(disks[i].ops[k].bytes);
  free(disks[i].ops);
  memset(&disks[i], 0, sizeof disks[i]);
  pthread_mutex_unlock(&guard);
}

long long disk_count(int i) {
  pthread_mutex_lock(&guard);
  long long n = disks[i].n;
  pthread_mutex_unlock(&guard);
  return n;
}

long long disk_fail(int i, long long at, int times, int code, int only) {
  pthread_mutex_lock(&guard);
  disk *d = &disks[i];
  long long failed = d->failed;
  d->fail_at = at;
  d->fail_times = times;
  d->fail_code = code;
  d->fail_only = only;
  d->failed = 0;
  pthread_mutex_unlock(&guard);
  return failed;
}

disk_op disk_get(int i, long long k) { return disks[i].ops[k]; }

const char *disk_path(int i, int number) { return disks[i].paths[number]; }
