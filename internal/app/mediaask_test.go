package app_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"pombo/internal/pombotest"
	"pombo/internal/sandbox"
)

// The file of a message can be asked for by its ID, or with the whole message, in
// both dialects; no webhook needs to have wanted it.
func TestGetBase64FromMediaMessage(t *testing.T) {
	k := newMediaTalk(t)
	k.base64(false)
	content := bytes.Repeat([]byte("0123456789"), 20_000)
	id := k.sendFile(sandbox.MediaRequest{
		Kind: "document", Content: base64.StdEncoding.EncodeToString(content), FileName: "a.pdf", Mimetype: "application/pdf", Caption: "see",
	})
	_, data := k.told("messages.upsert", id)
	const path = "/chat/getBase64FromMediaMessage/my%20instance"
	file := base64.StdEncoding.EncodeToString(content)
	k.on("by its ID", func(k *talk) {
		v1 := `{"mediaType":"documentMessage","fileName":"a.pdf","caption":"see","size":{"fileLength":"200000"},"mimetype":"application/pdf","base64":"` + file + `"}`
		v2 := strings.TrimSuffix(v1, "}") + `,"buffer":null}`
		k.asked("/v1"+path, byID(id), v1)
		k.asked(path, byID(id), v2)
		k.asked("/v2"+path, byID(id), v2)
	})
	k.on("with the whole message", func(k *talk) {
		// One that was never here: it came to another instance.
		var message map[string]any
		if err := json.Unmarshal([]byte(data), &message); err != nil {
			k.Fatal(err)
		}
		key := message["key"].(map[string]any)
		key["id"] = "3A00000000000000UNKNOWN"
		v2 := `{"mediaType":"documentMessage","fileName":"a.pdf","caption":"see","size":{"fileLength":"200000"},"mimetype":"application/pdf","base64":"` + file + `","buffer":null}`
		k.asked(path, map[string]any{"message": message}, v2)
		delete(message, "key")
		k.asked(path, map[string]any{"message": message, "convertToMp4": false}, v2)
	})
	k.on("a picture", func(k *talk) {
		id := k.sendFile(sandbox.MediaRequest{Kind: "image"})
		k.told("messages.upsert", id)
		var got struct {
			FileName string
			Size     struct{ Height, Width int }
			Base64   []byte
		}
		k.gateway.Must("POST", path, byID(id), &got)
		if got.FileName != id+".jpeg" || got.Size.Height != 64 || got.Size.Width != 64 || len(got.Base64) < 500 {
			k.Errorf("got %+v", got)
		}
	})
	k.on("refused", func(k *talk) { testMediaRefused(k, path, data) })
	k.on("without a webhook", func(k *talk) {
		pombotest.Pair(k, k.gateway.Client, k.network.Server, "quiet", "5511988880009", "")
		id := k.sendFile(sandbox.MediaRequest{From: contact, To: "5511988880009", Kind: "image"})
		status := 0
		pombotest.Eventually(k, patience, "the message to come", func() bool {
			status, _ = k.gateway.Do("POST", "/chat/getBase64FromMediaMessage/quiet", byID(id))
			return status != 400
		})
		if status != 201 {
			k.Errorf("answered %d", status)
		}
	})
	k.network.CheckRules(t)
}

// asked checks the answer to a request for a file.
func (k *talk) asked(path string, body any, want string) {
	k.Helper()
	if status, answer := k.gateway.Do("POST", path, body); status != 201 || string(answer) != want {
		k.Errorf("%s: %d %.200s, want %.200s", path, status, answer, want)
	}
}

func testMediaRefused(k *talk, path, data string) {
	text := k.network.Write(contact, phone, "no file")
	k.told("messages.upsert", text)
	for _, c := range []struct{ body, want string }{
		{`{"message":{"key":{"id":"` + text + `"}}}`, `["Message not found","`},
		{`{"message":{"key":{"id":"` + text + `"},"message":{"conversation":"no file"}}}`, `["The message is not of the media type"]`},
		{`{"message":{"key":{"id":"X"},"message":{"messageContextInfo":{}}}}`, `["The message is messageContextInfo"]`},
		{`{"message":{"key":{"id":"X"},"message":{"imageMessage":{"mediaKey":"AAAA"}}}}`, `["The file could not be fetched: the message does not say where`},
		{`{"message":{"key":{"id":"X"},"message":{"imageMessage":{"mediaKey":"AAAA","url":"http://169.254.169.254/x","directPath":"@169.254.169.254/x"}}}}`, `["The file could not be fetched: the message does not say where`},
		{`{"message":{}}`, `["message.key.id is missing`},
		{`{"message":"` + text + `"}`, `["message is the string`},
		{`{"message":{"key":{"id":7}}}`, `["message.key.id is the number`},
		{`{"message":{"key":{"id":"X"},"message":"x"}}`, `["message.message is the string`},
		{`{}`, `["message is missing`},
	} {
		if got := k.gateway.Refused("POST", path, c.body, 400); !strings.HasPrefix(got, c.want) {
			k.Errorf("%s: %s, want %s", c.body, got, c.want)
		}
	}
	// The wrong key: what is fetched cannot be read.
	wrong := strings.Replace(data, `"mediaKey":"`, `"mediaKey":"AAAA`, 1)
	if got := k.gateway.Refused("POST", path, `{"message":`+strings.Replace(wrong, `"id":"`, `"id":"X`, 1)+`}`, 400); !strings.Contains(got, "not what the message says") {
		k.Errorf("with a wrong key: %s", got)
	}
}
