package main

import (
	"context"

	"lethe/jobs"
	"lethe/store"
	"lethe/store/mem0/web"
)

// KindMem0Platform is the kind of a store that is Mem0's hosted Platform, reached
// through its API.
const KindMem0Platform = web.KindPlatform

func openPlatformStore(ctx context.Context, c StoreConfig) (store.Store, error) {
	reached, err := c.api()
	if err != nil {
		return nil, err
	}
	p, err := web.OpenPlatform(ctx, reached)
	if err != nil {
		return nil, err // and no *web.Platform that is nil
	}
	return p, nil
}

// unseen names what cannot be seen below the API of a store whose evidence can be
// verified.
func (c *StoreConfig) unseen() (list []jobs.Exclusion) {
	if c.Kind == KindMem0Platform {
		for _, x := range web.Excluded() {
			list = append(list, jobs.Exclusion{Code: x.Code})
		}
	}
	return list
}
