package audittest

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// install is what to do when there is no PostgreSQL.
const install = "postgres and initdb are missing: apt-get install postgresql"

// find returns the folder of the binaries initdb and postgres, or "". Packages
// of Debian put them off the PATH, a folder a version; the newest is taken.
func find() string {
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/lib/postgresql*/bin",
		"/usr/local/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin",
	} {
		found, _ := filepath.Glob(pattern) // the patterns are well formed
		slices.Reverse(found)
		dirs = append(dirs, found...)
	}
	for _, dir := range dirs {
		_, errA := exec.LookPath(filepath.Join(dir, "postgres"))
		_, errB := exec.LookPath(filepath.Join(dir, "initdb"))
		if errA == nil && errB == nil {
			return dir
		}
	}
	return ""
}
