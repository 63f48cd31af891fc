package dispatch

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
)

// errBlocked is the refusal of an address. It is found wherever the address came
// from: the URL, a name that was resolved, or a redirect.
var errBlocked = errors.New("the address is not allowed")

// guard refuses addresses that no webhook may reach. It is asked with the very
// address that a connection is about to be made to, so that neither a name that
// resolves to something else the second time, nor a spelling of a number that
// only the system understands, gets past it.
type guard struct {
	blockPrivate bool
}

// control is a net.Dialer's Control.
func (g guard) control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s is not an IP address", errBlocked, address)
	}
	if g.blocked(ap.Addr()) {
		return fmt.Errorf("%w: %s", errBlocked, ap.Addr())
	}
	return nil
}

// Cloud providers answer with credentials, or with the settings of the machine, at
// these addresses beside the link-local ones: AWS and Google on IPv6, Alibaba,
// Oracle, Azure.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd20:ce::254"), netip.MustParseAddr("100.100.100.200"),
	netip.MustParseAddr("192.0.0.192"), netip.MustParseAddr("168.63.129.16"),
}

// notPublic are the ranges that are neither public nor, for netip, private: this
// network, carriers' NAT (RFC 6598), protocol assignments, benchmarks (RFC 2544),
// reserved and broadcast; on IPv6 site-local (RFC 3879) and NAT64 for local use
// (RFC 8215).
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("fec0::/10"), localNAT64,
}

// blocked tells whether a, or an IPv4 address that a carries, is refused.
func (g guard) blocked(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return g.refuses(a) || slices.ContainsFunc(embedded(a), g.refuses)
}

func (g guard) refuses(a netip.Addr) bool {
	switch {
	case a.IsLinkLocalUnicast(), a.IsMulticast(), slices.Contains(metadata, a):
		return true
	case !g.blockPrivate:
		return false
	}
	// The unspecified address is this machine.
	return a.IsLoopback() || a.IsPrivate() || a.IsUnspecified() ||
		slices.ContainsFunc(notPublic, func(p netip.Prefix) bool { return p.Contains(a) })
}

// The forms in which IPv6 carries an IPv4 address: NAT64 (RFC 6052, and RFC 8215
// for local use), 6to4 (RFC 3056), Teredo (RFC 4380), translated (RFC 2765), and
// the outdated "compatible" form; ISATAP (RFC 5214) is told by the second half.
var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	localNAT64 = netip.MustParsePrefix("64:ff9b:1::/48")
	sixToFour  = netip.MustParsePrefix("2002::/16")
	teredo     = netip.MustParsePrefix("2001::/32")
	translated = netip.MustParsePrefix("::ffff:0:0:0/96")
	compatible = netip.MustParsePrefix("::/96")
)

// embedded returns the IPv4 addresses that a may carry.
func embedded(a netip.Addr) []netip.Addr {
	if !a.Is6() {
		return nil
	}
	b := a.As16()
	last := netip.AddrFrom4([4]byte(b[12:16]))
	var found []netip.Addr
	switch {
	case sixToFour.Contains(a):
		found = append(found, netip.AddrFrom4([4]byte(b[2:6])))
	case nat64.Contains(a), translated.Contains(a), compatible.Contains(a) && !a.IsLoopback() && !a.IsUnspecified():
		found = append(found, last)
	case localNAT64.Contains(a): // its operator chose how long the prefix is
		found = append(found, last, netip.AddrFrom4([4]byte{b[6], b[7], b[9], b[10]}),
			netip.AddrFrom4([4]byte{b[7], b[9], b[10], b[11]}), netip.AddrFrom4([4]byte(b[9:13])))
	case teredo.Contains(a): // its server, and the client's address, inverted
		found = append(found, netip.AddrFrom4([4]byte(b[4:8])), netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}))
	}
	if b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe { // ISATAP
		found = append(found, last)
	}
	return found
}
