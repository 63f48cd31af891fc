package sandbox

import "context"

type codePairing struct{ number string }

func (c *conn) handleLinkCode(n *node, _ node) { c.unknownIQ(n) }

func (s *Server) scanPairingCode(context.Context, ScanRequest) (ScanResult, error) {
	return ScanResult{}, errorf(Invalid, "not yet")
}
