// Package config owns the settings: it turns the environment and the flags of
// "pombo serve" into one Config, or into an error that lists every bad value
// with what is allowed in its place. It also owns the gateway's API key file.
//
// It never reads the process's own environment (the caller passes it in),
// never logs, and knows nothing of the parts that the settings are for.
//
// The structs below are the reference: docs/configuration.md is generated from
// their comments and tags by "go generate ./internal/config".
package config

//go:generate go run ./gen

// Config is every setting of the gateway. It is made by Load, passed by value,
// and never changes afterwards.
//
// Tags: env names the variable, envDefault its default, flag a command line
// flag that overrides it. range bounds a number, both ends included; unit is
// what the number counts; zero:"default" makes 0 stand for the default, as it
// does in the Evolution API; allowed says in words what a value may be; secret
// keeps a value out of errors.
type Config struct {
	Server   Server
	Auth     Auth
	Database Database
	Metrics  Metrics
	Webhook  Webhook
	Retry    Retry
	Media    Media
	Alarm    Alarm
	WhatsApp WhatsApp
	Log      Log
	CORS     CORS
	Dialect  Dialects
	Sandbox  Sandbox

	// events is what WEBHOOK_EVENTS_* says; see eventFilter.
	events eventFilter
	// warnings and ignored are what Warnings and Ignored return. What they are
	// found from, the raw values, is not kept: it holds secrets.
	warnings, ignored []string
}

// Server says where the HTTP server listens and where it keeps its data.
type Server struct {
	// The port that the HTTP server listens on. 0 lets the system choose a free one; the
	// start log says which.
	Port int `env:"SERVER_PORT" envDefault:"8080" range:"0,65535"`
	// The address that the HTTP server listens on: every IPv4 address by default;
	// 127.0.0.1 keeps it to this machine.
	Host Host `env:"SERVER_HOST" envDefault:"0.0.0.0" allowed:"an IP address or a host name, without port"`
	// The address under which others reach this server. It is sent as server_url
	// with each event; without it, that field is left out.
	URL WebURL `env:"SERVER_URL" allowed:"an absolute http:// or https:// URL"`
	// The folder for the database, the API key, the files of messages and the sandbox's
	// state. It is made if it is missing.
	DataDir string `env:"POMBO_DATA_DIR" envDefault:"./data" allowed:"a path"`
}

// Auth says who may call.
type Auth struct {
	// The global key, which opens every route (header apikey). Without
	// it, one is made at the first start, printed, and kept in the file apikey
	// of the data folder, readable for its owner only.
	APIKey Secret `env:"AUTHENTICATION_API_KEY" secret:"true" allowed:"1 to 256 printable ASCII characters without spaces"`
	// What opens an instance beside the global key: apikey is its own key in the
	// header apikey. With jwt, as in Evolution API 1.x, instance/create answers with a
	// token instead, which is sent as Authorization: Bearer and exchanged for a new one
	// by PUT /instance/refreshToken; instances' own keys then open nothing.
	Type AuthType `env:"AUTHENTICATION_TYPE" envDefault:"apikey" allowed:"apikey or jwt"`
	// How long a token is valid, with AUTHENTICATION_TYPE=jwt; 0: for ever. (The name is
	// spelled as in the original.)
	JWTExpiresIn int `env:"AUTHENTICATION_JWT_EXPIRIN_IN" envDefault:"3600" range:"0,315360000" unit:"seconds"`
	// What tokens are signed with. Without it, a secret is made at the first start with
	// AUTHENTICATION_TYPE=jwt and kept in the file jwtsecret of the data folder. Whoever
	// has it can make tokens for every instance; a new one ends all tokens.
	JWTSecret Secret `env:"AUTHENTICATION_JWT_SECRET" secret:"true" allowed:"1 to 256 printable ASCII characters without spaces"`
	// Puts an instance's own key in the apikey field of its events
	// and of the first dialect's fetchInstances. With false, events carry null.
	ExposeInFetch bool `env:"AUTHENTICATION_EXPOSE_IN_FETCH_INSTANCES" envDefault:"true"`
}

// Database says where instances, events and deliveries are kept.
type Database struct {
	// Where the database is. Without it, SQLite in the data folder (pombo.db). For
	// PostgreSQL: postgresql://USER:PASSWORD@HOST:PORT/DATABASE; a parameter
	// schema=NAME, as Prisma writes it, becomes the search path, otherwise the
	// schema is "pombo". For SQLite elsewhere: sqlite:PATH or file:PATH.
	URI Secret `env:"DATABASE_CONNECTION_URI" secret:"url" allowed:"postgresql://USER:PASSWORD@HOST:PORT/DATABASE, sqlite:PATH or file:PATH; remove it to use SQLite in the data folder"`
	// For how many days a delivery is kept after it was made: until then it can be
	// seen and replayed.
	KeepDelivered float64 `env:"POMBO_KEEP_DELIVERED_DAYS" envDefault:"7" range:"0.001,3650" unit:"days"`
	// For how many days a delivery is kept after it died (rejected, exhausted or
	// disabled).
	KeepDead float64 `env:"POMBO_KEEP_DEAD_DAYS" envDefault:"30" range:"0.001,3650" unit:"days"`
	// How large the database may become, not counting what is free in it for reuse. From
	// 90 % on, deliveries that were made lose their history early. When it is reached
	// nevertheless, events are not taken in (WhatsApp keeps them) and the API answers
	// 503, until there is room again. 0: no limit.
	MaxDisk ByteSize `env:"POMBO_MAX_DISK" envDefault:"0" allowed:"a size in bytes, or with KB, MB, GB, KiB, MiB or GiB, such as 20GB; at least 16 MB, or 0 for no limit"`
	// How much memory the keys of conversations may take that are kept from being read
	// again, for all instances together. A conversation takes 1 to 3 KB; what does not
	// fit is read from the database when it is needed.
	SessionCacheMB int `env:"POMBO_SESSION_CACHE_MB" envDefault:"64" range:"1,65536" unit:"MB"`
}

// Metrics says who may read GET /metrics, which is for Prometheus.
type Metrics struct {
	// Serves GET /metrics.
	Enabled bool `env:"PROMETHEUS_METRICS" envDefault:"true"`
	// Asks for a key: the global one (header apikey, bearer token, or password of
	// Basic authentication), or METRICS_USER and METRICS_PASSWORD.
	AuthRequired bool `env:"METRICS_AUTH_REQUIRED" envDefault:"true"`
	// A user for Basic authentication, who may read the metrics and nothing else.
	User string `env:"METRICS_USER" allowed:"a name"`
	// That user's password.
	Password Secret `env:"METRICS_PASSWORD" secret:"true" allowed:"a password"`
	// The addresses that may read the metrics; without it, all. Behind a reverse proxy, it
	// is the proxy's address that counts.
	AllowedIPs Prefixes `env:"METRICS_ALLOWED_IPS" allowed:"IP addresses or prefixes such as 10.0.0.0/8, separated by commas"`
}

// Webhook says how events are posted, and where to for all instances together:
// the global webhook gets every instance's events, beside its own webhook.
type Webhook struct {
	// Switches the global webhook on.
	GlobalEnabled bool `env:"WEBHOOK_GLOBAL_ENABLED" envDefault:"false"`
	// Where the global webhook posts to. Only looked at when the global webhook is
	// enabled, and then required.
	GlobalURL Secret `env:"WEBHOOK_GLOBAL_URL" secret:"url" allowed:"an absolute http:// or https:// URL"`
	// Posts each event of the global webhook to its own path below the URL, for example
	// /messages-upsert.
	GlobalByEvents bool `env:"WEBHOOK_GLOBAL_WEBHOOK_BY_EVENTS" envDefault:"false"`
	// Sends the global webhook the file of a message with it, as webhookBase64 does for
	// other webhooks.
	GlobalBase64 bool `env:"WEBHOOK_GLOBAL_WEBHOOK_BASE64" envDefault:"false"`
	// Reports each error that the API answers with to WEBHOOK_EVENTS_ERRORS_WEBHOOK, in
	// the form of the original, save that api_key is null. Such reports are not kept:
	// after five tries, or when the server stops, they are given up.
	Errors bool `env:"WEBHOOK_EVENTS_ERRORS" envDefault:"false"`
	// Where errors of the API are reported to.
	ErrorsURL Secret `env:"WEBHOOK_EVENTS_ERRORS_WEBHOOK" secret:"url" allowed:"an absolute http:// or https:// URL"`
	// How long one POST may take, from connecting to the end of the answer, beyond a
	// second for each MiB of its body. Holds for every webhook, as do all settings below.
	RequestTimeoutMS int `env:"WEBHOOK_REQUEST_TIMEOUT_MS" envDefault:"30000" range:"100,600000" unit:"milliseconds" zero:"default"`
	// Refuses to post to loopback and private addresses. Set it
	// where people whom you do not trust set webhooks. Link-local addresses and
	// those of cloud metadata services are refused in any case.
	BlockPrivate bool `env:"WEBHOOK_BLOCK_PRIVATE" envDefault:"false"`
}

// Retry says when a delivery that failed is tried again: after a pause that
// doubles from the initial to the longest one, for the length of the horizon.
type Retry struct {
	// For how long a delivery is tried again before it is given up and marked
	// "exhausted".
	HorizonHours float64 `env:"WEBHOOK_RETRY_HORIZON_HOURS" envDefault:"72" range:"0.01,8760" unit:"hours"`
	// The pause after the first failed attempt.
	InitialDelaySeconds float64 `env:"WEBHOOK_RETRY_INITIAL_DELAY_SECONDS" envDefault:"5" range:"0.01,86400" unit:"seconds" zero:"default"`
	// The longest pause. If it is shorter than the initial
	// one, the initial one holds.
	MaxDelaySeconds float64 `env:"WEBHOOK_RETRY_MAX_DELAY_SECONDS" envDefault:"3600" range:"0.01,86400" unit:"seconds" zero:"default"`
	// Doubles the pause after each failure. With false it always is
	// the initial one.
	Exponential bool `env:"WEBHOOK_RETRY_USE_EXPONENTIAL_BACKOFF" envDefault:"true"`
	// Spreads the pauses, so that what failed together does not
	// come back together: 0.2 makes each up to 20 % shorter or longer.
	JitterFactor float64 `env:"WEBHOOK_RETRY_JITTER_FACTOR" envDefault:"0.2" range:"0,1"`
	// The HTTP statuses after which an event is given up at
	// once ("rejected"). Unless WEBHOOK_RETRY_STRICT is true, those that tell of the
	// endpoint and not of the event (below 400, 401, 403, 404, 407 to 410, 421, 425, 429,
	// from 500) are taken off the list: the endpoint may only be misconfigured for now,
	// as an inactive n8n workflow is, and its events wait.
	NonRetryable StatusCodes `env:"WEBHOOK_RETRY_NON_RETRYABLE_STATUS_CODES" envDefault:"400,413,422" allowed:"HTTP statuses from 300 to 599, separated by commas"`
	// After how many attempts a delivery is given up. It has an
	// effect only if WEBHOOK_RETRY_STRICT is true; otherwise the horizon alone
	// decides, so that a copied .env does not lose events in an outage.
	MaxAttempts int `env:"WEBHOOK_RETRY_MAX_ATTEMPTS" envDefault:"10" range:"1,100000" zero:"default"`
	// Takes WEBHOOK_RETRY_MAX_ATTEMPTS and the list of statuses literally, as the
	// Evolution API does. Events are then lost in an outage that outlasts them.
	Strict bool `env:"WEBHOOK_RETRY_STRICT" envDefault:"false"`
}

// Media says how the files that come with messages are kept. They are in the folder
// files of the data folder, decrypted.
type Media struct {
	// How long an event waits for its file, which a webhook with webhookBase64 gets with
	// it, before it is sent without; and how long a link, or a call, waits for one.
	DeadlineSeconds float64 `env:"POMBO_MEDIA_DEADLINE_SECONDS" envDefault:"60" range:"0.1,3600" unit:"seconds"`
	// For how long after its message a file can be had: by its link (mediaUrl), and by the
	// message's ID. Files are fetched when they are asked for first, and removed after
	// that time at the latest.
	KeepHours float64 `env:"POMBO_MEDIA_KEEP_HOURS" envDefault:"72" range:"0.001,8760" unit:"hours"`
	// How much all files may take up together. Where there is more, the oldest go, those last that
	// events wait to be sent with; what is asked for again is fetched again.
	MaxMB int `env:"POMBO_MEDIA_MAX_MB" envDefault:"2048" range:"1,10000000" unit:"MiB"`
	// The largest file that is sent with an event. The events of larger ones go without.
	Base64MaxMB int `env:"POMBO_MEDIA_BASE64_MAX_MB" envDefault:"128" range:"1,2048" unit:"MiB"`
}

// Alarm says where and when the operator is told of trouble: a webhook whose
// endpoint fails or is gone, events that were given up, a long backlog, an
// instance that is not connected. The same is logged in any case.
type Alarm struct {
	// Where alarms are posted to, each as a JSON object (docs/deliveries.md). Without it, they
	// are only logged.
	URL Secret `env:"WEBHOOK_OPERATIONAL_URL" secret:"url" allowed:"an absolute http:// or https:// URL"`
	// Signs alarms by the Standard Webhooks scheme.
	Secret Secret `env:"WEBHOOK_OPERATIONAL_SECRET" secret:"true" allowed:"whsec_ and base64 of 24 to 64 bytes"`
	// How many events may wait for one webhook before an alarm is raised.
	Backlog int `env:"WEBHOOK_OPERATIONAL_BACKLOG" envDefault:"10000" range:"1,100000000" unit:"events" zero:"default"`
	// For how long an instance that is paired may be without a
	// connection to WhatsApp before an alarm is raised.
	OfflineMinutes float64 `env:"WEBHOOK_OPERATIONAL_OFFLINE_MINUTES" envDefault:"10" range:"0.01,100000" unit:"minutes" zero:"default"`
}

// WhatsApp says how the gateway presents itself to WhatsApp.
type WhatsApp struct {
	// The name that a phone shows under "Linked devices".
	PhoneClient string `env:"CONFIG_SESSION_PHONE_CLIENT" envDefault:"Pombo" allowed:"a name"`
	// The browser that a phone shows as the linked device's icon.
	PhoneName Browser `env:"CONFIG_SESSION_PHONE_NAME" envDefault:"Chrome" allowed:"Chrome, Firefox, Edge, Opera, Safari, IE or Desktop"`
	// Pins the announced version of WhatsApp Web. Without it, the
	// version is looked up at start, daily, and when WhatsApp calls it outdated.
	PhoneVersion WebVersion `env:"CONFIG_SESSION_PHONE_VERSION" allowed:"three numbers with dots, such as 2.3000.1023456789"`
	// How many QR codes are shown for one pairing before it is
	// given up.
	QRCodeLimit int `env:"QRCODE_LIMIT" envDefault:"30" range:"1,1000" unit:"codes" zero:"default"`
}

// Log says what is logged, and how.
type Log struct {
	// The least level that is logged. A list, as the Evolution API has
	// it, means its most verbose member: LOG and WEBHOOKS count as INFO; VERBOSE
	// and DARK as DEBUG.
	Level Level `env:"LOG_LEVEL" envDefault:"INFO" allowed:"ERROR, WARN, INFO, LOG, DEBUG, VERBOSE, DARK, WEBHOOKS or WEBSOCKET, or several separated by commas"`
	// The least level for what the WhatsApp library itself logs. The
	// variable's name is the Evolution API's.
	Library Level `env:"LOG_BAILEYS" envDefault:"warn" allowed:"fatal, error, warn, info, debug or trace"`
	// How lines are written: auto is text on a terminal and json otherwise.
	Format Format `env:"LOG_FORMAT" envDefault:"auto" allowed:"auto, text or json"`
}

// CORS says which web pages may call the API from a browser.
type CORS struct {
	// The origins that may call: * for all, or a list. An entry without a scheme
	// stands for its http:// and its https:// origin.
	Origins Origins `env:"CORS_ORIGIN" envDefault:"*" allowed:"*, or origins such as https://app.example.com separated by commas"`
	// The methods that they may use.
	Methods Methods `env:"CORS_METHODS" envDefault:"GET,POST,PUT,DELETE" allowed:"GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS, separated by commas"`
	// Lets browsers send cookies and the like along. The API itself
	// needs none: it is called with the header apikey.
	Credentials bool `env:"CORS_CREDENTIALS" envDefault:"false"`
}

// Dialects says which version of the Evolution API is spoken where a request
// does not tell.
type Dialects struct {
	// The dialect of answers that do not follow from the form of the
	// request (those to GETs): 1 for versions 1.x, 2 for 2.x. The path prefixes
	// /v1 and /v2 choose for a single call.
	Default Dialect `env:"EVOLUTION_DIALECT" envDefault:"2" allowed:"1 or 2"`
}

// Sandbox replaces WhatsApp by a simulated network, which needs no phone.
// Nothing reaches WhatsApp then; the start log says so loudly.
type Sandbox struct {
	// Runs a simulated network inside this process.
	Enabled bool `env:"SANDBOX_ENABLED" envDefault:"false" flag:"sandbox" usage:"use a simulated WhatsApp network inside this process"`
	// A simulated network in another process ("pombo sandbox"). Only a
	// loopback address is accepted, unless WHATSAPP_URL_ALLOW_REMOTE is true.
	URL SandboxURL `env:"WHATSAPP_URL" flag:"whatsapp-url" usage:"use the simulated WhatsApp network at this ws://HOST:PORT" allowed:"ws://HOST:PORT"`
	// Accepts a simulated network on another machine. Whoever runs
	// it reads everything.
	AllowRemote bool `env:"WHATSAPP_URL_ALLOW_REMOTE" envDefault:"false" flag:"allow-remote-sandbox" usage:"accept a --whatsapp-url that is not on this machine"`
}
