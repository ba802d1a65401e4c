package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFaultsInWebhooksRateAndRedisSayWhereAndWhat(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"no secret", "webhooks: {}\n", "webhooks.secret_file: must be the path"},
		{"secret not there", "webhooks: {secret_file: none.txt}\n", "webhooks.secret_file: open"},
		{"not a secret", "webhooks: {secret_file: bad}\n", "webhooks.secret_file: each line must be whsec_"},
		{"private without hosts", "webhooks: {secret_file: good, allow_private: true}\n", "webhooks.allow_private: needs allow_hosts"},
		{"private host", "webhooks: {secret_file: good, allow_hosts: [10.0.0.1]}\n", "webhooks.allow_hosts[0]: must be a host name"},
		{"host with a port", "webhooks: {secret_file: good, allow_hosts: [\"x.example:443\"]}\n", "webhooks.allow_hosts[0]: must be a host name"},
		{"host in capitals", "webhooks: {secret_file: good, allow_hosts: [X.example]}\n", "webhooks.allow_hosts[0]: must be a host name"},
		{"port", "webhooks: {secret_file: good, ports: [0]}\n", "webhooks.ports[0]: must be from 1"},
		{"endpoint in the clear", "webhooks: {secret_file: good, endpoints: [{name: crm, url: \"http://hunter.example/\"}]}\n", "webhooks.endpoints[0].url: must begin with https://"},
		{"endpoint without a URL", "webhooks: {secret_file: good, endpoints: [{name: crm}]}\n", "webhooks.endpoints[0].url: give either"},
		{"endpoint twice", "webhooks: {secret_file: good, endpoints: [{name: crm, url: \"https://a.example\"}, {name: crm, url: \"https://a.example\"}]}\n", "webhooks.endpoints[1].name: is taken"},
		{"rate", "rate: {per_second: -1}\n", "rate.per_second: must be from"},
		{"burst", "rate: {burst: -1}\n", "rate.burst: must be from"},
		{"TLS in the clear", "queue: redis://h\nqueue_tls: {server_name: x}\n", "queue_tls: needs a queue of the form rediss://"},
		{"TLS in the clear to sentinels", "queue: redis-sentinel://h/m\nqueue_tls: {server_name: x}\n", "queue_tls: needs a queue of the form rediss://"},
		{"sentinels of none", "queue: redis://h\nqueue_sentinel: {user: x}\n", "queue_sentinel: needs a queue of the form redis-sentinel://"},
		{"sentinels of a cluster", "queue: redis-cluster://h\nqueue_sentinel: {user: x}\n", "queue_sentinel: needs a queue of the form redis-sentinel://"},
		{"no sentinel's password", "queue: redis-sentinel://h/m\nqueue_sentinel: {password_file: none.txt}\n", "read queue_sentinel.password_file: open"},
		{"no name of a master", "queue: redis-sentinel://:hunter2@h1:1,h2:2\n", "queue: must read redis-sentinel://[user[:password]@]host[:port],host[:port]…/MASTER"},
		{"a cluster's database", "queue: redis-cluster://:hunter2@h1:1,h2:2/3\n", "queue: must read redis-cluster://[user[:password]@]host[:port],host[:port]…"},
		{"another way to write it", "queue: sentinel://:hunter2@h1:1/m\n", "queue: must be embedded, or the URL of a Redis server such as redis://127.0.0.1:6379/0, of sentinels such as"},
		{"an option that there is not", "queue: redis://:hunter2@h1/0?hunter=1\n", "queue: must read redis://[user:password@]host[:port][/db]"},
		{"two passwords of sentinels' Redis", "queue: redis-sentinel://:hunter2@h1,h2/m\nqueue_password_file: good\n", "queue_password_file: the queue's URL has a password already"},
		{"too long a drain", "drain_delay: 6m\n", "drain_delay: must be from 0s to 5m"},
		{"half a certificate", "queue: rediss://h\nqueue_tls: {cert: good}\n", "queue_tls: give both cert and key"},
		{"no authority", "queue: rediss://h\nqueue_tls: {ca: good}\n", "queue_tls: ca holds no certificate"},
		{"password of none", "queue_password_file: good\n", "queue_password_file: is for a Redis alone"},
		{"two passwords", "queue: redis://:hunter2@h\nqueue_password_file: good\n", "queue_password_file: the queue's URL has a password already"},
	} {
		path := writeConfig(t, tt.text)
		dir := filepath.Dir(path)
		for name, text := range map[string]string{"good": webhookSecret, "bad": "hunter2"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := Load(path, Overrides{})
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter") || strings.Contains(err.Error(), "MfKQ") {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

func TestGoodWebhooksRateAndRedis(t *testing.T) {
	path := writeConfig(t, `queue: rediss://lethe@redis.example:6380/2
queue_password_file: password
queue_tls: {server_name: redis.example}
rate: {per_second: 5}
webhooks:
  secret_file: secret
  allow_hosts: [hooks.example.com, "http://hooks.lan", "fd00::7"]
  allow_private: true
  ports: [443, 80]
  endpoints: [{name: crm, url_file: url}]
`)
	dir := filepath.Dir(path)
	for name, text := range map[string]string{"password": "p/ss:w@rd\n", "secret": webhookSecret, "url": "http://hooks.lan/crm?token=hunter2\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(path, Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Queue.Reveal() != "rediss://lethe:p%2Fss%3Aw%40rd@redis.example:6380/2" {
		t.Errorf("queue = %q", c.Queue.Reveal())
	}
	if c.Rate.PerSecond != 5 || c.Rate.Burst != rateBurst {
		t.Errorf("rate = %+v", c.Rate)
	}
	targets, err := c.Webhooks.targets()
	if err != nil || targets["crm"] != "http://hooks.lan/crm?token=hunter2" {
		t.Errorf("targets = %v, %v", targets, err)
	}
}

func TestGoodSentinelsAndCluster(t *testing.T) {
	for text, want := range map[string]string{
		"queue: rediss-sentinel://lethe@h1:26379,h2/mymaster?db=2\nqueue_password_file: password\nqueue_sentinel: {user: watch, password_file: sentinel}\nqueue_tls: {server_name: redis.example}\n": "rediss-sentinel://lethe:p%2Fss%3Aw%40rd@h1:26379,h2/mymaster?db=2",
		"queue: redis-cluster://h1:6379,h2:6379\nqueue_password_file: password\ndrain_delay: 5s\n":                                                                                                   "redis-cluster://:p%2Fss%3Aw%40rd@h1:6379,h2:6379",
	} {
		path := writeConfig(t, text)
		for name, text := range map[string]string{"password": "p/ss:w@rd\n", "sentinel": "other\n"} {
			if err := os.WriteFile(filepath.Join(filepath.Dir(path), name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c, err := Load(path, Overrides{})
		if err != nil {
			t.Fatal(err)
		}
		o, err := c.queueOptions()
		if err != nil || o.URL != want {
			t.Errorf("queue = %q, %v, want %q", o.URL, err, want)
		}
		if strings.Contains(want, "sentinel") && (o.SentinelUser != "watch" || o.SentinelPassword != "other" || o.TLS.ServerName != "redis.example") {
			t.Errorf("sentinels: user %q, password %q", o.SentinelUser, o.SentinelPassword)
		}
	}
}
