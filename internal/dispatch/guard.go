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

// Cloud providers answer with credentials at these addresses, beside the
// link-local ones: AWS on IPv6, and Alibaba Cloud.
var metadata = []netip.Addr{netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("100.100.100.200")}

// carrierNAT is the shared address space of RFC 6598: neither public nor, for
// netip, private.
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")

func (g guard) blocked(a netip.Addr) bool {
	a = embedded(a.Unmap()).WithZone("")
	switch {
	case a.IsLinkLocalUnicast(), a.IsMulticast(), slices.Contains(metadata, a):
		return true
	case !g.blockPrivate:
		return false
	}
	// The unspecified address is this machine.
	return a.IsLoopback() || a.IsPrivate() || a.IsUnspecified() || carrierNAT.Contains(a)
}

// The forms in which IPv6 carries an IPv4 address: NAT64 (RFC 6052), 6to4 (RFC
// 3056), and the outdated "compatible" form.
var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour  = netip.MustParsePrefix("2002::/16")
	compatible = netip.MustParsePrefix("::/96")
)

// embedded returns the IPv4 address that a carries, or a.
func embedded(a netip.Addr) netip.Addr {
	b := a.As16()
	switch {
	case !a.Is6():
		return a
	case sixToFour.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6]))
	case nat64.Contains(a), compatible.Contains(a) && !a.IsLoopback() && !a.IsUnspecified():
		return netip.AddrFrom4([4]byte(b[12:16]))
	}
	return a
}
