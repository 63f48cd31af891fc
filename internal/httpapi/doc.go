// Package httpapi owns the HTTP side of the Evolution API: routes, keys, CORS,
// the one place where errors become statuses, and the description of it all at
// /openapi.json. What bodies mean is for package evolution to say, and what
// happens is for the interfaces that Options holds. It never touches WhatsApp,
// the store, or a webhook.
package httpapi
