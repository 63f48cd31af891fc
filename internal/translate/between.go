package translate

import (
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types/events"
)

// betweenDevices tells whether a message is one that the account's own devices
// exchange: keys, histories, requests. Some are secret, and none is anybody's
// business: no event is made of them, whatever happens.
func betweenDevices(evt *events.Message) bool {
	if evt.Info.IsFromMe && evt.Info.Category == "peer" {
		return true
	}
	p := content(evt).GetProtocolMessage()
	if p == nil {
		p = evt.RawMessage.GetProtocolMessage()
	}
	if p == nil || p.Type == nil {
		return false
	}
	switch p.GetType() {
	case waE2E.ProtocolMessage_APP_STATE_SYNC_KEY_SHARE, waE2E.ProtocolMessage_APP_STATE_SYNC_KEY_REQUEST,
		waE2E.ProtocolMessage_APP_STATE_FATAL_EXCEPTION_NOTIFICATION,
		waE2E.ProtocolMessage_HISTORY_SYNC_NOTIFICATION, waE2E.ProtocolMessage_INITIAL_SECURITY_NOTIFICATION_SETTING_SYNC,
		waE2E.ProtocolMessage_PEER_DATA_OPERATION_REQUEST_MESSAGE,
		waE2E.ProtocolMessage_PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE,
		waE2E.ProtocolMessage_LID_MIGRATION_MAPPING_SYNC:
		return true
	}
	return false
}
