package config

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
)

// ByteSize is a number of bytes; 0 means no limit.
type ByteSize int64

// leastSize is the smallest limit of a database that makes sense.
const leastSize = 16_000_000

// units are the units of sizes, the longer names first.
var units = []struct {
	name  string
	bytes float64
}{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"tib", 1 << 40},
	{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12},
	{"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30}, {"t", 1 << 40}, {"b", 1}, {"", 1},
}

// UnmarshalText accepts a number with or without a unit, in upper or lower case.
func (s *ByteSize) UnmarshalText(b []byte) error {
	text := strings.ToLower(strings.ReplaceAll(string(b), " ", ""))
	for _, u := range units {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(number, 64)
		n *= u.bytes
		if err != nil || math.IsNaN(n) || n != 0 && n < leastSize || n > 1<<60 {
			return errNotAllowed
		}
		*s = ByteSize(n)
		return nil
	}
	return errNotAllowed
}

// Prefixes lists ranges of IP addresses.
type Prefixes []netip.Prefix

// UnmarshalText accepts addresses and prefixes, separated by commas.
func (p *Prefixes) UnmarshalText(b []byte) error {
	var all Prefixes
	for _, s := range list(string(b)) {
		if a, err := netip.ParseAddr(s); err == nil {
			all = append(all, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(s)
		if err != nil {
			return errNotAllowed
		}
		all = append(all, prefix.Masked())
	}
	*p = all
	return nil
}
