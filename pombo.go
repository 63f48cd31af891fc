// Package pombo is the vocabulary of the gateway: the plain types that every
// other package speaks. It holds no behaviour beyond what a type says about
// itself, and imports nothing of ours.
//
// The words are the field's own: an instance is one WhatsApp account, a
// webhook is where its events go, an event is something that happened, a
// delivery is one event on its way to one webhook, an attempt is one POST.
package pombo

// Version is the version of this build, set by the linker
// (-ldflags "-X pombo.Version=1.2.3"); "dev" otherwise.
var Version = "dev"
