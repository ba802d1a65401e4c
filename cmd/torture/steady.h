// How SQLite does inside the lab what takes it the longest; see steady.go. It is for
// connections that are opened from now on, and returns 0.
int steady_plans(void); // one plan for each statement, whatever is bound to it
