package webhook_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"lethe/jobs/webhook"
)

func TestURLsThatMayNotBeTold(t *testing.T) {
	for _, url := range []string{
		"", "x", "//example.com/", "https:example.com", "https:///x", "http://example.com/", "ftp://example.com/", "file:///etc/passwd",
		"gopher://example.com/", "javascript:alert(1)", "https://user@example.com/", "https://user:hunter2@example.com/", "https://example.com/#x",
		"https://example.com:80/", "https://example.com:8443/", "https://example.com:/", "https://example.com:0443/", "https://example.com:99999/",
		"https://example.com:+443/", "https://127.0.0.1/", "https://127.1/", "https://127.0.1/", "https://0x7f.1/", "https://0x7f000001/", "https://2130706433/",
		"https://0177.0.0.1/", "https://017700000001/", "https://127.0.0.1./", "https://0/", "https://0.0.0.0/", "https://[::1]/", "https://[::]/",
		"https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[0:0:0:0:0:ffff:7f00:1]/", "https://[::127.0.0.1]/", "https://[64:ff9b::7f00:1]/",
		"https://[64:ff9b:1::a00:1]/", "https://[2002:7f00:1::]/", "https://[2001:0:7f00:1::]/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/", "https://[fec0::1]/",
		"https://[fc00::1]/", "https://[fd00:ec2::254]/", "https://[ff02::1]/", "https://[2001:db8::1]/", "https://[2606:4700::1%25x]/", "https://[2606:4700:0:0:0:0:0:1]/",
		"https://10.0.0.1/", "https://172.16.0.1/", "https://192.168.1.1/", "https://100.64.0.1/", "https://100.100.100.200/", "https://169.254.169.254/latest/meta-data/",
		"https://168.63.129.16/", "https://192.0.0.192/", "https://224.0.0.1/", "https://255.255.255.255/", "https://198.18.0.1/", "https://203.0.113.7/",
		"https://localhost/", "https://LOCALHOST/", "https://x.localhost/", "https://metadata.google.internal/", "https://printer.local/", "https://intranet/",
		"https://bücher.example/", "https://example。com/", "https://ⓔxample.com/", "https://exa mple.com/", "https://example.com/a b", "https://example.com/\r\nX: y",
		"https://exa\tmple.com/", "https://-example.com/", "https://example..com/", "https://exam_ple.com/", "https://example.com./", "https://ex%61mple.com/",
		"https://1.2.3.4.5/", "https://example.123/", "https://example.0x1/", "https://" + strings.Repeat("a", 64) + ".com/", "https://example.com/" + strings.Repeat("a", 2048),
		"https://example.com\\@127.0.0.1/", "https://example.com@127.0.0.1/", "https://127.0.0.1\\@example.com/", "https://[example.com]/", "https://[127.0.0.1]/",
	} {
		problem := webhook.Rules{}.Check(url)
		if problem == "" {
			t.Errorf("%q may be told", url)
		}
		if strings.Contains(problem, "hunter2") {
			t.Errorf("%q repeats what it refuses", problem)
		}
	}
	for _, url := range []string{
		"https://example.com", "https://hooks.example.com/lethe?token=x%20y", "https://EXAMPLE.com:443/", "https://xn--bcher-kva.example/", "https://8.8.8.8/", "https://[2606:4700::1111]/",
	} {
		if problem := (webhook.Rules{}).Check(url); problem != "" {
			t.Errorf("%q %s", url, problem)
		}
	}
}

func TestAllowedHostsAreTheOnlyOnes(t *testing.T) {
	r := webhook.Rules{Hosts: []string{"hooks.example.com", "http://hooks.lan", "127.0.0.1", "169.254.169.254"}, Ports: []int{443, 80, 8443}, Private: true}
	for url, may := range map[string]bool{
		"https://hooks.example.com/":       true,
		"https://hooks.example.com:8443/":  true,
		"https://hooks.example.com:8444/":  false,
		"http://hooks.example.com/":        false,
		"http://hooks.lan/":                true,
		"https://hooks.lan/":               true,
		"https://127.0.0.1/":               true,
		"http://127.0.0.1/":                false,
		"https://127.0.0.2/":               false,
		"https://example.com/":             false,
		"https://hooks.example.com.evil/":  false,
		"https://xhooks.example.com/":      false,
		"https://169.254.169.254/":         false,
		"https://[::ffff:127.0.0.1]/":      false,
		"https://hooks.example.com@evil./": false,
	} {
		if got := r.Check(url) == ""; got != may {
			t.Errorf("%s: %t, want %t", url, got, may)
		}
	}
	if (webhook.Rules{Private: true}).CheckAddress(netip.MustParseAddr("127.0.0.1")) == nil {
		t.Error("private addresses are let through without a list of hosts")
	}
}

func TestTheReferenceVectorOfStandardWebhooks(t *testing.T) {
	secrets, err := webhook.ParseSecrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
	if err != nil {
		t.Fatal(err)
	}
	got := secrets.Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, bad := range []string{"", "hunter2", "whsec_", "whsec_hunter2", "whsec_MfKQ9r8=", strings.Repeat("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", 5)} {
		if _, err := webhook.ParseSecrets(bad); err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "MfKQ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
