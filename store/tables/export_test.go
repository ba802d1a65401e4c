package tables

import "context"

// WriterPragma reads a setting of the i-th file as the writer has it.
func (s *Store) WriterPragma(ctx context.Context, i int, name string) (int64, error) {
	return number(ctx, s.writer.conn, "PRAGMA "+schemaName(i, s.files[i])+"."+name)
}
