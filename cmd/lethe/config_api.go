package main

import (
	"math"

	"lethe/store/mem0/web"
)

// checkAPI checks how a store behind an HTTP API is reached, and refuses the keys
// of one that is a database.
func (s *StoreConfig) checkAPI(add func(field, problem string)) {
	s.forTablesAlone(add)
	for field, given := range map[string]bool{
		"vectors": s.Vectors != "", "entities": s.Entities != "", "history": s.History != "", "table": s.Table != "",
		"dsn_file": s.DSNFile != "", "app_dsn_file": s.AppDSNFile != "", "wal_until": s.WALUntil > 0,
	} {
		if given {
			add(field, "is not for "+s.Kind+", which is reached by url")
		}
	}
	if s.Purge != (PurgeRule{}) && !s.Purge.Off() {
		add("purge", "must be off: nobody reaches the files behind an API")
	}
	add("url", web.URLProblem(s.URL))
	if s.TokenFile == "" || s.TokenFile == fileNone {
		add("token_file", "must be the path of a file that holds the API's key")
	}
	if r := s.CallRate; r != 0 && (math.IsNaN(r) || r < 1 || r > 10_000) {
		add("rate", "must be from 1 to 10000 calls a second")
	}
	if s.Burst < 0 || s.Burst > 10_000 {
		add("burst", "must be from 1 to 10000 calls")
	}
}

// forAPIsAlone refuses the keys of a store behind an API in any other.
func (s *StoreConfig) forAPIsAlone(add func(field, problem string)) {
	for field, given := range map[string]bool{"url": s.URL != "", "token_file": s.TokenFile != "", "rate": s.CallRate != 0, "burst": s.Burst != 0} {
		if given {
			add(field, "is for stores behind an API alone, such as "+KindMem0Server)
		}
	}
}
