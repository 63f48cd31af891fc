package httpapi

import (
	"encoding/json"
	"net/http"

	"pombo"
	"pombo/internal/evolution"
)

// access says whose key opens a route.
type access int

const (
	open     access = iota // none is needed
	global                 // the global key's
	instance               // the global key's and that of the instance in the path
	listing                // the global key's; an instance's shows that instance only
)

// route is one method and path, with what describes it.
type route struct {
	method, path string // the path as documented; it is served in any case
	access       access
	body         bool // the request has a JSON body
	handle       func(*server, *call) (answer, error)
	describe     operation
}

// call is a request on its way to a handler.
type call struct {
	*http.Request
	dialect evolution.Dialect
	// view is the instance that the path names, on routes of access instance.
	view pombo.InstanceView
	// master tells whether it was the global key that opened such a route.
	master bool
	// visible holds the instances that the key may see, on routes of access
	// listing.
	visible []pombo.InstanceView
	body    []byte
}

// answer is what a handler gives back.
type answer struct {
	status   int
	body     json.RawMessage
	warnings []string // told in the header X-Pombo-Warning
	// file, if set, goes into body as base64 before its last tail bytes. It is closed.
	file *pombo.MediaFile
	tail int
}

func ok(body json.RawMessage) (answer, error) {
	return answer{status: http.StatusOK, body: body}, nil
}

// routes returns all routes but those below /sandbox.
func routes() []route {
	return []route{
		{"GET", "/", open, false, (*server).welcome, describeWelcome},
		{"GET", "/health", open, false, (*server).health, describeHealth},
		{"GET", "/openapi.json", open, false, (*server).openapi, describeOpenAPI},
		{"POST", "/verify-creds", global, false, (*server).verifyCredentials, describeVerify},

		{"POST", "/instance/create", global, true, (*server).create, describeCreate},
		{"GET", "/instance/fetchInstances", listing, false, (*server).fetchInstances, describeFetch},
		{"GET", "/instance/connect/{instance}", instance, false, (*server).connect, describeConnect},
		{"GET", "/instance/connectionState/{instance}", instance, false, (*server).connectionState, describeState},
		{"PUT", "/instance/restart/{instance}", instance, false, (*server).restartV1, describeRestartV1},
		{"POST", "/instance/restart/{instance}", instance, false, (*server).restartV2, describeRestartV2},
		{"DELETE", "/instance/logout/{instance}", instance, false, (*server).logout, describeLogout},
		{"DELETE", "/instance/delete/{instance}", instance, false, (*server).remove, describeDelete},

		{"PUT", "/instance/refreshToken", open, true, (*server).refreshToken, describeRefreshToken},

		{"POST", "/webhook/set/{instance}", instance, true, (*server).setWebhook, describeSetWebhook},
		{"GET", "/webhook/find/{instance}", instance, false, (*server).findWebhook, describeFindWebhook},
		{"POST", "/webhook/add/{instance}", instance, true, (*server).addWebhook, describeAddWebhook},
		{"GET", "/webhook/list/{instance}", instance, false, (*server).listWebhooks, describeListWebhooks},
		{"PUT", "/webhook/change/{instance}/{id}", instance, true, (*server).changeWebhook, describeChangeWebhook},
		{"DELETE", "/webhook/remove/{instance}/{id}", instance, false, (*server).removeWebhook, describeRemoveWebhook},
		{"GET", "/webhook/deliveries/{instance}", instance, false, (*server).listDeliveries, describeListDeliveries},
		{"GET", "/webhook/deliveries/{instance}/{id}", instance, false, (*server).showDelivery, describeShowDelivery},
		{"GET", "/webhook/health/{instance}", instance, false, (*server).webhookHealth, describeWebhookHealth},
		{"POST", "/webhook/replay/{instance}", instance, true, (*server).replayDeliveries, describeReplay},
		{"POST", "/webhook/test/{instance}", instance, true, (*server).testWebhook, describeTestWebhook},

		{"POST", "/settings/set/{instance}", instance, true, (*server).setSettings, describeSetSettings},
		{"GET", "/settings/find/{instance}", instance, false, (*server).findSettings, describeFindSettings},

		{"POST", "/message/sendText/{instance}", instance, true, (*server).sendText, describeSendText},

		{"PUT", "/chat/markMessageAsRead/{instance}", instance, true, (*server).markMessageAsRead, describeMarkReadV1},
		{"POST", "/chat/markMessageAsRead/{instance}", instance, true, (*server).markMessageAsRead, describeMarkReadV2},
		{"POST", "/chat/sendPresence/{instance}", instance, true, (*server).sendPresence, describeSendPresence},
		{"PUT", "/chat/updateMessage/{instance}", instance, true, (*server).updateMessage, describeUpdateMessageV1},
		{"POST", "/chat/updateMessage/{instance}", instance, true, (*server).updateMessage, describeUpdateMessageV2},
		{"DELETE", "/chat/deleteMessageForEveryone/{instance}", instance, true, (*server).deleteMessage, describeDeleteMessage},
		{"POST", "/chat/whatsappNumbers/{instance}", instance, true, (*server).whatsappNumbers, describeWhatsAppNumbers},
		{"POST", "/chat/fetchProfilePictureUrl/{instance}", instance, true, (*server).fetchProfilePictureURL, describeFetchPicture},
		{"POST", "/chat/getBase64FromMediaMessage/{instance}", instance, true, (*server).messageMedia, describeMessageMedia},
	}
}
