package whatsapp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/store"
)

const (
	versionFile  = "whatsapp-web-version"
	versionEvery = 24 * time.Hour
	// versionPause keeps sessions that are all called outdated at once from looking
	// the version up more than once.
	versionPause = time.Minute
	versionLimit = 30 * time.Second // for one look-up
)

// versions knows which version of WhatsApp Web to announce. WhatsApp refuses
// clients of a version some months old, so a binary must be able to keep up.
type versions struct {
	pinned bool
	lookUp func(context.Context) (store.WAVersionContainer, error) // nil: never
	file   string                                                  // "": none
	log    *slog.Logger

	mu       sync.Mutex
	current  store.WAVersionContainer
	lookedUp time.Time

	turn sync.Mutex // held by the one that looks up
}

func newVersions(pin, dataDir string, internet bool, transport http.RoundTripper, log *slog.Logger) (*versions, error) {
	v := &versions{log: log, current: store.GetWAVersion()}
	if pin != "" {
		parsed, err := store.ParseVersion(pin)
		if err != nil || parsed.IsZero() {
			return nil, fmt.Errorf("%q is not a version of WhatsApp Web: write three numbers with dots, such as %s", pin, v.current)
		}
		v.current, v.pinned = parsed, true
		return v, nil
	}
	if !internet {
		return v, nil
	}
	client := &http.Client{Transport: transport, Timeout: versionLimit}
	v.lookUp = func(ctx context.Context) (store.WAVersionContainer, error) {
		found, err := whatsmeow.GetLatestVersion(ctx, client)
		if err != nil {
			return store.WAVersionContainer{}, err
		}
		return *found, nil
	}
	if dataDir != "" {
		v.file = filepath.Join(dataDir, versionFile)
		v.load()
	}
	return v, nil
}

func (v *versions) get() store.WAVersionContainer {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.current
}

// load takes the version of the last look-up, unless this binary knows a newer
// one. A file that cannot be read is as good as none: the look-up follows.
func (v *versions) load() {
	text, err := os.ReadFile(v.file)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	kept, perr := store.ParseVersion(strings.TrimSpace(string(text)))
	if err = errors.Join(err, perr); err != nil {
		v.log.Warn("the kept version of WhatsApp Web is not usable", "file", v.file, "err", err)
		return
	}
	if v.current.LessThan(kept) {
		v.current = kept
	}
}

// run looks the version up at once and then daily.
func (v *versions) run(ctx context.Context) {
	if v.lookUp == nil {
		<-ctx.Done()
		return
	}
	ticker := time.NewTicker(versionEvery)
	defer ticker.Stop()
	for {
		v.refresh(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// refresh looks the version up, unless that has just been done. If it fails, the
// last known one stays.
func (v *versions) refresh(ctx context.Context) {
	if v.lookUp == nil {
		return
	}
	v.turn.Lock()
	defer v.turn.Unlock()
	v.mu.Lock()
	recent := !v.lookedUp.IsZero() && time.Since(v.lookedUp) < versionPause
	v.mu.Unlock()
	if recent {
		return
	}
	found, err := v.lookUp(ctx)
	if err != nil {
		if ctx.Err() == nil {
			v.log.Warn("looking up the version of WhatsApp Web failed: the last known one stays", "version", v.get().String(), "err", err)
		}
		return
	}
	v.mu.Lock()
	changed := v.current != found
	v.current, v.lookedUp = found, time.Now()
	v.mu.Unlock()
	if !changed {
		return
	}
	v.log.Info("WhatsApp Web has a new version", "version", found.String())
	if v.file == "" {
		return
	}
	if err := replaceFile(v.file, found.String()+"\n"); err != nil {
		v.log.Warn("keeping the version of WhatsApp Web failed", "err", err)
	}
}

// replaceFile writes a file so that a reader finds the old text or the new one.
func replaceFile(path, text string) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
