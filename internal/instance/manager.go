package instance

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"pombo"
)

// Manager is the registry of living instances. Its methods may be called from
// any goroutine.
type Manager struct {
	o   Options
	log *slog.Logger

	mu     sync.RWMutex
	byName map[string]*entry
	byID   map[pombo.InstanceID]*entry
	// reserved holds the names of instances that are being created, and the tokens
	// they were given; "" for those that get one.
	reserved map[string]string
}

// entry is one instance. Its locks, always taken in this order: op makes the
// calls that change its life follow one another, and is held while a session
// works; hook does the same for its webhook, which must not wait for a session;
// data guards the record, and is held while it is stored, so that memory and
// store change in the same order. A session reports through data alone: it does
// so while an operation waits for it.
type entry struct {
	op   sync.Mutex
	hook sync.Mutex

	data sync.Mutex
	inst pombo.Instance
	gone atomic.Bool // deleted
	// leaving tells that a logout was asked for and is under way; unlinked is
	// InstanceView.Unlinked.
	leaving, unlinked atomic.Bool
	session           Session // never changes
}

func (e *entry) instance() pombo.Instance {
	e.data.Lock()
	defer e.data.Unlock()
	return e.inst
}

func (e *entry) view() pombo.InstanceView {
	v := pombo.InstanceView{Instance: e.instance(), Unlinked: e.unlinked.Load()}
	v.State, v.QR = e.session.Snapshot()
	return v
}

// New makes a manager without instances; Load fills it.
func New(o Options) *Manager {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Manager{
		o: o, log: o.Logger,
		byName:   map[string]*entry{},
		byID:     map[pombo.InstanceID]*entry{},
		reserved: map[string]string{},
	}
}

// Load reads the stored instances into the registry and tells each one's
// webhook that the application started. It connects nothing: Restore does.
func (m *Manager) Load(ctx context.Context) error {
	instances, err := m.o.Store.Instances(ctx)
	if err != nil {
		return err
	}
	for _, inst := range instances {
		e := &entry{inst: inst, session: m.o.NewSession(inst)}
		m.byName[inst.Name], m.byID[inst.ID] = e, e
	}
	events := make([]pombo.Event, len(instances))
	for i, inst := range instances {
		events[i] = startup(inst)
	}
	return m.o.Store.Append(ctx, events...)
}

// Get returns the instance called name, or a NotFound error.
func (m *Manager) Get(name string) (pombo.InstanceView, error) {
	e, err := m.entry(name)
	if err != nil {
		return pombo.InstanceView{}, err
	}
	return e.view(), nil
}

// List returns all living instances, oldest first.
func (m *Manager) List() []pombo.InstanceView {
	m.mu.RLock()
	entries := make([]*entry, 0, len(m.byName))
	for _, e := range m.byName {
		entries = append(entries, e)
	}
	m.mu.RUnlock()
	views := make([]pombo.InstanceView, len(entries))
	for i, e := range entries {
		views[i] = e.view()
	}
	slices.SortFunc(views, func(a, b pombo.InstanceView) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.Name, b.Name))
	})
	return views
}

func (m *Manager) entry(name string) (*entry, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if e := m.byName[name]; e != nil {
		return e, nil
	}
	return nil, notFound(name)
}

// hold returns the living instance called name with its operation lock taken;
// the caller releases it.
func (m *Manager) hold(name string) (*entry, error) {
	return m.held(name, func(e *entry) *sync.Mutex { return &e.op })
}

// holdHook is hold with the lock of its webhooks.
func (m *Manager) holdHook(name string) (*entry, error) {
	return m.held(name, func(e *entry) *sync.Mutex { return &e.hook })
}

func (m *Manager) held(name string, lock func(*entry) *sync.Mutex) (*entry, error) {
	e, err := m.entry(name)
	if err != nil {
		return nil, err
	}
	lock(e).Lock()
	if e.gone.Load() {
		lock(e).Unlock()
		return nil, notFound(name)
	}
	return e, nil
}

// able returns the session of the instance called name as one that can do more:
// what says what, after "cannot".
func able[T any](m *Manager, name, what string) (T, error) {
	e, err := m.entry(name)
	if err != nil {
		var none T
		return none, err
	}
	s, ok := e.session.(T)
	if !ok {
		return s, pombo.Errorf(pombo.Invalid, "The %q instance cannot %s", name, what)
	}
	return s, nil
}

func notFound(name string) error {
	return pombo.Errorf(pombo.NotFound, "The %q instance does not exist", name)
}

// newToken makes an instance's key, in the form that the Evolution API gives:
// an upper-case UUID.
func newToken() string { return strings.ToUpper(uuid.NewString()) }

// newWebhookID makes an ID in the looks of those that clients of the Evolution
// API know (a cuid: "c" and 24 of 0–9, a–z).
func newWebhookID() string { return "c" + strings.ToLower(rand.Text()[:24]) }

func now() time.Time { return time.Now().UTC() }
