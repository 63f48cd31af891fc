// Package alarm tells an operator what needs a person: a webhook whose endpoint
// fails or is gone, events that were given up, a backlog that grows, an instance
// that is not connected. A Bell posts alarms to one operational webhook; a Watch
// looks for what nobody reports.
//
// It is told, or asks through the small functions that it is given; it knows
// neither the store nor how deliveries are made. An alarm is best effort: it is
// kept in memory, retried for some minutes, and never the cause of another alarm.
// docs/deliveries.md describes what is posted.
package alarm
