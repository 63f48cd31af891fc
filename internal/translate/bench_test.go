package translate

import (
	"testing"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"
)

func benchmark(b *testing.B, evt *events.Message) {
	s := scope()
	b.ReportAllocs()
	for b.Loop() {
		if out, err := s.Event(evt); err != nil || len(out) != 1 {
			b.Fatal(out, err)
		}
	}
}

func BenchmarkText(b *testing.B) {
	benchmark(b, received(&waE2E.Message{
		Conversation:       proto.String("Olá, tudo bem? Gostaria de saber o horário de funcionamento."),
		MessageContextInfo: &waE2E.MessageContextInfo{MessageSecret: make([]byte, 32), DeviceListMetadataVersion: proto.Int32(2)},
	}))
}

func BenchmarkImage(b *testing.B) {
	benchmark(b, received(&waE2E.Message{ImageMessage: &waE2E.ImageMessage{
		URL: proto.String("https://mmg.whatsapp.net/v/t62.7118-24/1_n.enc?ccb=11-4"), Mimetype: proto.String("image/jpeg"),
		JPEGThumbnail: make([]byte, 4000), FileLength: proto.Uint64(70213), FileSHA256: make([]byte, 32),
	}}))
}
