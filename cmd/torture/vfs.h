// SQLite's interface for a VFS (sqlite.org/c3ref/vfs.html), which never changes; its
// header is inside the driver's module.
typedef struct file file;
typedef struct methods {
  int version;
  int (*close)(file *);
  int (*read)(file *, void *, int, long long);
  int (*write)(file *, const void *, int, long long);
  int (*truncate)(file *, long long);
  int (*sync)(file *, int);
  int (*size)(file *, long long *);
  int (*lock)(file *, int);
  int (*unlock)(file *, int);
  int (*reserved)(file *, int *);
  int (*control)(file *, int, void *);
  int (*sector)(file *);
  int (*character)(file *);
  int (*shm_map)(file *, int, int, int, void volatile **);
  int (*shm_lock)(file *, int, int, int);
  void (*shm_barrier)(file *);
  int (*shm_unmap)(file *, int);
} methods;
struct file {
  const methods *m;
};
typedef struct vfs {
  int version, file_size, path_size;
  struct vfs *next;
  const char *name;
  void *data;
  int (*open)(struct vfs *, const char *, file *, int, int *);
  int (*delete)(struct vfs *, const char *, int);
  int (*access)(struct vfs *, const char *, int, int *);
  void *rest[14]; // what is not changed
} vfs;
