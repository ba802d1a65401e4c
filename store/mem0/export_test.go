package mem0

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
