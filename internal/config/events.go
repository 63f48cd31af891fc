package config

import (
	"slices"
	"strconv"
	"strings"

	"pombo"
)

const eventPrefix = "WEBHOOK_EVENTS_"

// notEvents are variables of the Evolution API with the prefix that name no
// event; they ask for reports of its errors.
var notEvents = []string{"ERRORS", "ERRORS_WEBHOOK"}

// eventFilter is what the variables WEBHOOK_EVENTS_* say.
type eventFilter struct {
	given   bool              // any of them is set
	on      []pombo.EventName // those that are true, in the order of pombo.EventNames
	unknown []string          // variables that are true but name no event
}

// EventVariables returns the names of the variables that choose the global
// webhook's events.
func EventVariables() []string {
	var names []string
	for _, n := range pombo.EventNames() {
		names = append(names, eventPrefix+string(n))
	}
	return names
}

func parseEvents(given map[string]string) (eventFilter, []Problem) {
	var f eventFilter
	var problems []Problem
	on := make(map[pombo.EventName]bool)
	for _, key := range sortedKeys(given) {
		name, ok := strings.CutPrefix(key, eventPrefix)
		if !ok || slices.Contains(notEvents, name) {
			continue
		}
		value, err := parseBool(given[key])
		event, known := pombo.ParseEventName(name)
		switch {
		case !known:
			if value == true {
				f.unknown = append(f.unknown, key)
			}
		case err != nil:
			problems = append(problems, Problem{key, strconv.Quote(given[key]), "give true or false"})
		default:
			f.given = true
			on[event] = on[event] || value == true
		}
	}
	for _, n := range pombo.EventNames() {
		if on[n] {
			f.on = append(f.on, n)
		}
	}
	return f, problems
}
