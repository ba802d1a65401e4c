package webhook

import (
	"errors"
	"net/netip"

	"lethe/audit/fault"
)

// errAddress is the error of a connection that is not made.
var errAddress = errors.New("webhook: the address may not be told")

// never returns the addresses that are refused whatever the Rules say: those that
// answer for a whole network or none, and those on which clouds hand out
// credentials to whoever asks from inside.
func never() []netip.Prefix {
	return prefixes("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
		"100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", // metadata: Alibaba, Azure, Oracle
		"fd00:ec2::/32", "fd20:ce::/64", "fe80::/10", "ff00::/8", "::/128")
}

// inside returns those that are refused unless Rules.Private is set.
func inside() []netip.Prefix {
	return prefixes("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
}

// odd returns those that nobody has, or that carry another address in them.
func odd() []netip.Prefix {
	return prefixes("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
		"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20") // Teredo, ORCHID, documentation, 6to4
}

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		list[i] = netip.MustParsePrefix(t)
	}
	return list
}

func within(a netip.Addr, list []netip.Prefix) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// CheckAddress returns an error if no connection may be made to an address. Of
// IPv6 it lets through what is handed out to the world, 2000::/3, alone: that
// keeps out NAT64 (64:ff9b::/96), site-local and IPv4-compatible ones.
func (r Rules) CheckAddress(a netip.Addr) error {
	if fault.Bug("webhook/private-allowed") {
		return nil
	}
	a = a.WithZone("").Unmap() // ::ffff:127.0.0.1 is 127.0.0.1
	switch {
	case within(a, never()):
		return errAddress
	case within(a, inside()):
		if r.Private && len(r.Hosts) > 0 {
			return nil
		}
		return errAddress
	case within(a, odd()):
		return errAddress
	case a.Is6() && !netip.MustParsePrefix("2000::/3").Contains(a):
		return errAddress
	}
	return nil
}
