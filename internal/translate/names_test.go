package translate

import (
	"strings"
	"testing"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waHistorySync"
	"go.mau.fi/whatsmeow/proto/waSyncAction"
	"go.mau.fi/whatsmeow/proto/waWeb"
	"google.golang.org/protobuf/reflect/protoreflect"
)

func TestJSONName(t *testing.T) {
	for in, want := range map[string]string{
		"conversation":                    "conversation",
		"URL":                             "url",
		"PTT":                             "ptt",
		"ID":                              "id",
		"JPEGThumbnail":                   "jpegThumbnail",
		"fileSHA256":                      "fileSha256",
		"fileEncSHA256":                   "fileEncSha256",
		"stanzaID":                        "stanzaId",
		"remoteJID":                       "remoteJid",
		"mentionedJID":                    "mentionedJid",
		"senderTimestampMS":               "senderTimestampMs",
		"faviconCDNURL":                   "faviconCdnUrl",
		"imageURLs":                       "imageUrls",
		"keyIDs":                          "keyIds",
		"faviconMMSMetadata":              "faviconMMSMetadata",
		"threadIDUserSecret":              "threadIdUserSecret",
		"timestampMSString":               "timestampMsString",
		"messageC2STimestamp":             "messageC2STimestamp",
		"viewOnceMessageV2":               "viewOnceMessageV2",
		"is1PBizBotMessage":               "is1PBizBotMessage",
		"originalSelfAuthorUserJIDString": "originalSelfAuthorUserJidString",
	} {
		if got := jsonName(in); got != want {
			t.Errorf("jsonName(%q) = %q, want %q", in, got, want)
		}
	}
}

// walk visits every message type that can stand inside md.
func walk(md protoreflect.MessageDescriptor, visit func(protoreflect.MessageDescriptor)) {
	seen := map[protoreflect.FullName]bool{}
	var do func(protoreflect.MessageDescriptor)
	do = func(md protoreflect.MessageDescriptor) {
		if seen[md.FullName()] {
			return
		}
		seen[md.FullName()] = true
		visit(md)
		for i := range md.Fields().Len() {
			if sub := md.Fields().Get(i).Message(); sub != nil {
				do(sub)
			}
		}
	}
	do(md)
}

// all visits every message type of a file, nested ones too.
func all(types protoreflect.MessageDescriptors, visit func(protoreflect.MessageDescriptor)) {
	for i := range types.Len() {
		visit(types.Get(i))
		all(types.Get(i).Messages(), visit)
	}
}

// Every field of every message type has a name of its own in Baileys' manner:
// it begins with a small letter and has no run of capitals but where a word of one
// letter meets another word.
func TestEveryFieldHasAName(t *testing.T) {
	types := 0
	visit := func(md protoreflect.MessageDescriptor) {
		types++
		s := shapeOf(md)
		if len(s.byName) != md.Fields().Len() {
			t.Errorf("%s: two fields have the same JSON name", md.FullName())
		}
		last := protoreflect.FieldNumber(0)
		for _, f := range s.fields {
			if f.fd.Number() <= last {
				t.Errorf("%s: fields are not in ascending order at %s", md.FullName(), f.name)
			}
			last = f.fd.Number()
			if isUpper(f.name[0]) || strings.Contains(f.name, "_") {
				t.Errorf("%s.%s is shown as %q", md.FullName(), f.fd.Name(), f.name)
			}
			if !strings.EqualFold(f.name, string(f.fd.Name())) {
				t.Errorf("%s.%s became another word: %q", md.FullName(), f.fd.Name(), f.name)
			}
			for i := 2; i < len(f.name); i++ {
				if isUpper(f.name[i]) && isUpper(f.name[i-1]) && isUpper(f.name[i-2]) && f.name != "faviconMMSMetadata" {
					t.Errorf("%s.%s is shown as %q", md.FullName(), f.fd.Name(), f.name)
				}
			}
		}
	}
	for _, file := range []protoreflect.FileDescriptor{
		waE2E.File_waE2E_WAWebProtobufsE2E_proto, waWeb.File_waWeb_WAWebProtobufsWeb_proto,
		waHistorySync.File_waHistorySync_WAWebProtobufsHistorySync_proto, waSyncAction.File_waSyncAction_WAWebProtobufSyncAction_proto,
	} {
		all(file.Messages(), visit)
	}
	// What stands in them and is defined elsewhere.
	walk((&waE2E.Message{}).ProtoReflect().Descriptor(), visit)
	walk((&waHistorySync.HistorySync{}).ProtoReflect().Descriptor(), visit)
	walk((&waSyncAction.SyncActionValue{}).ProtoReflect().Descriptor(), visit)
	if types < 900 {
		t.Errorf("only %d message types were visited", types)
	}
}
