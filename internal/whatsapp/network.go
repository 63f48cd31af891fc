package whatsapp

import (
	"context"
	"crypto/md5"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waCompanionReg"
	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"

	"pombo"
	"pombo/internal/warm"
)

// Network is the way to WhatsApp that all sessions of the process share.
type Network struct {
	o         Options
	log       *slog.Logger
	timing    timing
	versions  *versions
	transport http.RoundTripper
	props     *waCompanionReg.DeviceProps
	histories chan struct{} // a token for each part of a history that is in memory
	warm      *warm.Pool
}

// New makes a Network. Errors: a version that is not three numbers, a patience
// beyond its limit.
func New(o Options) (*Network, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.QRLimit == 0 {
		o.QRLimit = 30
	}
	n := &Network{
		o: o, log: o.Logger, timing: defaultTiming(), transport: o.Transport, histories: make(chan struct{}, historiesAtOnce), warm: warm.New(),
	}
	if o.Patience > maxPatience {
		return nil, fmt.Errorf("a patience of %s is too long: at most %s", o.Patience, maxPatience)
	}
	if o.Patience > 0 {
		n.timing.patience = o.Patience
	}
	if o.MaxBackoff > 0 {
		n.timing.backoffMax = o.MaxBackoff
		n.timing.backoffMin = min(n.timing.backoffMin, o.MaxBackoff)
		n.timing.historyMax = o.MaxBackoff
		n.timing.historyMin = min(n.timing.historyMin, o.MaxBackoff)
	}
	if n.transport == nil {
		n.transport = http.DefaultTransport.(*http.Transport).Clone()
	}
	if o.RootKey != nil && whatsmeow.WACertPubKey != *o.RootKey {
		whatsmeow.WACertPubKey = *o.RootKey
	}
	if n.o.Unsynced == nil {
		n.o.Unsynced = func(ctx context.Context) context.Context { return ctx }
	}
	var err error
	n.versions, err = newVersions(o.Version, o.DataDir, o.Transport == nil, n.transport, n.log)
	if err != nil {
		return nil, err
	}
	n.props = deviceProps(o.PhoneClient, o.PhoneName)
	return n, nil
}

// Run keeps the version of WhatsApp Web up to date until ctx ends.
func (n *Network) Run(ctx context.Context) { n.versions.run(ctx) }

// Version returns the version of WhatsApp Web that new connections announce.
func (n *Network) Version() string { return n.versions.get().String() }

// Session makes the session of an instance, not connected.
func (n *Network) Session(inst pombo.Instance) *Session {
	s := &Session{
		n: n, id: inst.ID, name: inst.Name,
		log:     n.log.With("instance", inst.Name),
		changed: make(chan struct{}),
		lookups: newLookups(),
	}
	s.settings.Store(&inst.Settings)
	s.snap = snapshot{state: pombo.StateClose}
	s.account = account{name: inst.ProfileName, picture: inst.ProfilePictureURL}
	if jid, err := types.ParseJID(inst.JID); err == nil && inst.JID != "" {
		s.account.jid = jid
	}
	if lid, err := types.ParseJID(inst.LID); err == nil && inst.LID != "" {
		s.account.lid = lid.ToNonAD()
	}
	return s
}

// deviceProps is how the phone lists us, in the manner of Baileys: the program
// as the operating system, the browser as the platform.
func deviceProps(client, browser string) *waCompanionReg.DeviceProps {
	if client == "" {
		client = "Pombo"
	}
	if browser == "" {
		browser = "Chrome"
	}
	props := proto.Clone(store.DeviceProps).(*waCompanionReg.DeviceProps)
	props.Os = proto.String(client)
	props.PlatformType = waCompanionReg.DeviceProps_CHROME.Enum()
	if v, ok := waCompanionReg.DeviceProps_PlatformType_value[strings.ToUpper(browser)]; ok {
		props.PlatformType = waCompanionReg.DeviceProps_PlatformType(v).Enum()
	}
	return props
}

// payload is what a client says of itself when it connects. whatsmeow keeps the
// version and the properties in package variables, which connections of other
// sessions read meanwhile, and store.SetWAVersion does not reach the payload that
// was built from the old version: so they are put into each payload here, and
// nothing global changes after start.
func (n *Network) payload(d *store.Device, fullSync bool) *waWa6.ClientPayload {
	v := n.versions.get()
	p := d.GetClientPayload()
	p.UserAgent.AppVersion = v.ProtoAppVersion()
	if reg := p.DevicePairingData; reg != nil {
		hash := md5.Sum([]byte(v.String())) // what the protocol asks for; it protects nothing
		reg.BuildHash = hash[:]
		props := proto.Clone(n.props).(*waCompanionReg.DeviceProps)
		props.RequireFullSync = proto.Bool(fullSync)
		if b, err := proto.Marshal(props); err == nil {
			reg.DeviceProps = b
		}
	}
	return p
}
