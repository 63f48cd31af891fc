package instance

import (
	"encoding/json"
	"strconv"

	"pombo"
	"pombo/internal/evolution"
)

// event makes an event of the instance's own lane. The key of the occurrence is
// its time: it is made here, once, and never handed over twice.
func event(i pombo.Instance, n pombo.EventName, data json.RawMessage) pombo.Event {
	t := now()
	return pombo.Event{
		Instance: i.ID, Name: n, Key: strconv.FormatInt(t.UnixNano(), 36),
		Sender: evolution.BareJID(i.JID), Time: t, Data: data,
	}
}

// startup is told to each instance's webhook when the server starts.
func startup(i pombo.Instance) pombo.Event {
	return event(i, pombo.ApplicationStartup, evolution.ApplicationStartup(i, pombo.Version))
}

func created(i pombo.Instance) []pombo.Event {
	return []pombo.Event{
		event(i, pombo.InstanceCreate, evolution.InstanceCreated(i)),
		event(i, pombo.StatusInstance, evolution.StatusInstance(i.Name, evolution.StatusCreated, pombo.Disconnection{})),
	}
}

func deleted(i pombo.Instance) []pombo.Event {
	return []pombo.Event{
		event(i, pombo.RemoveInstance, evolution.RemoveInstance()),
		event(i, pombo.InstanceDelete, evolution.InstanceDeleted(i)),
	}
}
