package dispatch

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// BlockedLiteral tells whether host, of a URL, is spelled as an address that no
// webhook may reach, and why: a sentence's end, such as "is a link-local address".
// A host may be written as an IPv4 address in any form that operating systems
// take (2852039166, 0xa9.254.0251.0376, …), as an IPv6 address with or without
// brackets, or as localhost. Other names are judged when they are connected to.
func BlockedLiteral(host string, blockPrivate bool) (reason string, blocked bool) {
	name := strings.TrimSuffix(strings.ToLower(host), ".")
	if blockPrivate && (name == "localhost" || strings.HasSuffix(name, ".localhost")) {
		return "is this machine itself, and WEBHOOK_BLOCK_PRIVATE=true refuses that", true
	}
	a, ok := literal(host)
	if !ok {
		return "", false
	}
	switch {
	case (guard{}).blocked(a):
		return fmt.Sprintf("is %s, a link-local, multicast or cloud metadata address, which webhooks may never reach", a), true
	case guard{blockPrivate: blockPrivate}.blocked(a):
		return fmt.Sprintf("is %s, a private or loopback address, and WEBHOOK_BLOCK_PRIVATE=true refuses those", a), true
	}
	return "", false
}

// literal returns the address that host spells.
func literal(host string) (netip.Addr, bool) {
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if a, err := netip.ParseAddr(host); err == nil {
		return a, true
	}
	return number(strings.TrimSuffix(host, "."))
}

// number reads the spellings of an IPv4 address that inet_aton takes: one to four
// numbers, decimal, octal or hexadecimal, of which the last fills what is left.
func number(host string) (netip.Addr, bool) {
	parts := strings.Split(host, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var all uint64
	for i, p := range parts {
		base := 10
		switch {
		case strings.HasPrefix(p, "0x") || strings.HasPrefix(p, "0X"):
			p, base = p[2:], 16
		case len(p) > 1 && p[0] == '0':
			p, base = p[1:], 8
		}
		if p == "" && base == 16 {
			p = "0" // a bare 0x is 0 to some
		}
		n, err := strconv.ParseUint(p, base, 32)
		limit := uint64(1) << 8
		if i == len(parts)-1 {
			limit = 1 << (8 * (4 - i))
		}
		if err != nil || n >= limit {
			return netip.Addr{}, false
		}
		if i == len(parts)-1 {
			all |= n
		} else {
			all |= n << (8 * (3 - i))
		}
	}
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(all))
	return netip.AddrFrom4(b), true
}

// plainAddress spells the host of "host:port" in the common way if it is a number,
// so that no resolver sees it, each of which would understand something else.
func plainAddress(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if a, ok := number(strings.TrimSuffix(host, ".")); ok {
		return net.JoinHostPort(a.String(), port)
	}
	return address
}
