package queuetest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// settleLimit is how long servers may take to find each other.
const settleLimit = time.Minute

// MasterName is what the sentinels of a [Watched] call it.
const MasterName = "mymaster"

// A Watched is a Redis server, a replica of it, and three sentinels, which put the
// replica in its place half a second after it was last heard of.
type Watched struct {
	Master, Replica *Server
	Sentinels       []*Server
}

// Sentinels starts a server and its replica with further arguments, and three
// sentinels with further lines of configuration.
func Sentinels(t testing.TB, args []string, lines ...string) *Watched {
	t.Helper()
	w := &Watched{Master: Redis(t, append([]string{"--repl-diskless-sync-delay", "0"}, args...)...)}
	host, port, _ := net.SplitHostPort(w.Master.addr)
	w.Replica = Redis(t, append([]string{"--replicaof", host, port}, args...)...)
	for range 3 {
		w.Sentinels = append(w.Sentinels, Sentinel(t, w.Master.addr, 2, lines...))
	}
	return w
}

// Sentinel starts a sentinel that watches the server at an address, with further
// lines of configuration. quorum is how many must agree that it is gone.
func Sentinel(t testing.TB, master string, quorum int, lines ...string) *Server {
	t.Helper()
	host, port, _ := net.SplitHostPort(master)
	conf := append([]string{
		fmt.Sprintf("sentinel monitor %s %s %s %d", MasterName, host, port, quorum),
		"sentinel down-after-milliseconds " + MasterName + " 500",
		"sentinel failover-timeout " + MasterName + " 3000",
	}, lines...)
	return launch(t, watches, func(port string) []string {
		dir := t.TempDir()
		path := filepath.Join(dir, "sentinel.conf")
		text := strings.Join(append([]string{"bind 127.0.0.1", "port " + port, "dir " + dir}, conf...), "\n")
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{path, "--sentinel"}
	})
}

// Settled waits until the replica follows, and every sentinel knows of it and of
// the others. server and sentinel are what to say to them first, such as AUTH and
// a password; PING if there is nothing.
func (w *Watched) Settled(server, sentinel string) {
	w.Master.t.Helper()
	until(w.Master.t, "the replica follows", func() bool {
		return strings.Contains(w.Replica.Bulk(server, "INFO replication"), "master_link_status:up")
	})
	for _, s := range w.Sentinels {
		until(w.Master.t, "the sentinels know all", func() bool {
			return strings.Contains(s.Bulk(sentinel, "INFO sentinel"), "status=ok,address="+w.Master.addr+",slaves=1,sentinels=3")
		})
	}
}

// URL returns the address as a queue URL.
func (w *Watched) URL() string {
	var hosts []string
	for _, s := range w.Sentinels {
		hosts = append(hosts, s.addr)
	}
	return "redis-sentinel://" + strings.Join(hosts, ",") + "/" + MasterName
}

// A Cluster is Redis servers that share the keys.
type Cluster struct{ Nodes []*Server }

// NewCluster starts a Redis Cluster of so many masters without replicas, with
// further arguments, and returns once each of them has its slots.
func NewCluster(t testing.TB, nodes int, args ...string) *Cluster {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatal(install)
	}
	c := &Cluster{}
	var buses []string
	const slots, part = 16384, 1024
	for i := range nodes {
		var bus string
		c.Nodes = append(c.Nodes, launch(t, serves, func(port string) []string {
			_, bus, _ = net.SplitHostPort(freeAddr(t))
			return append([]string{
				"--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir(), "--save", "", "--cluster-enabled", "yes",
				"--cluster-port", bus, "--cluster-node-timeout", "2000", "--cluster-config-file", "nodes.conf",
			}, args...)
		}))
		buses = append(buses, bus)
		for first := i * part; first < slots; first += nodes * part { // so the two queues are not on one server
			mine := []string{"CLUSTER", "ADDSLOTS"}
			for slot := first; slot < first+part; slot++ {
				mine = append(mine, strconv.Itoa(slot))
			}
			c.Nodes[i].Do(mine...)
		}
		c.Nodes[i].Do("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
	}
	for i, node := range c.Nodes[1:] {
		host, port, _ := net.SplitHostPort(node.addr)
		c.Nodes[0].Do("CLUSTER", "MEET", host, port, buses[i+1])
	}
	for _, node := range c.Nodes {
		until(t, "the cluster is whole", func() bool {
			info := node.Bulk("CLUSTER INFO")
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r", nodes)) && strings.Contains(info, fmt.Sprintf("cluster_size:%d\r", nodes))
		})
	}
	return c
}

// URL returns the address as a queue URL, of one server of it.
func (c *Cluster) URL() string { return "redis-cluster://" + c.Nodes[0].addr }

// until waits for what must become true.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(settleLimit); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("redis-server: it never was so that %s", what)
		}
	}
}

// Bulk sends commands over one connection and returns the text with which the
// last is answered, "" if it is none or nobody answers.
func (s *Server) Bulk(commands ...string) string {
	conn, err := net.DialTimeout("tcp", s.addr, time.Second)
	if err != nil {
		return ""
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	r := bufio.NewReader(conn)
	text := ""
	for _, c := range commands {
		if _, err := io.WriteString(conn, c+"\r\n"); err != nil {
			return ""
		}
		line, err := r.ReadString('\n')
		if err != nil {
			return ""
		}
		text = ""
		if n, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "$"))); err == nil && line[0] == '$' && n >= 0 {
			b := make([]byte, n+2)
			if _, err := io.ReadFull(r, b); err != nil {
				return ""
			}
			text = string(b[:n])
		}
	}
	return text
}
