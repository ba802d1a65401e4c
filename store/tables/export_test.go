package tables

import "context"

// WriterPragma reads a setting of the i-th file as the writer has it.
func (s *Store) WriterPragma(ctx context.Context, i int, name string) (int64, error) {
	return number(ctx, s.writer.conn, "PRAGMA "+schemaName(i, s.files[i])+"."+name)
}

// ParseKey parses a key of columns whose types are the letters of types: t for
// text, i for integer, u for uuid.
func ParseKey(types, key string) ([]string, bool) {
	var k keying
	for _, t := range types {
		k = append(k, map[rune]keyType{'t': textKey, 'i': integerKey, 'u': uuidKey}[t])
	}
	return k.parse(key)
}

// FormatKey writes the key of a row of text columns.
func FormatKey(values []string) string { return make(keying, len(values)).format(values) }
