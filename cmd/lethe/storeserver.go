package main

import (
	"context"
	"fmt"
	"strings"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
	"lethe/store/mem0/web"
)

// KindMem0Server is the kind of a store that is Mem0's self-hosted server,
// reached through its REST API.
const KindMem0Server = web.KindServer

// api is how the API of a store is reached. Its key is read each time, so that
// a new one needs no restart.
func (c *StoreConfig) api() (web.Config, error) {
	text, err := readSmallFile(c.TokenFile, 4096)
	if err != nil {
		return web.Config{}, fmt.Errorf("read token_file: %w", err)
	}
	return web.Config{URL: c.URL, Token: strings.TrimSpace(string(text)), Rate: c.CallRate, Burst: c.Burst}, nil
}

func openServerStore(ctx context.Context, c StoreConfig) (store.Store, error) {
	reached, err := c.api()
	if err != nil {
		return nil, err
	}
	s, err := web.OpenServer(ctx, reached)
	if err != nil {
		return nil, err // and no *web.Server that is nil
	}
	return s, nil
}

// residue names what a store is known to keep of what it has erased. Evidence
// of such a store ends at erased.
func (c *StoreConfig) residue() (list []jobs.Exclusion) {
	if c.Kind == KindMem0Server {
		for _, what := range web.ServerResidue() {
			list = append(list, jobs.Exclusion{Code: proof.ExcludesResidue + what})
		}
	}
	return list
}
