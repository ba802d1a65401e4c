// The disk that the lab puts under SQLite; see disk.c.

enum { disk_write = 1, disk_truncate, disk_sync, disk_delete, disk_failed };

// One change of a file, or what makes changes durable.
typedef struct disk_op {
  int kind, file, size;
  long long at; // where it was written, or the size it was cut to
  void *bytes;
} disk_op;

int disk_install(void);
int disk_attach(const char *dir); // the disk's number, or -1 if there are too many
void disk_detach(int disk);       // none of its files may be open
long long disk_count(int disk);   // how many operations there were
disk_op disk_get(int disk, long long n);
const char *disk_path(int disk, int file);

// From the at-th operation on, times operations fail with code: of one kind, or
// of any if only is 0. It returns how many had failed of what was told before.
long long disk_fail(int disk, long long at, int times, int code, int only);
