package tables

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// MapVersion implements store.Mapper. Where the files are is not part of it.
func (s *Store) MapVersion() string { return version(s.m) }

// MapVersion implements store.Mapper.
func (s *Postgres) MapVersion() string {
	if s.beside == nil {
		return version(s.m)
	}
	return version(s.m, s.beside.m)
}

func version(maps ...Map) string {
	h := sha256.New()
	for _, m := range maps {
		files := make([]string, len(m.Files))
		for i, f := range m.Files {
			files[i] = f.Name
		}
		text, err := json.Marshal([]any{files, m.Places, m.Waived, m.Elsewhere})
		if err != nil { // made of strings
			panic("tables: version of a map: " + err.Error())
		}
		h.Write(append(text, '\n'))
	}
	return hex.EncodeToString(h.Sum(nil))
}
