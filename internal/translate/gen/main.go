// Command gen writes docs/events.md: each event, when it is sent and what is in
// it, with examples from the golden files of package translate. The examples alone
// it writes to internal/evolution/samples.json, for POST /webhook/test.
//
// It runs in internal/translate ("go generate ./internal/translate"). A test
// fails when the files are not what it would write.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pombo"
	"pombo/internal/docgen"
)

func main() { docgen.Main(files(".")...) }

// files are the document and the samples of the package in the folder dir.
func files(dir string) []docgen.File {
	return []docgen.File{
		{
			Path: filepath.Join(dir, "..", "..", "docs", "events.md"),
			Make: func() ([]byte, error) { return generate(dir) },
		},
		{
			Path: filepath.Join(dir, "..", "evolution", "samples.json"),
			Make: func() ([]byte, error) { return samples(dir) },
		},
	}
}

// samples returns the data of one example of each event that has one, by name.
func samples(dir string) ([]byte, error) {
	all := map[pombo.EventName]json.RawMessage{}
	for name, e := range entries {
		example, err := e.example(dir, name)
		if err != nil {
			return nil, err
		}
		if example != nil {
			all[name] = example
		}
	}
	b, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encoding the samples: %w", err)
	}
	return append(b, '\n'), nil
}

const head = `<!-- Written by "go generate ./internal/translate" from internal/translate/gen/events.go and the golden files. Do not edit. -->

# Events

What a webhook can ask for, when it is sent, and what stands in its ` + "`data`" + `. Each is one POST:

` + "```json" + `
{"event": "messages.upsert", "instance": "my-instance", "data": {}, "destination": "https://example.com/hook", "date_time": "2025-06-30T12:00:00.000Z", "sender": "5511888880000@s.whatsapp.net", "server_url": "http://localhost:8080", "apikey": null}
` + "```" + `

- The data is a superset of what versions 1.8.2 and 2.3.6 of the Evolution API send. A protobuf is shown as Baileys' toJSON does:
  bytes in base64, 64-bit integers as texts, enums by name, what is unset left out.
- A person is shown as the phone number whenever it is known (` + "`5511999990000@s.whatsapp.net`" + `), and the other form (` + "`…@lid`" + `)
  stands beside it: ` + "`remoteJidAlt`, `participantAlt`, `authorLid`, `lid`" + `.
- Events of one chat arrive in order; those of no chat are in order among themselves ([deliveries.md](deliveries.md)).
- Nothing is sent of groups with the setting ` + "`groupsIgnore`" + `, nor of the status broadcast without ` + "`readStatus`" + `.
- An event is stored before WhatsApp is told that its cause was received, so a crash loses none, with these exceptions, whose
  cause is confirmed first: names of people (CONTACTS_UPSERT, CONTACTS_UPDATE and CHATS_UPSERT that a message brings),
  MESSAGES_UNDECRYPTABLE of a message that is malformed or by a bot of Meta's, and PRESENCE_UPDATE, which WhatsApp never repeats. A crash in that moment loses them.
- What the phone synchronizes is announced first and fetched then: its history (MESSAGES_SET, CHATS_SET, CONTACTS_SET) and its
  settings (CHATS_UPDATE, CHATS_DELETE, CONTACTS_UPSERT from the address book, labels, stars, deletions for oneself). A crash in
  between loses none of it, nor does a change while Pombo is away: the announcement of history is stored before it is confirmed,
  and what is new in the settings is asked for at each connection and counts as read only when its events are stored.
- After pairing the settings are told as they stand: the names in the address book, in few CONTACTS_UPSERT; what is archived,
  pinned, muted and marked as unread; labels. What happened to messages before, and chats that were deleted, is not told.
- Errors of Pombo's own API are no events of an instance; they can be reported to a URL of their own, as in the original:
  ` + "`WEBHOOK_EVENTS_ERRORS` in [configuration.md](configuration.md)" + `.

| event | wire name | path of a webhook by events | |
| --- | --- | --- | --- |
`

// generate returns the document.
func generate(dir string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(head)
	for _, name := range pombo.EventNames() {
		e, ok := entries[name]
		if !ok {
			return nil, fmt.Errorf("%s is not described: add it to events.go", name)
		}
		fmt.Fprintf(&b, "| [%s](#%s) | `%s` | `/%s` | %s |\n", name, strings.ToLower(string(name)), name.Wire(), name.PathSuffix(), e.brief())
	}
	for _, name := range pombo.EventNames() {
		if err := write(&b, dir, name, entries[name]); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

// brief is what the table says of an event.
func (e entry) brief() string {
	if e.absent != "" {
		return "not sent"
	}
	return ""
}

func write(b *bytes.Buffer, dir string, name pombo.EventName, e entry) error {
	fmt.Fprintf(b, "\n## %s\n\n`%s`\n", name, name.Wire())
	if e.absent != "" {
		fmt.Fprintf(b, "\n**Not sent**: %s\n", e.absent)
	}
	if e.when != "" {
		fmt.Fprintf(b, "\n**When**: %s\n", e.when)
	}
	if e.data != "" {
		fmt.Fprintf(b, "\n**Data**: %s\n", e.data)
	}
	for i, note := range e.notes {
		if i == 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(b, "- %s\n", note)
	}
	if name == pombo.MessagesUpsert {
		types, err := messageTypes(dir)
		if err != nil {
			return err
		}
		fmt.Fprintf(b, "\nThe types (`messageType`) and what stands in `message` under that name: `%s`.\n", strings.Join(types, "`, `"))
	}
	example, err := e.example(dir, name)
	if err != nil || example == nil {
		return err
	}
	b.WriteString("\n```json\n")
	if err := json.Indent(b, example, "", "  "); err != nil {
		return fmt.Errorf("the example of %s: %w", name, err)
	}
	b.WriteString("\n```\n")
	return nil
}

// example returns nil for an event that has none.
func (e entry) example(dir string, name pombo.EventName) ([]byte, error) {
	if e.made != nil {
		return e.made()
	}
	if e.golden == "" {
		return nil, nil
	}
	var file []struct {
		Event pombo.EventName
		Data  json.RawMessage
	}
	if err := read(filepath.Join(dir, "testdata", "events", e.golden+".json"), &file); err != nil {
		return nil, err
	}
	for _, one := range file {
		if one.Event == name {
			return one.Data, nil
		}
	}
	return nil, fmt.Errorf("the golden file %s has no %s", e.golden, name)
}

// messageTypes lists the types of messages that there are golden files of.
func messageTypes(dir string) ([]string, error) {
	var types []string
	for _, folder := range [...]string{"golden", "types"} {
		files, err := filepath.Glob(filepath.Join(dir, "testdata", folder, "*.json"))
		if err != nil {
			return nil, fmt.Errorf("listing golden files: %w", err)
		}
		for _, path := range files {
			var message struct{ MessageType string }
			if err := read(path, &message); err != nil {
				return nil, err
			}
			types = append(types, message.MessageType)
		}
	}
	slices.Sort(types)
	return slices.Compact(types), nil
}

func read(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading a golden file: %w", err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("reading the golden file %s: %w", path, err)
	}
	return nil
}
