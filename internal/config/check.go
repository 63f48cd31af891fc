package config

import (
	"encoding/base64"
	"net/url"
	"strings"
)

// check finds what is wrong with values that parsed: rules that hold between
// settings, and those of strings that have no type of their own.
func (c Config) check(given map[string]string) []Problem {
	var ps []Problem
	add := func(key, sentence string) {
		for _, v := range Variables() {
			if v.Key == key {
				if sentence == "" {
					sentence = "give " + v.Allowed
				}
				ps = append(ps, v.problem(given[key], sentence))
			}
		}
	}
	if k := c.Auth.APIKey.Reveal(); k != "" && !validKey(k) {
		add("AUTHENTICATION_API_KEY", "")
	}
	if k := c.Auth.JWTSecret.Reveal(); k != "" && !validKey(k) {
		add("AUTHENTICATION_JWT_SECRET", "")
	}
	if sentence := checkDatabaseURI(c.Database.URI.Reveal()); sentence != "" {
		add("DATABASE_CONNECTION_URI", sentence)
	}
	if (c.Metrics.User == "") != (c.Metrics.Password == "") {
		add("METRICS_PASSWORD", "give METRICS_USER and METRICS_PASSWORD, or neither")
	}
	if c.Webhook.GlobalEnabled {
		switch u := c.Webhook.GlobalURL.Reveal(); {
		case u == "":
			add("WEBHOOK_GLOBAL_URL", "WEBHOOK_GLOBAL_ENABLED is true, so give an absolute http:// or https:// URL")
		case checkWebURL(u) != nil:
			add("WEBHOOK_GLOBAL_URL", "")
		}
	}
	if u := c.Alarm.URL.Reveal(); u != "" && checkWebURL(u) != nil {
		add("WEBHOOK_OPERATIONAL_URL", "")
	}
	if k := c.Alarm.Secret.Reveal(); k != "" && !validSigningKey(k) {
		add("WEBHOOK_OPERATIONAL_SECRET", "")
	}
	if c.Webhook.Errors {
		switch u := c.Webhook.ErrorsURL.Reveal(); {
		case u == "":
			add("WEBHOOK_EVENTS_ERRORS_WEBHOOK", "WEBHOOK_EVENTS_ERRORS is true, so give an absolute http:// or https:// URL")
		case checkWebURL(u) != nil:
			add("WEBHOOK_EVENTS_ERRORS_WEBHOOK", "")
		}
	}
	if c.Sandbox.URL != "" {
		switch {
		case c.Sandbox.Enabled:
			add("WHATSAPP_URL", "leave it out, or SANDBOX_ENABLED: the simulated network runs either in this process or in another")
		case !c.Sandbox.URL.Loopback() && !c.Sandbox.AllowRemote:
			add("WHATSAPP_URL", "only this machine (127.0.0.1, [::1] or localhost) is allowed; set WHATSAPP_URL_ALLOW_REMOTE=true (--allow-remote-sandbox) to trust another one")
		}
	}
	return ps
}

// validKey tells whether s can be an API key: what fits into a header as it is.
func validKey(s string) bool {
	return s != "" && len(s) <= 256 && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

// validSigningKey tells whether s is a symmetric key of the Standard Webhooks
// specification.
func validSigningKey(s string) bool {
	encoded, ok := strings.CutPrefix(s, "whsec_")
	key, err := base64.StdEncoding.DecodeString(encoded)
	return ok && err == nil && len(key) >= 24 && len(key) <= 64
}

// checkDatabaseURI returns what is wrong with a database URI, or "".
func checkDatabaseURI(s string) string {
	const advice = "give postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or remove the variable to use SQLite in the data folder"
	if s == "" {
		return ""
	}
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok {
		return advice
	}
	switch strings.ToLower(scheme) {
	case "sqlite", "file":
		if _, ok := sqlitePath(rest); !ok {
			return "give sqlite:PATH, where PATH names a file, without parameters"
		}
		return ""
	case "postgresql", "postgres":
		// The password may hold anything, so the parser's own complaint, which
		// quotes the URI, is not passed on.
		u, err := url.Parse(s)
		if err != nil {
			return advice + "; in user and password, write special characters percent-encoded (@ as %40)"
		}
		if u.Opaque != "" || strings.Trim(u.Path, "/") == "" && !u.Query().Has("dbname") {
			return advice
		}
		return ""
	case "mysql", "mariadb":
		return "MySQL is not supported; " + advice
	case "mongodb", "mongodb+srv":
		return "MongoDB is not supported; " + advice
	}
	return advice
}

// sqlitePath returns the file that a SQLite URI names. rest is what follows
// the scheme and its colon.
func sqlitePath(rest string) (string, bool) {
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		if !strings.HasPrefix(after, "/") { // a host, or another tool's notion of a relative path
			return "", false
		}
		rest = after
	}
	// Nothing is kept in ":memory:", so it would break the promise on restart.
	if rest == "" || strings.HasSuffix(rest, "/") || strings.ContainsAny(rest, "?#") || strings.Contains(rest, ":memory:") {
		return "", false
	}
	return rest, true
}
