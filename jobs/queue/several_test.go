package queue_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lethe/jobs"
	"lethe/jobs/queue"
	"lethe/jobs/queue/queuetest"
)

func TestRefusesBadURLsOfSeveral(t *testing.T) {
	for url, want := range map[string]string{
		"redis-sentinel://h1:26379,h2:26379":              "/MASTER",
		"redis-sentinel://h1/":                            "/MASTER",
		"redis-sentinel://h1/a/b":                         "/MASTER",
		"redis-sentinel:///mymaster":                      "/MASTER",
		"redis-sentinel://h1,,h2/mymaster":                "/MASTER",
		"redis-sentinel://h1:0/mymaster":                  "/MASTER",
		"redis-sentinel://h1:hunter22/mymaster":           "/MASTER",
		"redis-sentinel://h1:70000/mymaster":              "/MASTER",
		"redis-sentinel://h1/mymaster?db=hunter22":        "/MASTER",
		"redis-sentinel://h1/mymaster?db=-1":              "/MASTER",
		"redis-sentinel://h1/mymaster?db=1&db=2":          "/MASTER",
		"redis-sentinel://h1/mymaster?master=other":       "/MASTER",
		"redis-sentinel://h1/mymaster?password=hunter22":  "/MASTER",
		"redis-sentinel://h1/mymaster#hunter22":           "/MASTER",
		"redis-sentinel://u:hunter22/x@h1:26379/mymaster": "/MASTER",
		"redis-sentinel://u:hunter22%zz@h1/mymaster":      "/MASTER",
		"redis-cluster://":                                "no database",
		"redis-cluster://h1:6379,h2:6379/0":               "no database",
		"redis-cluster://h1:6379?db=0":                    "no database",
		"redis-cluster://h1:port,h2":                      "no database",
		"redis-cluster://u:hunter22?x@h1":                 "no database",
		"redis-ring://h1,h2":                              "redis-sentinel://…",
		"redis://h1:6379,h2:6379":                         "redis://[user",
		"redis-sentinel-x://h1/mymaster":                  "redis-sentinel://…",
		"sentinel://h1/mymaster":                          "redis-sentinel://…",
	} {
		_, err := queue.Open(t.Context(), queue.Options{URL: url})
		if !errors.Is(err, queue.ErrURL) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter22") {
			t.Errorf("Open(%q) returned %v, want ErrURL and %s", url, err, want)
		}
	}
	for _, o := range []queue.Options{
		{URL: "redis://h", SentinelPassword: "hunter22"},
		{URL: "redis-cluster://h", SentinelUser: "u"},
		{URL: "redis-cluster://h", TLS: &tls.Config{}},
		{URL: "redis-sentinel://h/m", TLS: &tls.Config{}},
	} {
		if _, err := queue.Open(t.Context(), o); !errors.Is(err, queue.ErrURL) {
			t.Errorf("%s: %v, want ErrURL", o.URL, err)
		}
	}
}

func TestWhatURLsOfSeveralSay(t *testing.T) {
	for url, want := range map[string]queue.Facts{
		"redis-sentinel://127.0.0.1,[::1]:1,localhost:2/m": {Loopback: true},
		"redis-sentinel://127.0.0.1,h2/m?db=3":             {},
		"redis-sentinel://127.0.0.1?master=m":              {Loopback: true}, // as Asynq writes it
		"rediss-sentinel://lethe:p%2Fw@h1:1,h2:2/m":        {TLS: true, Password: true, User: "lethe"},
		"redis-cluster://lethe@127.0.0.1:1,127.0.0.1:2":    {Loopback: true, User: "lethe"},
		"rediss-cluster://:p%40w@h1:1,h2:2/":               {TLS: true, Password: true},
	} {
		if f, err := queue.Named(url); err != nil || f != want {
			t.Errorf("%s: %+v, %v, want %+v", url, f, err, want)
		}
	}
	for url, want := range map[string]string{
		"redis://lethe@h:1/2":               "redis://lethe:p%2Fs%40s@h:1/2",
		"rediss://h":                        "rediss://:p%2Fs%40s@h",
		"redis-sentinel://le%40the@a,b/m":   "redis-sentinel://le%40the:p%2Fs%40s@a,b/m",
		"redis-cluster://a:1,b:2":           "redis-cluster://:p%2Fs%40s@a:1,b:2",
		"redis-cluster://lethe:given@a,b":   "",
		"redis-sentinel://:given@a,b/m?db=": "",
	} {
		if got, ok := queue.WithPassword(url, "p/s@s"); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v, want %q", url, got, ok, want)
		}
	}
}

// The server dies, with what it was told last; the sentinels name its replica,
// and the work goes on there, without a restart.
func TestAFailOverIsOutlived(t *testing.T) {
	t.Parallel()
	w := queuetest.Sentinels(t, []string{"--requirepass", "hunter22", "--masterauth", "hunter22"},
		"sentinel auth-pass "+queuetest.MasterName+" hunter22", "requirepass hunter33", "sentinel sentinel-pass hunter33",
		"user watch on >hunter55 resetchannels &* -@all +auth +hello +ping +subscribe +sentinel|get-master-addr-by-name +sentinel|sentinels +sentinel|replicas") // as the README has it
	w.Settled("AUTH hunter22", "AUTH hunter33")
	url := strings.Replace(w.URL(), "://", "://:hunter22@", 1)
	for name, o := range map[string]queue.Options{
		"no password for the sentinels":    {URL: url},
		"a wrong one for them":             {URL: url, SentinelPassword: "hunter44"},
		"no password for Redis":            {URL: w.URL(), SentinelPassword: "hunter33"},
		"a name that the sentinels lack":   {URL: strings.Replace(url, queuetest.MasterName, "other", 1), SentinelPassword: "hunter33"},
		"sentinels that are not there":     {URL: "redis-sentinel://127.0.0.1:1,127.0.0.1:2/m"},
		"a user that the sentinels lack":   {URL: url, SentinelUser: "u", SentinelPassword: "hunter33"},
		"a server instead of the sentinel": {URL: "redis-sentinel://:hunter22@" + w.Master.Addr() + "/m", SentinelPassword: "hunter22"},
	} {
		if q, err := queue.Open(t.Context(), o); err == nil {
			q.Close()
			t.Errorf("%s: opened", name)
		} else if strings.Contains(err.Error(), "hunter") || !strings.Contains(err.Error(), "does not answer") {
			t.Errorf("%s: %v", name, err)
		}
	}
	q := open(t, queue.Options{URL: url + "?db=2", SentinelUser: "watch", SentinelPassword: "hunter55"})
	done := make(chan jobs.Ring, 8)
	start(t, q, func(_ context.Context, r jobs.Ring) error {
		done <- r
		return nil
	})
	handled := func(want jobs.Ring) {
		t.Helper()
		select {
		case got := <-done:
			if got != want {
				t.Errorf("handled %v, want %v", got, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%v is not handled", want)
		}
	}
	fresh(t, q)
	ring(t, q, jobs.Ring{ID: "a", Epoch: 1})
	handled(jobs.Ring{ID: "a", Epoch: 1})
	w.Master.Kill()
	before := jobs.Ring{ID: "a", Epoch: 2}
	eventually(t, time.Minute, "rung again", func() bool { return q.Ring(t.Context(), before, false) == nil })
	handled(before)
	if f, err := q.Facts(t.Context()); err != nil || f.AppendLog != "0" || !f.Password || !f.Loopback {
		t.Errorf("facts: %+v, %v", f, err)
	}
}

// A Cluster holds each queue on one of its servers, and each forgets for itself.
func TestEachServerOfAClusterForgetsForItself(t *testing.T) {
	t.Parallel()
	c := queuetest.NewCluster(t, 3)
	q, other := open(t, queue.Options{URL: c.URL()}), open(t, queue.Options{URL: c.URL()})
	if !fresh(t, q) || fresh(t, q) || fresh(t, other) || fresh(t, q) {
		t.Error("want fresh once")
	}
	holders := 0
	for i, node := range c.Nodes {
		holds := node.Do("KEYS", "lethe:queue:*") != "*0"
		if holds {
			holders++
		}
		node.Flush()
		if one, two := fresh(t, q), fresh(t, other); one != holds || two != holds {
			t.Errorf("server %d holds a queue: %v; one is told that it forgot: %v, the other: %v", i, holds, one, two)
		}
	}
	if holders != 2 {
		t.Errorf("%d of three servers hold a queue: this shows nothing", holders)
	}
}

// The user of deploy/redis.acl is enough in a Cluster, too.
func TestTheUserOfTheACLIsEnoughInACluster(t *testing.T) {
	t.Parallel()
	c := queuetest.NewCluster(t, 3)
	for _, node := range c.Nodes {
		asLethe(t, node)
	}
	var log diary
	q := open(t, queue.Options{URL: strings.Replace(c.URL(), "://", "://lethe:hunter22@", 1), Logger: log.logger()})
	done := make(chan jobs.Ring, 8)
	stop := start(t, q, func(_ context.Context, r jobs.Ring) error {
		done <- r
		return nil
	})
	for _, low := range []bool{false, true} {
		if err := q.Ring(t.Context(), jobs.Ring{ID: "a", Epoch: 1}, low); err != nil {
			t.Fatal(err)
		}
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Fatalf("not handled:\n%s", log.String())
		}
	}
	waiting(t, q, jobs.Ring{ID: "c", Epoch: 1})
	depth(t, q)
	fresh(t, q)
	if err := q.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if f, err := q.Facts(t.Context()); err != nil || f.Eviction != "noeviction" || f.User != "lethe" {
		t.Errorf("facts: %+v, %v", f, err)
	}
	time.Sleep(9 * time.Second) // Asynq's own goroutines are at it too: the slowest comes every 8 s
	if err := stop(); err != nil {
		t.Error(err)
	}
	measured(t, q)
	for i, node := range c.Nodes {
		if denied := node.Do("ACL", "LOG"); denied != "*0" {
			t.Errorf("server %d has denied something: %s\n%s", i, denied, log.String())
		}
	}
}

// A server that holds a queue is gone, and others answer.
func TestPingTellsOfTheServersThatHoldTheQueues(t *testing.T) {
	t.Parallel()
	c := queuetest.NewCluster(t, 3, "--cluster-require-full-coverage", "no")
	q := open(t, queue.Options{URL: c.URL()})
	fresh(t, q)
	if err := q.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, node := range c.Nodes {
		if node.Do("KEYS", "lethe:queue:*") != "*0" {
			node.Kill()
			break
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := q.Ping(ctx); err == nil {
		t.Error("Ping says nothing of a server that is gone")
	}
}

func TestRefusesAnEvictingServerOfACluster(t *testing.T) {
	t.Parallel()
	c := queuetest.NewCluster(t, 3)
	c.Nodes[2].Do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	if q, err := queue.Open(t.Context(), queue.Options{URL: c.URL()}); !errors.Is(err, queue.ErrUnfit) {
		q.Close()
		t.Errorf("Open returned %v, want ErrUnfit", err)
	}
}

// With TLS everywhere: to a Cluster, to a sentinel, and to the server it names.
func TestSeveralOverTLS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.sign(t, "redis.test", false)
	file := func(name string) string { return filepath.Join(a.dir, name) }
	secure := []string{"tls-cert-file", file("redis.test.pem"), "tls-key-file", file("redis.test.key"), "tls-ca-cert-file", file("ca.pem"), "tls-auth-clients", "no"}
	args, lines := []string{}, []string{}
	for i := 0; i < len(secure); i += 2 {
		args, lines = append(args, "--"+secure[i], secure[i+1]), append(lines, secure[i]+" "+secure[i+1])
	}
	free := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		return port
	}
	nodes, server, sentinel := free(), free(), free()
	queuetest.NewCluster(t, 1, append(args, "--tls-port", nodes, "--tls-cluster", "yes")...)
	queuetest.Redis(t, append(args, "--tls-port", server)...)
	queuetest.Sentinel(t, "127.0.0.1:"+server, 1, append(lines, "tls-port "+sentinel, "tls-replication yes")...)
	good := &tls.Config{RootCAs: a.pool, ServerName: "redis.test"}
	for _, url := range []string{"rediss-cluster://127.0.0.1:" + nodes, "rediss-sentinel://127.0.0.1:" + sentinel + "/" + queuetest.MasterName} {
		q := open(t, queue.Options{URL: url, TLS: good})
		ring(t, q, jobs.Ring{ID: "a", Epoch: 1})
		if f, err := q.Facts(t.Context()); err != nil || !f.TLS {
			t.Errorf("facts: %+v, %v", f, err)
		}
		for name, o := range map[string]queue.Options{
			"unknown authority": {URL: url, TLS: &tls.Config{ServerName: "redis.test"}},
			"the host's name":   {URL: url, TLS: &tls.Config{RootCAs: a.pool}},
			"in the clear":      {URL: strings.Replace(url, "rediss", "redis", 1)},
		} {
			if q, err := queue.Open(t.Context(), o); err == nil {
				q.Close()
				t.Errorf("%s: opened", name)
			}
		}
	}
}
