package main

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"pombo"
	"pombo/internal/config"
	"pombo/internal/store"
)

// names gives instances their names: NUMBER=NAME, any number of times.
type names map[string]string

func (n names) String() string { return "" }

func (n names) Set(s string) error {
	number, name, ok := strings.Cut(s, "=")
	if !ok || number == "" {
		return fmt.Errorf("%q is not NUMBER=NAME", s)
	}
	n[number] = name
	return nil
}

// importDevices takes over the paired devices of another program that uses
// whatsmeow, so that nobody has to scan a code again.
func importDevices(ctx context.Context, c call) (err error) {
	var from string
	called := names{}
	if err := parseFlags("import", c, func(fs *flag.FlagSet) {
		fs.StringVar(&from, "from", "", "`database` of the other program: an SQLite file, or a postgresql:// URL")
		fs.Var(called, "name", "name of the instance of a number, `NUMBER=NAME`; may be given more than once (otherwise it is the number)")
	}); err != nil {
		return err
	}
	if from == "" {
		return fmt.Errorf("%w: --from is missing: give the other program's database", errUsage)
	}
	cfg, err := config.Load(c.env)
	if err != nil {
		return err
	}
	source, err := store.OpenSource(ctx, from)
	if err != nil {
		return err
	}
	defer source.Close()
	devices, err := source.Devices(ctx)
	if err != nil {
		return err
	}
	into, err := store.Open(ctx, store.Options{URI: cfg.DatabaseURI(), Global: cfg.GlobalWebhook(), Logger: newLogger(c.stderr, cfg)})
	if err != nil {
		return err
	}
	defer func() {
		if cerr := into.Close(); err == nil {
			err = cerr
		}
	}()
	return importAll(ctx, c, source, into, devices, called)
}

func importAll(ctx context.Context, c call, source *store.Source, into *store.Store, devices []store.SourceDevice, called names) error {
	done, failed := 0, 0
	for _, d := range devices {
		i := instanceOf(d, called)
		err := pombo.ValidateInstanceName(i.Name)
		if err == nil {
			err = into.Import(ctx, source, i)
		}
		switch {
		case err == nil:
			done++
			fmt.Fprintf(c.stdout, "%s is the instance %q, with the apikey %s\n", d.JID.User, i.Name, i.Token)
		case pombo.KindOf(err) == pombo.Conflict:
			fmt.Fprintf(c.stdout, "%s was left as it is: %v\n", d.JID.User, err)
		default:
			failed++
			fmt.Fprintf(c.stderr, "%s was not imported: %v\n", d.JID.User, err)
		}
	}
	fmt.Fprintf(c.stdout, "\n%d of %d devices imported. Leave the other program stopped: one device cannot be used by two.\n", done, len(devices))
	if failed > 0 {
		return fmt.Errorf("%d devices were not imported", failed)
	}
	return nil
}

func instanceOf(d store.SourceDevice, called names) pombo.Instance {
	now := time.Now()
	i := pombo.Instance{
		ID: pombo.InstanceID(uuid.NewString()), Name: d.JID.User, Token: strings.ToUpper(uuid.NewString()),
		Number: d.JID.User, JID: d.JID.String(), ProfileName: d.PushName, CreatedAt: now, UpdatedAt: now,
	}
	if !d.LID.IsEmpty() {
		i.LID = d.LID.ToNonAD().String()
	}
	if name := called[d.JID.User]; name != "" {
		i.Name = name
	}
	return i
}
