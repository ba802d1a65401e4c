// How SQLite does inside the lab what takes it the longest; see steady.go. Both
// are for connections that are opened from now on, and return 0.
int steady_plans(void); // one plan for each statement, whatever is bound to it
int steady_files(void); // no other process opens its files
