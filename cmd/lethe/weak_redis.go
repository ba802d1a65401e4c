package main

import (
	"context"

	"lethe/jobs/queue"
)

// redisFacts returns what is known of a Redis somewhere else; ok is false if
// there is none.
func redisFacts(ctx context.Context, s *surroundings) (f queue.Facts, ok bool) {
	if s.redis == nil {
		return f, false
	}
	f, err := s.redis(ctx)
	return f, err == nil && !f.Embedded
}

// lookRedisPassword: Redis holds no identity, but whoever reaches it can empty
// it again and again.
func lookRedisPassword(ctx context.Context, s *surroundings) []weakness {
	f, ok := redisFacts(ctx, s)
	switch {
	case !ok:
		return nil
	case !f.Password && !f.Loopback:
		return []weakness{{
			"Redis is asked without a password: whoever reaches it can make every task late",
			"make a user as deploy/redis.acl has it, name it in the queue's URL and give queue_password_file",
		}}
	case f.Password && (f.User == "" || f.User == "default"):
		return []weakness{{
			"Redis is asked as its default user, which may do everything there",
			"make a user as deploy/redis.acl has it, and name it in the queue's URL: rediss://lethe@HOST",
		}}
	}
	return nil
}

// lookRedisTLS: the password would go over the network as it is.
func lookRedisTLS(ctx context.Context, s *surroundings) []weakness {
	f, ok := redisFacts(ctx, s)
	if !ok || f.TLS || f.Loopback {
		return nil
	}
	return []weakness{{
		"Redis is reached over the network without TLS",
		"use rediss:// and, if its authority is your own, queue_tls: {ca: FILE}",
	}}
}

// lookRedisDurability: nothing is lost with Redis, but all is rung again. A
// Redis that evicts is refused by the queue itself.
func lookRedisDurability(ctx context.Context, s *surroundings) []weakness {
	f, ok := redisFacts(ctx, s)
	switch {
	case !ok:
		return nil
	case f.Refused:
		return []weakness{{
			"Redis does not say whether it keeps what it is told, nor whether it evicts (INFO is denied)",
			"let Lethe's user run INFO (+info), or see to it: appendonly yes, maxmemory-policy noeviction, version 6.2 or newer",
		}}
	case f.AppendLog == "0":
		return []weakness{{
			"Redis keeps no append-only file: after its restart all that waits is rung again, which takes seconds, and loses nothing",
			"set appendonly yes and appendfsync everysec in redis.conf",
		}}
	case f.Eviction != "" && f.Eviction != "noeviction":
		return []weakness{{
			"Redis evicts tasks when memory is short",
			"set maxmemory-policy noeviction in redis.conf",
		}}
	}
	return nil
}
