package sandbox

import (
	"context"
	"strconv"
	"time"
)

// FaultKind is something that the network does wrong on purpose.
type FaultKind string

// The faults that SetFault knows.
const (
	FaultDrop        FaultKind = "drop"         // cuts the connections, once, without a word
	FaultReplaced    FaultKind = "replaced"     // ends the connections, once, as if another client took over
	FaultStreamError FaultKind = "stream-error" // ends the connections, once, with <stream:error code=…>
	FaultRefuse      FaultKind = "refuse"       // refuses logins with <failure reason=…>
	FaultLatency     FaultKind = "latency"      // delays what is sent to clients by some milliseconds
	FaultUnconfirmed FaultKind = "unconfirmed"  // loses the clients' confirmations: they get everything again
	FaultReject      FaultKind = "reject"       // refuses the clients' messages with <ack error=…>
	FaultNoAck       FaultKind = "no-ack"       // handles the clients' messages but does not acknowledge them
	FaultMedia       FaultKind = "media"        // downloads of media fail with a status, or wait some milliseconds
	FaultUpload      FaultKind = "upload"       // so do uploads by clients
	FaultClear       FaultKind = "clear"        // ends lasting faults
)

// FaultRequest sets or clears a fault.
type FaultRequest struct {
	Kind   FaultKind `json:"kind"`
	Number string    `json:"number,omitempty"` // the account it is for; empty: all
	Code   int       `json:"code,omitempty"`   // of refuse, stream-error (default 503), reject (500), media, upload (404 if there is no Ms)
	Ms     int       `json:"ms,omitempty"`     // of latency, media and upload, in milliseconds; at most 60,000
	Count  int       `json:"count,omitempty"`  // how often it happens; 0: until cleared
}

// FaultResult says what a fault did at once.
type FaultResult struct {
	Connections int `json:"connections"` // how many connections it ended
}

// rule is a lasting fault.
type rule struct {
	FaultRequest
	left int // how often it still happens; -1: no limit
}

// faults is what the network does wrong on purpose. Guarded by Server.mu, and forgotten with the process.
type faults struct{ rules []*rule }

// SetFault makes the network do something wrong. drop, replaced and stream-error happen at once; the others last until
// their count is used up or they are cleared. Errors: Invalid.
func (s *Server) SetFault(_ context.Context, r FaultRequest) (FaultResult, error) {
	r.Number = normalizeNumber(r.Number)
	if r.Number != "" {
		if err := checkNumber("number", r.Number); err != nil {
			return FaultResult{}, err
		}
	}
	if r.Count < 0 || r.Ms < 0 || r.Ms > 60_000 {
		return FaultResult{}, errorf(Invalid, "\"count\" and \"ms\" cannot be negative, and \"ms\" is at most 60000")
	}
	var result FaultResult
	var err error
	s.update(func(*batch) { result, err = s.applyFault(r) })
	return result, err
}

func (s *Server) applyFault(r FaultRequest) (FaultResult, error) {
	switch r.Kind {
	case FaultDrop:
		return FaultResult{s.each(r.Number, func(c *conn) { c.cancel() })}, nil
	case FaultReplaced:
		return FaultResult{s.each(r.Number, (*conn).replaced)}, nil
	case FaultStreamError:
		code := strconv.Itoa(orElse(r.Code, 503))
		return FaultResult{s.each(r.Number, func(c *conn) { c.streamError(attrs{"code": code}) })}, nil
	case FaultRefuse:
		r.Code = orElse(r.Code, 503)
	case FaultReject:
		r.Code = orElse(r.Code, 500)
	case FaultLatency:
		if r.Ms == 0 {
			return FaultResult{}, errorf(Invalid, "Give the delay in milliseconds as \"ms\"")
		}
	case FaultMedia, FaultUpload:
		if r.Ms == 0 {
			r.Code = orElse(r.Code, 404)
		}
		if r.Code != 0 && (r.Code < 400 || r.Code > 599) {
			return FaultResult{}, errorf(Invalid, "\"code\" is %d: it is an HTTP status between 400 and 599", r.Code)
		}
	case FaultUnconfirmed, FaultNoAck:
	case FaultClear:
		kept := s.faults.rules[:0]
		for _, existing := range s.faults.rules {
			if r.Number != "" && existing.Number != r.Number {
				kept = append(kept, existing)
			}
		}
		s.faults.rules = kept
		return FaultResult{}, nil
	default:
		return FaultResult{}, errorf(Invalid, "\"kind\" is %q: it is one of drop, replaced, stream-error, refuse, latency, unconfirmed, reject, no-ack, media, upload, clear", r.Kind)
	}
	left := r.Count
	if left == 0 {
		left = -1
	}
	s.faults.rules = append(s.faults.rules, &rule{r, left})
	return FaultResult{}, nil
}

func orElse(value, otherwise int) int {
	if value == 0 {
		return otherwise
	}
	return value
}

// each calls fn for the connections of a number's companions, or of all.
func (s *Server) each(number string, fn func(*conn)) int {
	count := 0
	for c := range s.conns {
		if c.device != nil && c.device.conn == c && !c.ended && (number == "" || c.device.user.number == number) {
			fn(c)
			count++
		}
	}
	return count
}

// hit returns the first lasting fault of a kind that is for this number, and uses it up by one.
func (f *faults) hit(kind FaultKind, number string) *rule {
	for i, r := range f.rules {
		if r.Kind != kind || r.Number != "" && r.Number != number {
			continue
		}
		if r.left > 0 {
			r.left--
		}
		if r.left == 0 {
			f.rules = append(f.rules[:i:i], f.rules[i+1:]...)
		}
		return r
	}
	return nil
}

// delay is when a stanza for this device may be sent.
func (f *faults) delay(d *device) time.Time {
	if r := f.hit(FaultLatency, d.user.number); r != nil {
		return time.Now().Add(time.Duration(r.Ms) * time.Millisecond)
	}
	return time.Time{}
}

// keep says that a confirmation gets lost.
func (f *faults) keep(d *device) bool { return f.hit(FaultUnconfirmed, d.user.number) != nil }

// refuse is the reason for which a login is refused, or 0.
func (f *faults) refuse(number string) int { return f.hit(FaultRefuse, number).code() }

// refuseMessage is the error with which an outgoing message is refused, or 0.
func (f *faults) refuseMessage(number string) int { return f.hit(FaultReject, number).code() }

// swallowAck says that an outgoing message is not acknowledged.
func (f *faults) swallowAck(number string) bool { return f.hit(FaultNoAck, number) != nil }

func (r *rule) code() int {
	if r == nil {
		return 0
	}
	return r.Code
}
