package mem0

import "lethe/store/tables"

// CommitOrder returns the names of c's files in the order in which a store
// without a common journal commits them.
func (c SQLiteConfig) CommitOrder() []string {
	m, err := c.dataMap()
	if err != nil {
		return nil
	}
	var names []string
	for _, f := range m.Files {
		names = append(names, f.Name)
	}
	return names
}

// WithTextKeys is c for tables whose IDs are text, which Mem0 has not.
func (c PostgresConfig) WithTextKeys() tables.PostgresConfig {
	out := c.tables()
	for i := range out.Map.Places {
		out.Map.Places[i].Layout = nil
	}
	return out
}
