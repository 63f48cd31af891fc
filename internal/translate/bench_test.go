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

func ordinaryText() *events.Message {
	return received(&waE2E.Message{
		Conversation:       proto.String("Olá, tudo bem? Gostaria de saber o horário de funcionamento."),
		MessageContextInfo: &waE2E.MessageContextInfo{MessageSecret: make([]byte, 32), DeviceListMetadataVersion: proto.Int32(2)},
	})
}

// One core does 20,000 texts a second at the least, which is 50,000 ns each; it
// takes a fifth to a third of that.
func BenchmarkText(b *testing.B) { benchmark(b, ordinaryText()) }

// A text costs 29 allocations, of 2 kB together.
func TestAllocationsOfText(t *testing.T) {
	s, evt := scope(), ordinaryText()
	got := testing.AllocsPerRun(1000, func() {
		if _, err := s.Event(evt); err != nil {
			t.Fatal(err)
		}
	})
	if got > 36 { // 29, and a few more with the race detector
		t.Errorf("%v allocations for a text", got)
	}
}

func BenchmarkImage(b *testing.B) {
	benchmark(b, received(&waE2E.Message{ImageMessage: &waE2E.ImageMessage{
		URL: proto.String("https://mmg.whatsapp.net/v/t62.7118-24/1_n.enc?ccb=11-4"), Mimetype: proto.String("image/jpeg"),
		JPEGThumbnail: make([]byte, 4000), FileLength: proto.Uint64(70213), FileSHA256: make([]byte, 32),
	}}))
}
