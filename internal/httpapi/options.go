package httpapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"

	"pombo"
)

// Instances makes and finds instances.
type Instances interface {
	Create(ctx context.Context, n pombo.NewInstance) (pombo.InstanceView, error)
	Get(name string) (pombo.InstanceView, error)
	List() []pombo.InstanceView // oldest first
}

// Connections opens and closes the connections of instances.
type Connections interface {
	Connect(ctx context.Context, name, number string) (pombo.InstanceView, error)
	Restart(ctx context.Context, name string) (pombo.InstanceView, error)
	Logout(ctx context.Context, name string) error
	Delete(ctx context.Context, name string) error
}

// Webhooks keeps the webhook of each instance.
type Webhooks interface {
	SetWebhook(ctx context.Context, name string, c pombo.WebhookChange) (pombo.Webhook, error)
	Webhook(ctx context.Context, name string) (w pombo.Webhook, ok bool, err error)
}

// Messages sends.
type Messages interface {
	SendText(ctx context.Context, name string, t pombo.Text) (pombo.Sent, error)
}

// Settings keeps the habits of each instance.
type Settings interface {
	SetSettings(ctx context.Context, name string, c pombo.SettingsChange) (pombo.Settings, error)
}

// Chats does things in chats beside sending.
type Chats interface {
	MarkRead(ctx context.Context, name string, keys []pombo.MessageKey) error
	ShowPresence(ctx context.Context, name string, t pombo.Typing) error
	EditText(ctx context.Context, name string, e pombo.Edit) (pombo.Sent, error)
	DeleteMessage(ctx context.Context, name string, key pombo.MessageKey) (pombo.Sent, error)
}

// Lookups asks WhatsApp about people.
type Lookups interface {
	CheckNumbers(ctx context.Context, name string, numbers []string) ([]pombo.NumberCheck, error)
	Picture(ctx context.Context, name, number string) (jid, url string, err error)
}

// Media gives the files of messages.
type Media interface {
	// OpenMedia opens the file that a link leads to.
	OpenMedia(ctx context.Context, id string) (*pombo.MediaFile, error)
	MessageMedia(ctx context.Context, name string, r pombo.MediaRequest) (*pombo.MediaFile, error)
}

// CORS says which web pages may call the API from a browser.
type CORS struct {
	Origins     []string // "*" for all; empty for none
	Methods     []string // empty: GET, POST, PUT, DELETE
	Credentials bool
}

// Options are what the API is made of. The interfaces are required.
type Options struct {
	Instances   Instances
	Connections Connections
	Webhooks    Webhooks
	// WebhookLists and Deliveries are about all webhooks of an instance.
	WebhookLists WebhookLists
	Deliveries   Deliveries
	Messages     Messages
	Settings     Settings
	Chats        Chats
	Lookups      Lookups
	Media        Media

	// JWT, if set, makes the key of an instance a JWT.
	JWT *JWT
	// GlobalKey opens every route. With "" none opens that needs it.
	GlobalKey string
	// ExposeKeys lets fetchInstances of dialect 1 tell keys
	// (AUTHENTICATION_EXPOSE_IN_FETCH_INSTANCES). Dialect 2 always tells them: to
	// the bearer of the global key, or of the very key.
	ExposeKeys bool
	// Dialect is 1 or 2, for answers that do not follow from the form of their
	// request; 0 is 2.
	Dialect int
	// ServerURL is the public address of the server, without a slash at the end;
	// may be "".
	ServerURL string
	Version   string
	// WhatsAppVersion returns the version of WhatsApp Web that sessions announce;
	// may be nil.
	WhatsAppVersion func() string
	// Health tells whether the server can do its work; nil: it can.
	Health func(context.Context) error
	CORS   CORS
	// Sandbox serves what is below /sandbox, to the bearer of the global key. It
	// sees the whole path. nil: there is no such route.
	Sandbox http.Handler
	// OnError is told of each error that a route answers with; nil: nobody is. It must
	// not wait.
	OnError func(status int, answer json.RawMessage)
	// Metrics serves GET /metrics, to whoever MetricsAccess lets in. nil: there is no
	// such route.
	Metrics       http.Handler
	MetricsAccess MetricsAccess
	Logger        *slog.Logger // nil: nothing is logged
}
