package pombo

import "time"

// HistoryPart is a part of an account's history that its phone has announced and
// that has not been told in full.
type HistoryPart struct {
	Instance InstanceID
	ID       string // of the message that announced it
	// Notification is that announcement, a waE2E.HistorySyncNotification. It holds
	// the key of the part's file: secret.
	Notification []byte
	Told         int64     // how many of its elements (chats, contacts, messages) were told
	Attempts     int       // that failed
	NextAttempt  time.Time // not before; zero: at once
	ReceivedAt   time.Time
}
