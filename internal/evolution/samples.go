package evolution

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"sync"

	"pombo"
)

//go:embed samples.json
var samplesJSON []byte

// decoded once, when it is first asked for; without the white space of the file, since
// events have none.
var samples = sync.OnceValues(func() (all map[pombo.EventName]json.RawMessage, err error) {
	var compact bytes.Buffer
	if err = json.Compact(&compact, samplesJSON); err == nil {
		err = json.Unmarshal(compact.Bytes(), &all)
	}
	if err != nil {
		err = fmt.Errorf("decoding the samples: %w", err)
	}
	return all, err
})

// Sample returns the data of an example of an event; an Invalid error if it is one
// that is never sent.
func Sample(n pombo.EventName) (json.RawMessage, error) {
	all, err := samples()
	if err != nil {
		return nil, err
	}
	data, ok := all[n]
	if !ok {
		return nil, pombo.Errorf(pombo.Invalid, "There is no sample of %s, since it is never sent: docs/events.md lists the events", n)
	}
	return data, nil
}
