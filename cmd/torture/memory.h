// Files in memory for SQLite inside the lab; see memory.c and steady.go.

// From now on SQLite's files are in memory. Returns 0.
int memory_files(void);

// What is in the file of a name; its size is -1 if there is none. No connection may
// be writing it.
const void *memory_read(const char *path, long long *size);

// Forgets the files whose names begin so. None may be open.
void memory_forget(const char *prefix);
