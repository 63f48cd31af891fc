package store

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"pombo"
)

// defaultSchema is where our tables live unless the URL says otherwise.
const defaultSchema = "pombo"

// postgresURL is a PostgreSQL URL taken apart.
type postgresURL struct {
	config  *pgx.ConnConfig
	schema  string
	conns   int      // from connection_limit; 0 if not given
	ignored []string // names of parameters that mean nothing to us
}

// kept are the parameters that pgx understands, as libpq spells them.
var kept = []string{
	"host", "port", "user", "password", "dbname", "database", "sslmode", "sslkey", "sslcert", "sslrootcert", "sslpassword",
	"sslsni", "sslnegotiation", "passfile", "service", "servicefile", "krbspn", "krbsrvname", "channel_binding",
	"target_session_attrs", "connect_timeout", "application_name", "options", "timezone",
}

// parsePostgresURL reads a URL as Prisma does: an Evolution API's .env carries
// such a one. No error quotes the URL or what the parsers say of it, since parts
// of a badly escaped password end up in such messages.
func parsePostgresURL(raw string) (postgresURL, error) {
	unreadable := func(what string) (postgresURL, error) {
		return postgresURL{}, pombo.Errorf(pombo.Invalid, "DATABASE_CONNECTION_URI cannot be read (%s): write it as postgresql://USER:PASSWORD@HOST:5432/DATABASE, with special characters of the password percent-encoded (@ as %%40, / as %%2F, # as %%23)", what)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return unreadable("it is no URL")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return unreadable("its parameters are badly escaped")
	}
	p := postgresURL{schema: defaultSchema}
	if s := query.Get("schema"); s != "" {
		p.schema = s
	}
	if strings.HasPrefix(p.schema, "pg_") || strings.ContainsRune(p.schema, 0) || len(p.schema) > 63 {
		return p, pombo.Errorf(pombo.Invalid, "DATABASE_CONNECTION_URI names the schema %q: PostgreSQL allows at most 63 bytes, and none that begins with pg_", p.schema)
	}
	if query.Get("pgbouncer") == "true" {
		return p, pombo.Errorf(pombo.Invalid, "DATABASE_CONNECTION_URI goes through PgBouncer (pgbouncer=true): give the address of PostgreSQL itself, since Pombo locks its tables for as long as it is connected")
	}
	if limit := query.Get("connection_limit"); limit != "" {
		if p.conns, err = strconv.Atoi(limit); err != nil || p.conns < 1 {
			return p, pombo.Errorf(pombo.Invalid, "DATABASE_CONNECTION_URI has connection_limit=%q: give a number from 1 up", limit)
		}
	}
	// Prisma's sslcert is the certificate of the authority, which libpq calls
	// sslrootcert; libpq's own sslcert never comes without sslkey.
	if query.Has("sslcert") && !query.Has("sslkey") && !query.Has("sslrootcert") {
		query.Set("sslrootcert", query.Get("sslcert"))
		query.Del("sslcert")
	}
	for name := range query {
		if slices.Contains(kept, name) {
			continue
		}
		if !slices.Contains([]string{"schema", "connection_limit", "pgbouncer"}, name) {
			p.ignored = append(p.ignored, name)
		}
		query.Del(name)
	}
	slices.Sort(p.ignored)
	u.RawQuery = query.Encode()
	if p.config, err = pgx.ParseConfig(u.String()); err != nil {
		return unreadable("a part of it has a form that PostgreSQL does not know")
	}
	// A startup parameter holds for every connection of every pool, whatever its
	// user's defaults are.
	p.config.RuntimeParams["search_path"] = quote(p.schema)
	if p.config.RuntimeParams["application_name"] == "" {
		p.config.RuntimeParams["application_name"] = "pombo"
	}
	return p, nil
}

// quote makes an SQL identifier of name.
func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// redact takes the password out of a message, should a driver or a server have
// put it there.
func (p postgresURL) redact(err error) error {
	if err == nil || len(p.config.Password) < 3 || !strings.Contains(err.Error(), p.config.Password) {
		return err
	}
	return fmt.Errorf("%s", strings.ReplaceAll(err.Error(), p.config.Password, "***"))
}

// server names the server without secrets.
func (p postgresURL) server() string {
	return fmt.Sprintf("%s:%d", p.config.Host, p.config.Port)
}
