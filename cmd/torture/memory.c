//go:build torture

// Files that SQLite has in the memory of this process and that no other sees: they
// spare it the system's calls, 600 a case of lane lies. They are read, written and
// locked as files are, WAL included. What a disk does at a power cut is another
// lane's matter: here there is nothing to sync.

#include "memory.h"
#include "vfs.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

extern int sqlite3_vfs_register(vfs *, int) __attribute__((weak));
extern vfs *sqlite3_vfs_find(const char *) __attribute__((weak));

enum { busy = 5, no_memory = 7, cannot_open = 14, not_found = 12, short_read = 10 | 2 << 8, no_entry = 10 | 23 << 8 };
enum { may_create = 4, must_create = 16, goes_at_close = 8 };
enum { none, shared, reserved, pending, exclusive }; // locks of a file
enum { shm_unlock = 1, shm_shared = 4, regions = 256, shm_locks = 8 };

typedef struct node {
  struct node *next;
  char *path;
  char *bytes;
  long long size, room;
  int open;
  int readers; // who have a shared lock, or more
  struct opened *writer; // who has more than that
  int closing; // the writer waits for the readers to go
  void *shm[regions];
  int shm_open, shm_readers[shm_locks];
  struct opened *shm_writer[shm_locks];
} node;

typedef struct opened {
  file base;
  node *n;
  int lock, mapped, goes;
  unsigned read_locks; // bits
} opened;

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER; // of all that follows, and of all bytes
static node *nodes;
static vfs *below, above;

static node *find(const char *path) {
  for (node *n = nodes; n; n = n->next)
    if (!strcmp(n->path, path)) return n;
  return 0;
}

static void drop(node *n) {
  for (node **at = &nodes; *at; at = &(*at)->next) {
    if (*at == n) {
      *at = n->next;
      break;
    }
  }
  for (int i = 0; i < regions; i++) free(n->shm[i]);
  free(n->bytes);
  free(n->path);
  free(n);
}

static int m_close(file *f) {
  opened *o = (opened *)f;
  pthread_mutex_lock(&guard);
  if (--o->n->open == 0 && o->goes) drop(o->n);
  pthread_mutex_unlock(&guard);
  return 0;
}

static int m_read(file *f, void *to, int count, long long at) {
  node *n = ((opened *)f)->n;
  pthread_mutex_lock(&guard);
  long long there = n->size - at;
  if (there > count) there = count;
  if (there < 0) there = 0;
  memcpy(to, n->bytes + at, there);
  pthread_mutex_unlock(&guard);
  if (there == count) return 0;
  memset((char *)to + there, 0, count - there);
  return short_read;
}

static int m_write(file *f, const void *from, int count, long long at) {
  node *n = ((opened *)f)->n;
  int code = 0;
  pthread_mutex_lock(&guard);
  if (at + count > n->room) {
    long long room = 2 * (at + count) + 65536;
    char *bytes = realloc(n->bytes, room);
    if (bytes) {
      n->bytes = bytes;
      n->room = room;
    } else {
      code = no_memory;
    }
  }
  if (!code) {
    if (at > n->size) memset(n->bytes + n->size, 0, at - n->size);
    memcpy(n->bytes + at, from, count);
    if (at + count > n->size) n->size = at + count;
  }
  pthread_mutex_unlock(&guard);
  return code;
}

static int m_truncate(file *f, long long size) {
  node *n = ((opened *)f)->n;
  pthread_mutex_lock(&guard);
  if (size < n->size) n->size = size;
  pthread_mutex_unlock(&guard);
  return 0;
}

static int m_sync(file *f, int flags) { return 0; }

static int m_size(file *f, long long *to) {
  pthread_mutex_lock(&guard);
  *to = ((opened *)f)->n->size;
  pthread_mutex_unlock(&guard);
  return 0;
}

static int m_lock(file *f, int want) {
  opened *o = (opened *)f;
  node *n = o->n;
  int code = 0;
  pthread_mutex_lock(&guard);
  if (o->lock < want) {
    int others = n->writer && n->writer != o;
    if (o->lock == none && others && (n->closing || n->writer->lock == exclusive)) {
      code = busy;
    } else if (want > shared && others) {
      code = busy;
    } else {
      if (o->lock == none) n->readers++, o->lock = shared;
      if (want > shared) {
        n->writer = o;
        o->lock = reserved;
      }
      if (want == exclusive) {
        n->closing = n->readers > 1;
        o->lock = n->closing ? pending : exclusive;
        code = n->closing ? busy : 0;
      }
    }
  }
  pthread_mutex_unlock(&guard);
  return code;
}

static int m_unlock(file *f, int to) {
  opened *o = (opened *)f;
  node *n = o->n;
  pthread_mutex_lock(&guard);
  if (o->lock > to) {
    if (n->writer == o) n->writer = 0, n->closing = 0;
    if (to == none) n->readers--;
    o->lock = to;
  }
  pthread_mutex_unlock(&guard);
  return 0;
}

static int m_reserved(file *f, int *to) {
  pthread_mutex_lock(&guard);
  *to = ((opened *)f)->n->writer != 0;
  pthread_mutex_unlock(&guard);
  return 0;
}

static int m_control(file *f, int op, void *arg) { return not_found; }
static int m_sector(file *f) { return 4096; }
static int m_character(file *f) { return 0x1000; } // a write harms nothing beside it, as of files

static int m_shm_map(file *f, int region, int size, int extend, void volatile **to) {
  opened *o = (opened *)f;
  int code = 0;
  pthread_mutex_lock(&guard);
  if (!o->mapped) o->mapped = 1, o->n->shm_open++;
  if (region >= regions) {
    code = no_memory;
  } else {
    if (!o->n->shm[region] && extend) o->n->shm[region] = calloc(1, size);
    *to = o->n->shm[region];
  }
  pthread_mutex_unlock(&guard);
  return code;
}

static int m_shm_lock(file *f, int at, int count, int flags) {
  opened *o = (opened *)f;
  node *n = o->n;
  int code = 0;
  pthread_mutex_lock(&guard);
  for (int i = at; i < at + count && !(flags & shm_unlock); i++) {
    int own = o->read_locks >> i & 1;
    if (n->shm_writer[i] && n->shm_writer[i] != o || !(flags & shm_shared) && n->shm_readers[i] > own) code = busy;
  }
  for (int i = at; i < at + count && !code; i++) {
    unsigned bit = 1u << i;
    if (!(flags & shm_shared)) {
      if (!(flags & shm_unlock)) n->shm_writer[i] = o;
      else if (n->shm_writer[i] == o) n->shm_writer[i] = 0;
    } else if (!(flags & shm_unlock) && !(o->read_locks & bit)) {
      o->read_locks |= bit;
      n->shm_readers[i]++;
    } else if (flags & shm_unlock && o->read_locks & bit) {
      o->read_locks &= ~bit;
      n->shm_readers[i]--;
    }
  }
  pthread_mutex_unlock(&guard);
  return code;
}

static void m_shm_barrier(file *f) {
  pthread_mutex_lock(&guard);
  pthread_mutex_unlock(&guard);
}

static int m_shm_unmap(file *f, int del) {
  opened *o = (opened *)f;
  pthread_mutex_lock(&guard);
  if (o->mapped && --o->n->shm_open == 0) {
    for (int i = 0; i < regions; i++) {
      free(o->n->shm[i]);
      o->n->shm[i] = 0;
    }
  }
  o->mapped = 0;
  pthread_mutex_unlock(&guard);
  return 0;
}

static const methods in_memory = {2, m_close, m_read, m_write, m_truncate, m_sync, m_size, m_lock, m_unlock,
  m_reserved, m_control, m_sector, m_character, m_shm_map, m_shm_lock, m_shm_barrier, m_shm_unmap};

static int v_open(vfs *v, const char *path, file *f, int flags, int *out) {
  if (!path) return below->open(below, path, f, flags, out);
  opened *o = (opened *)f;
  int code = 0;
  memset(o, 0, sizeof *o);
  pthread_mutex_lock(&guard);
  node *n = find(path);
  if (n ? (flags & must_create) : !(flags & may_create)) {
    code = cannot_open;
  } else {
    if (!n) {
      n = calloc(1, sizeof *n);
      n->path = strdup(path);
      n->next = nodes;
      nodes = n;
    }
    n->open++;
    o->n = n;
    o->goes = flags & goes_at_close;
    o->base.m = &in_memory;
  }
  pthread_mutex_unlock(&guard);
  if (out) *out = flags;
  return code;
}

static int v_delete(vfs *v, const char *path, int sync) {
  int code = no_entry;
  pthread_mutex_lock(&guard);
  node *n = find(path);
  if (n) {
    if (n->open) abort(); // SQLite does not
    drop(n);
    code = 0;
  }
  pthread_mutex_unlock(&guard);
  return code;
}

static int v_access(vfs *v, const char *path, int flags, int *out) {
  pthread_mutex_lock(&guard);
  *out = find(path) != 0;
  pthread_mutex_unlock(&guard);
  return 0;
}

int memory_files(void) {
  if (!sqlite3_vfs_find || !(below = sqlite3_vfs_find(0))) return 1;
  above = *below;
  above.next = 0;
  above.name = "lab-memory";
  if (above.file_size < (int)sizeof(opened)) above.file_size = sizeof(opened);
  above.open = v_open;
  above.delete = v_delete;
  above.access = v_access;
  return sqlite3_vfs_register(&above, 1);
}

const void *memory_read(const char *path, long long *size) {
  pthread_mutex_lock(&guard);
  node *n = find(path);
  *size = n ? n->size : -1;
  const void *bytes = n ? n->bytes : 0;
  pthread_mutex_unlock(&guard);
  return bytes;
}

void memory_forget(const char *prefix) {
  pthread_mutex_lock(&guard);
  for (node *n = nodes, *next; n; n = next) {
    next = n->next;
    if (!strncmp(n->path, prefix, strlen(prefix))) {
      if (n->open) abort();
      drop(n);
    }
  }
  pthread_mutex_unlock(&guard);
}
