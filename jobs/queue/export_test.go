package queue

import "github.com/redis/go-redis/v9"

// Client lets tests look into Redis, also an embedded one.
func (q *Queue) Client() redis.UniversalClient { return q.client }

// Unrepaired leaves out the hook, to show what it is for.
func (q *Queue) Unrepaired() { q.unrepaired = true }

// Where returns the address of Redis.
func (q *Queue) Where() string { return q.source.where() }
