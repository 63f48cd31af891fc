package dispatch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
)

// The error codes of an attempt. docs/deliveries.md explains each.
const (
	codeStatus         = "status"          // answered, but not with a 2xx
	codeRedirect       = "redirect"        // a redirect that is not followed
	codeConnectTimeout = "timeout_connect" // no connection in time
	codeAnswerTimeout  = "timeout_headers" // connected, but no answer in time
	codeBlocked        = "address_blocked" // refused by us: see guard
	codeRefused        = "refused"         // nothing listens there
	codeReset          = "reset"           // the connection ended before the answer
	codeUnreachable    = "unreachable"     // no route to the address
	codeDNS            = "dns"             // the host name has no address
	codeTLS            = "tls"             // no encrypted connection
	codeProtocol       = "protocol"        // what came back is not HTTP
	codeNetwork        = "network"         // anything else on the way
	codeURL            = "url"             // the URL cannot be posted to
	codeHeader         = "header"          // a header cannot be sent
	codeSecret         = "secret"          // the signing secret is none
	codeEncode         = "encode"          // the body could not be put together
	codeStopped        = "stopped"         // cut by the gateway's own end
)

func (res *result) fail(code, sentence string) { res.code, res.sentence = code, sentence }

// explain sets the result of a request that got no answer. No sentence holds
// more of the URL than its host and port.
func (res *result) explain(ctx context.Context, err error, tr *trace, target *url.URL) {
	host := target.Host
	var dns *net.DNSError
	var timeout net.Error
	connected := tr.conn.Load() != nil
	switch {
	case errors.Is(context.Cause(ctx), errStopped):
		res.fail(codeStopped, "The gateway was stopped before the endpoint answered.")
	case errors.Is(err, errBlocked):
		res.fail(codeBlocked, fmt.Sprintf("%s leads to an address that webhooks may not reach: link-local and cloud metadata addresses, and private ones with WEBHOOK_BLOCK_PRIVATE=true.", host))
	case errors.As(err, &dns) && ctx.Err() == nil:
		res.fail(codeDNS, fmt.Sprintf("The host name %s could not be resolved: %s.", target.Hostname(), dns.Err))
	case ctx.Err() != nil || errors.As(err, &timeout) && timeout.Timeout():
		if connected {
			res.fail(codeAnswerTimeout, fmt.Sprintf("%s took the request but did not answer in time.", host))
		} else {
			res.fail(codeConnectTimeout, fmt.Sprintf("No connection to %s in time.", host))
		}
	case errors.Is(err, syscall.ECONNREFUSED):
		res.fail(codeRefused, fmt.Sprintf("Nothing listens at %s: is the receiver running, and is the port right?", host))
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		res.fail(codeUnreachable, fmt.Sprintf("There is no route to %s.", host))
	case isTLS(err):
		res.fail(codeTLS, fmt.Sprintf("No encrypted connection to %s: %s.", host, innermost(err)))
	case isReset(err):
		res.fail(codeReset, fmt.Sprintf("%s closed the connection before it answered.", host))
	case strings.Contains(err.Error(), "invalid header field"):
		res.fail(codeHeader, "One of the webhook's headers cannot be sent: "+err.Error()+".")
	case strings.Contains(err.Error(), "malformed"), strings.Contains(err.Error(), "http2"),
		strings.Contains(err.Error(), "server response headers exceeded"):
		res.fail(codeProtocol, fmt.Sprintf("What %s answered is not valid HTTP.", host))
	default:
		res.fail(codeNetwork, fmt.Sprintf("The request to %s failed: %s.", host, innermost(err)))
	}
}

// isReset tells whether the other side ended the connection.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) ||
		// net/http does not export these; the last two are HTTP/2's.
		strings.Contains(err.Error(), "server closed idle connection") ||
		strings.Contains(err.Error(), "GOAWAY") || strings.Contains(err.Error(), "stream error")
}

func isTLS(err error) bool {
	var (
		verify *tls.CertificateVerificationError
		record tls.RecordHeaderError
		alert  tls.AlertError
		name   x509.HostnameError
		signer x509.UnknownAuthorityError
	)
	return errors.As(err, &verify) || errors.As(err, &record) || errors.As(err, &alert) ||
		errors.As(err, &name) || errors.As(err, &signer) ||
		strings.Contains(err.Error(), "tls: ") || strings.Contains(err.Error(), "HTTP response to HTTPS client")
}

// innermost returns the text of the last error in err's chain: the outer ones
// repeat addresses.
func innermost(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return strings.TrimSuffix(err.Error(), ".")
		}
		err = inner
	}
}

func statusName(status int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", status, http.StatusText(status)))
}

// statusSentence says what a status means for the webhook, with a hint where
// one helps.
func statusSentence(status int) string {
	hint := "."
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		hint = ": do the webhook's headers hold the right credentials?"
	case http.StatusNotFound:
		hint = ": is the webhook's URL right, and the workflow behind it active?"
	case http.StatusMethodNotAllowed:
		hint = ": it does not take a POST at this URL."
	case http.StatusRequestEntityTooLarge:
		hint = ": the event is larger than it takes."
	}
	return "The endpoint answered " + statusName(status) + hint
}
