package tables

import "strings"

// affinity is what SQLite does to values that are put into a column of a
// declared type: https://www.sqlite.org/datatype3.html, section 3.1. A column
// without a type leaves them as they are, and so does one for BLOBs.
func affinity(declared string) string {
	d := strings.ToUpper(declared)
	for _, rule := range [][2]string{
		{"INT", "INTEGER"},
		{"CHAR", "TEXT"},
		{"CLOB", "TEXT"},
		{"TEXT", "TEXT"},
		{"BLOB", "BLOB"},
		{"REAL", "REAL"},
		{"FLOA", "REAL"},
		{"DOUB", "REAL"},
	} {
		if strings.Contains(d, rule[0]) {
			return rule[1]
		}
	}
	if d == "" {
		return ""
	}
	return "NUMERIC"
}

// keyTypeOf returns the type of the keys in a column, and false for a column
// that can have none: a number of another kind would take '07' for 7.
func keyTypeOf(c liveColumn) (keyType, bool) {
	switch affinity(c.Type) {
	case "TEXT", "":
		return textKey, true
	case "INTEGER":
		return integerKey, true
	default:
		return textKey, false
	}
}
