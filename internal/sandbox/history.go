package sandbox

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waHistorySync"
	"google.golang.org/protobuf/proto"
)

// HistoryRequest lets a phone give its companions the messages from before they were linked. Give Chats, or
// Conversations and Messages to have some made up, or neither for what the phone remembers.
type HistoryRequest struct {
	Number string `json:"number"`           // the account; it has companions
	Device int    `json:"device,omitempty"` // the companion; 0: all
	// Type is initial, recent (the default), full, onDemand or pushNames.
	Type string `json:"type,omitempty"`

	Chats         []HistoryChat `json:"chats,omitempty"`
	Conversations int           `json:"conversations,omitempty"` // how many to make up; at most 10,000
	Messages      int           `json:"messages,omitempty"`      // in each of them; at most 100,000, and a million in all

	ChunkSize int  `json:"chunkSize,omitempty"` // messages in each chunk; default 500
	Inline    bool `json:"inline,omitempty"`    // the content travels in the notification instead of as a file

	recent int // of what the phone remembers, so many messages of each conversation; 0: all
}

// HistoryChat is a conversation.
type HistoryChat struct {
	Chat     string           `json:"chat"`           // number or JID
	Name     string           `json:"name,omitempty"` // of the person or the group
	Unread   int              `json:"unread,omitempty"`
	Archived bool             `json:"archived,omitempty"`
	Pinned   bool             `json:"pinned,omitempty"`
	MutedTo  int64            `json:"mutedTo,omitempty"` // milliseconds since 1970
	Messages []HistoryMessage `json:"messages"`          // oldest first
}

// HistoryMessage is a message of a conversation. Give Text or Message.
type HistoryMessage struct {
	ID          string          `json:"id,omitempty"` // made if empty
	FromMe      bool            `json:"fromMe,omitempty"`
	Text        string          `json:"text,omitempty"`
	Message     json.RawMessage `json:"message,omitempty"`     // waE2E.Message as protobuf's JSON
	Timestamp   int64           `json:"timestamp,omitempty"`   // seconds since 1970; 0: now
	Participant string          `json:"participant,omitempty"` // who wrote it, in a group: number or JID
	PushName    string          `json:"pushName,omitempty"`
}

// HistoryChunk is a part of the history that a companion was told of.
type HistoryChunk struct {
	ID            string `json:"id"`     // of the notification
	Device        string `json:"device"` // JID of the companion
	Chunk         uint32 `json:"chunk"`  // from 1
	Progress      uint32 `json:"progress"`
	Conversations int    `json:"conversations"`
	Messages      int    `json:"messages"`
	Bytes         int64  `json:"bytes"` // of the compressed content
}

// HistoryResult lists the chunks, in the order in which they were sent.
type HistoryResult struct {
	Chunks []HistoryChunk `json:"chunks"`
}

var historyTypes = map[string]waHistorySync.HistorySync_HistorySyncType{
	"initial": waHistorySync.HistorySync_INITIAL_BOOTSTRAP, "recent": waHistorySync.HistorySync_RECENT,
	"full": waHistorySync.HistorySync_FULL, "onDemand": waHistorySync.HistorySync_ON_DEMAND,
	"pushNames": waHistorySync.HistorySync_PUSH_NAME,
}

// SendHistory lets a phone upload messages, in chunks, and tell its companions of each. It returns when all
// notifications are kept. Errors: Invalid, NotFound; Conflict if there is no companion to tell.
func (s *Server) SendHistory(ctx context.Context, r HistoryRequest) (HistoryResult, error) {
	if err := r.check(); err != nil {
		return HistoryResult{}, err
	}
	r.Number = normalizeNumber(r.Number)
	var devices []*device
	var err error
	s.mu.Lock()
	u, err := s.known(r.Number)
	if err == nil {
		devices = slices.DeleteFunc(u.companions(), func(d *device) bool { return r.Device != 0 && int(d.id) != r.Device })
	}
	s.mu.Unlock()
	if err != nil {
		return HistoryResult{}, err
	}
	if len(devices) == 0 {
		return HistoryResult{}, errorf(Conflict, "%s has no such companion: link a client first", r.Number)
	}
	source, err := s.historySource(&r, u)
	if err != nil {
		return HistoryResult{}, err
	}
	result := HistoryResult{Chunks: []HistoryChunk{}}
	total := max(source.total, 1)
	done := 0
	for order := uint32(1); ; order++ {
		chunk, count, more, err := source.next(r.ChunkSize)
		if err != nil {
			return result, err
		}
		done += count
		progress := uint32(100 * done / total)
		if !more {
			progress = 100
		}
		chunk.SyncType = historyTypes[r.Type].Enum()
		chunk.ChunkOrder, chunk.Progress = &order, &progress
		sent, err := s.sendChunk(ctx, u, devices, chunk, r.Inline, "")
		if err != nil {
			return result, err
		}
		for _, c := range sent {
			c.Messages = count
			result.Chunks = append(result.Chunks, c)
		}
		if !more {
			return result, nil
		}
	}
}

// check validates a request and fills in what is usual.
func (r *HistoryRequest) check() error {
	if r.Type == "" {
		r.Type = "recent"
	}
	if r.ChunkSize == 0 {
		r.ChunkSize = 500
	}
	_, known := historyTypes[r.Type]
	switch {
	case !known:
		return errorf(Invalid, "\"type\" is %q: it is one of initial, recent, full, onDemand, pushNames", r.Type)
	case r.ChunkSize < 0:
		return errorf(Invalid, "\"chunkSize\" is %d: it is a number of messages", r.ChunkSize)
	case r.Conversations < 0 || r.Conversations > 10_000:
		return errorf(Invalid, "\"conversations\" is %d: it is between 1 and 10000", r.Conversations)
	case r.Messages < 0 || r.Messages > 100_000 || r.Conversations*r.Messages > 1_000_000:
		return errorf(Invalid, "\"messages\" is %d: it is between 1 and 100000, and a million in all conversations", r.Messages)
	case len(r.Chats) > 0 && r.Conversations > 0:
		return errorf(Invalid, "Give either \"chats\" or \"conversations\", not both")
	case r.Messages > 0 && r.Conversations == 0:
		return errorf(Invalid, "Give the number of \"conversations\" beside that of \"messages\"")
	}
	return nil
}

// sendChunk uploads one chunk and tells the companions. asked is the request that it answers, or empty.
func (s *Server) sendChunk(ctx context.Context, u *user, devices []*device, chunk *waHistorySync.HistorySync, inline bool, asked string) ([]HistoryChunk, error) {
	packed, err := pack(chunk)
	if err != nil {
		return nil, err
	}
	note := &waE2E.HistorySyncNotification{
		SyncType:   waE2E.HistorySyncType(chunk.GetSyncType()).Enum(),
		ChunkOrder: chunk.ChunkOrder, Progress: chunk.Progress, OldestMsgInChunkTimestampSec: oldestIn(chunk),
	}
	if asked != "" {
		note.PeerDataRequestSessionID = &asked
	}
	var sealed sealedMedia
	if inline {
		note.InitialHistBootstrapInlinePayload = packed
	} else if sealed, err = s.sealBytes(packed, whatsmeow.MediaHistory, u.number); err != nil {
		return nil, err
	}
	var sent []HistoryChunk
	waitErr := s.updateWait(ctx, func(t *batch) {
		if !inline {
			f := s.addMedia(t, sealed.file)
			note.MediaKey, note.FileSHA256, note.FileEncSHA256 = sealed.key, sealed.hash, sealed.encHash
			note.FileLength, note.DirectPath, note.EncHandle = &sealed.length, proto.String(f.path()), &f.ID
		}
		for _, d := range devices {
			if u.devices[d.id] != d {
				continue // unlinked meanwhile
			}
			var id string
			id, err = s.sendPeer(t, d, &waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{
				Type: waE2E.ProtocolMessage_HISTORY_SYNC_NOTIFICATION.Enum(), HistorySyncNotification: note,
			}})
			if err != nil {
				return
			}
			sent = append(sent, HistoryChunk{
				ID: id, Device: u.pn(d.id).String(), Chunk: chunk.GetChunkOrder(), Progress: chunk.GetProgress(),
				Conversations: len(chunk.GetConversations()), Bytes: int64(len(packed)),
			})
		}
	})
	if err != nil {
		return nil, fmt.Errorf("sending a history notification: %w", err)
	}
	return sent, waitErr
}

// pack encodes and compresses a chunk.
func pack(chunk *waHistorySync.HistorySync) ([]byte, error) {
	raw, err := proto.Marshal(chunk)
	if err != nil {
		return nil, fmt.Errorf("encoding history: %w", err)
	}
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	if _, err = w.Write(raw); err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("compressing history: %w", err)
	}
	return out.Bytes(), nil
}

func oldestIn(chunk *waHistorySync.HistorySync) *int64 {
	var oldest int64
	for _, c := range chunk.GetConversations() {
		for _, m := range c.GetMessages() {
			if at := int64(m.GetMessage().GetMessageTimestamp()); oldest == 0 || at < oldest {
				oldest = at
			}
		}
	}
	return &oldest
}

// firstHistory gives a new companion the last messages that its phone knows, as phones do on their own, and then all
// of them if it asked for that when it was linked (requireFullSync in its properties).
func (s *Server) firstHistory(d *device) {
	ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
	defer cancel()
	s.mu.Lock()
	empty := len(s.rememberedChats(d.user, 1)) == 0
	s.mu.Unlock()
	var err error
	if !empty {
		_, err = s.SendHistory(ctx, HistoryRequest{Number: d.user.number, Device: int(d.id), Type: "initial", ChunkSize: 5000, recent: 50})
	}
	if err == nil && !empty {
		_, err = s.SendHistory(ctx, HistoryRequest{Number: d.user.number, Device: int(d.id), Type: "pushNames"})
	}
	if err == nil && !empty && d.full {
		_, err = s.SendHistory(ctx, HistoryRequest{Number: d.user.number, Device: int(d.id), Type: "full"})
	}
	if err == nil {
		err = s.updateWait(ctx, func(t *batch) {
			d.synced = syncedHistory
			if d.user.devices[d.id] == d {
				t.put(tableDevices, d.address(), d.encode)
			}
		})
	}
	s.mu.Lock()
	d.greeted = false
	s.mu.Unlock()
	if err != nil && ctx.Err() == nil {
		s.log.Warn("A new companion could not be given the last messages", "device", d.address(), "error", err)
	}
}

// displayName is what a generated contact is called.
func displayName(i int) string {
	first := []string{"Ana", "Bruno", "Carla", "Diego", "Elisa", "Fábio", "Gabi", "Hugo", "Íris", "João"}
	last := []string{"Silva", "Souza", "Costa", "Lima", "Rocha", "Alves", "Dias", "Nunes", "Melo", "Reis"}
	return strings.Join([]string{first[i%10], last[i/10%10]}, " ")
}
