package evolution

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"pombo"
)

// Limits of what a webhook may hold.
const (
	maxURL         = 8192 // bytes
	maxHeaders     = 64
	maxHeaderValue = 8192 // bytes
)

// jwtKey is the header that is not sent: it holds the secret of a bearer token.
const jwtKey = "jwt_key"

// ValidateWebhook returns an Invalid error if w, as it would be stored after a
// change, is enabled but has no URL that can be posted to. A webhook that is
// switched off may hold anything.
func ValidateWebhook(w pombo.Webhook) error {
	if !w.Enabled {
		return nil
	}
	return checkURL("url", w.URL)
}

// checkURL returns an Invalid error that says what is wrong with a webhook's
// URL. What is fine: http and https, names of one label, underscores, ports,
// IPv4 and IPv6, user:password@, a query string.
func checkURL(path, s string) error {
	bad := func(format string, args ...any) error {
		return pombo.Errorf(pombo.Invalid, "%s %q %s", path, clip(withoutPassword(s), 200), fmt.Sprintf(format, args...))
	}
	switch {
	case s == "":
		return pombo.Errorf(pombo.Invalid, `%s is missing or empty: give the address that events are to be posted to, for example "https://example.com/webhook", or set "enabled" to false to stop using the webhook`, path)
	case strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]"):
		return bad("is a placeholder of the documentation: replace it, brackets included, by the address that events are to be posted to")
	case strings.TrimSpace(s) != s:
		return bad("begins or ends with white space: remove it")
	case strings.Contains(s, "{{"):
		return bad("contains a template's placeholder {{ … }} that was not filled in")
	case strings.ContainsFunc(s, unicode.IsSpace):
		return bad("contains white space: write a space as %%20")
	case len(s) > maxURL:
		return bad("is longer than %d bytes", maxURL)
	case !utf8.ValidString(s):
		return bad("is not valid UTF-8")
	}
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" || u.Scheme == "" {
		if noScheme(s) {
			return bad("lacks its scheme: write %q", "http://"+withoutPassword(s))
		}
		if err != nil {
			return bad("is not a valid URL: %s", parseProblem(err, s))
		}
		return bad(`is not an absolute URL: it must begin with "http://" or "https://"`)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		if noScheme(s) {
			return bad("lacks its scheme: write %q", "http://"+withoutPassword(s))
		}
		return bad(`has the scheme %q: only "http" and "https" are allowed`, u.Scheme)
	}
	return checkHost(u, bad)
}

func checkHost(u *url.URL, bad func(string, ...any) error) error {
	host, port := u.Hostname(), u.Port()
	switch {
	case host == "":
		return bad("names no host: write it as %s://host/path, with two slashes", u.Scheme)
	case strings.EqualFold(u.Host, "http:") || strings.EqualFold(u.Host, "https:"):
		return bad("has its scheme twice")
	case strings.ContainsAny(host, "<>\"{}|\\^`%!$&'()*+,;="):
		return bad("has a host name with a character that is not allowed in it")
	}
	if !strings.HasPrefix(u.Host, "[") && strings.Contains(host, ":") {
		return bad("has a host with a colon in it: an IPv6 address is written within [ ]")
	}
	if strings.HasPrefix(u.Host, "[") {
		if a, err := netip.ParseAddr(host); err != nil || !a.Is6() {
			return bad("has [%s] for its host, which is not an IPv6 address", host)
		}
	}
	if port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return bad("has the port %s: it must be from 1 to 65535", port)
		}
	}
	return nil
}

// noScheme tells whether s looks like "host:3000/path" or "host.tld/path".
func noScheme(s string) bool {
	if strings.Contains(s, "://") || hasAnyPrefix(s, "/", ".", "?", "#", "mailto:", "javascript:", "data:", "file:", "http:", "https:") {
		return false
	}
	u, err := url.Parse("http://" + s)
	return err == nil && u.Hostname() != "" && (u.Port() != "" || strings.Contains(u.Hostname(), ".") || u.Hostname() == "localhost")
}

// parseProblem returns what url.Parse complains about in s, without the URL or
// a part of it that may be a password.
func parseProblem(err error, s string) string {
	var e *url.Error
	if errors.As(err, &e) {
		err = e.Err
	}
	if strings.Contains(s, "@") && strings.Contains(err.Error(), "port") {
		return `its port is not a number; within a password, write "/" as %2F`
	}
	return err.Error()
}

// withoutPassword hides the user and password of a URL, also of a broken one.
func withoutPassword(s string) string {
	start := 0
	if i := strings.Index(s, "://"); i >= 0 {
		start = i + len("://")
	}
	if at := strings.LastIndexByte(s[start:], '@'); at >= 0 {
		return s[:start] + "***" + s[start+at:]
	}
	return s
}

// readEvents reads a list of event names. The result is nil if the list is
// absent; empty, which means all events, if it is null or has no items.
func readEvents(f field) (*[]pombo.EventName, error) {
	if f.v == nil {
		return nil, nil
	}
	items, err := f.items("event names")
	if err != nil {
		return nil, err
	}
	names := []pombo.EventName{}
	seen := map[pombo.EventName]bool{}
	var problems []string
	for _, item := range items {
		n, ok := pombo.ParseEventName(item.v.text)
		if !ok {
			problems = append(problems, unknownOfEvents(item))
			continue
		}
		if !seen[n] {
			seen[n] = true
			names = append(names, n)
		}
	}
	switch len(problems) {
	case 0:
		return &names, nil
	case 1:
		return nil, pombo.Errorf(pombo.Invalid, "%s", problems[0])
	}
	e := pombo.Errorf(pombo.Invalid, "%s", strings.Join(problems, "; "))
	e.Detail = problems
	return nil, e
}

// unknownOfEvents is unknownEvent for one of the events that a webhook asks for.
func unknownOfEvents(f field) string {
	if f.v.text == "" {
		return f.path + " is empty: remove it; without any events all are sent"
	}
	text := unknownEvent(f)
	if !strings.HasSuffix(text, "?") {
		text += ", and without any events all are sent"
	}
	return text
}

// unknownEvent names an event that does not exist, and the closest that does.
func unknownEvent(f field) string {
	var names []string
	for _, n := range pombo.EventNames() {
		names = append(names, string(n))
	}
	spelled := strings.ToUpper(strings.NewReplacer(".", "_", "-", "_", " ", "_").Replace(strings.TrimSpace(f.v.text)))
	for n, w := range map[string]string{"NEW_TOKEN": "NEW_JWT_TOKEN", "NEW_JWT": "NEW_JWT_TOKEN", "GROUPS_UPDATE": "GROUP_UPDATE"} {
		if spelled == n {
			spelled = w
		}
	}
	tip, near := closest(spelled, names)
	if near {
		return fmt.Sprintf("%s: %q is not an event, did you mean %q?", f.path, clip(f.v.text, 60), tip)
	}
	return fmt.Sprintf("%s: %q is not an event; the closest name is %q", f.path, clip(f.v.text, 60), tip)
}

// readHeaders reads the headers that each request to the webhook carries. The
// result is nil if they are absent; null removes them.
func readHeaders(f field) (*map[string]string, error) {
	if f.v == nil {
		return nil, nil
	}
	headers := map[string]string{}
	o, err := f.object()
	if err != nil {
		return nil, err
	}
	if o == nil {
		return &headers, nil
	}
	if len(o.v.keys) > maxHeaders {
		return nil, pombo.Errorf(pombo.Invalid, "%s has %d entries: at most %d are allowed", f.path, len(o.v.keys), maxHeaders)
	}
	lower := map[string]string{}
	for i, name := range o.v.keys {
		item := field{path: o.path + clip(name, 60), v: &o.v.list[i]}
		if err := checkHeader(item, name); err != nil {
			return nil, err
		}
		if other, twice := lower[strings.ToLower(name)]; twice {
			return nil, pombo.Errorf(pombo.Invalid, "%s: the headers %q and %q are the same one: keep one of them", f.path, other, name)
		}
		lower[strings.ToLower(name)] = name
		headers[name] = item.v.text
		if item.v.kind == boolValue {
			headers[name] = strconv.FormatBool(item.v.bool)
		}
	}
	return &headers, nil
}

// reserved are the headers that belong to the connection or to Pombo.
var reserved = map[string]bool{
	"host": true, "content-length": true, "transfer-encoding": true, "connection": true, "keep-alive": true,
	"proxy-connection": true, "proxy-authenticate": true, "proxy-authorization": true, "te": true, "trailer": true,
	"upgrade": true, "expect": true, "content-encoding": true,
}

func checkHeader(f field, name string) error {
	lower := strings.ToLower(name)
	switch {
	case name == "" || strings.ContainsFunc(name, func(r rune) bool { return !tokenRune(r) }):
		return pombo.Errorf(pombo.Invalid, "%s: %q is not the name of a header: only letters, digits and -_.!#$%%&'*+^`|~ are allowed", f.path, clip(name, 60))
	case reserved[lower]:
		return pombo.Errorf(pombo.Invalid, "%s: the header %q is set by the connection itself: remove it", f.path, name)
	case strings.HasPrefix(lower, "webhook-"):
		return pombo.Errorf(pombo.Invalid, "%s: headers that begin with \"webhook-\" are set for each delivery: choose another name", f.path)
	}
	switch f.v.kind {
	case stringValue, numberValue, boolValue:
	default:
		return f.wrong("a string")
	}
	if len(f.v.text) > maxHeaderValue {
		return pombo.Errorf(pombo.Invalid, "%s is longer than %d bytes", f.path, maxHeaderValue)
	}
	if strings.ContainsFunc(f.v.text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return pombo.Errorf(pombo.Invalid, "%s contains a line break or another control character: a header cannot hold it", f.path)
	}
	if name == jwtKey && f.v.text == "" {
		return pombo.Errorf(pombo.Invalid, "%s is empty: give the secret that the bearer token is signed with, or remove it", f.path)
	}
	return nil
}

// tokenRune tells whether r may stand in a header's name (RFC 9110, 5.6.2).
func tokenRune(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}
