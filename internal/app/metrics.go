package app

import (
	"context"

	"pombo"
	"pombo/internal/dispatch"
	"pombo/internal/instance"
	"pombo/internal/metrics"
	"pombo/internal/store"
)

// metricsSource answers what the metrics ask when they are read.
type metricsSource struct {
	store    *store.Store
	manager  *instance.Manager
	dispatch *dispatch.Dispatcher
}

// deletedInstances is the label of what instances that are deleted have pending;
// "/" is in no instance's name.
const deletedInstances = "deleted/instances"

// Backlogs returns what waits, by webhook.
func (s *metricsSource) Backlogs(ctx context.Context) ([]metrics.Backlog, error) {
	backlogs, err := s.store.Backlogs(ctx)
	if err != nil {
		return nil, err
	}
	names := map[pombo.InstanceID]string{"": ""}
	for _, v := range s.manager.List() {
		names[v.ID] = v.Name
	}
	all := make([]metrics.Backlog, len(backlogs))
	for i, b := range backlogs {
		name, ok := names[b.Instance]
		if !ok {
			name = deletedInstances
		}
		all[i] = metrics.Backlog{Instance: name, Pending: b.Pending, Oldest: b.Oldest}
	}
	return all, nil
}

// Instances returns how many instances are in each state.
func (s *metricsSource) Instances() map[pombo.ConnectionState]int {
	counts := map[pombo.ConnectionState]int{}
	for _, v := range s.manager.List() {
		counts[v.State]++
	}
	return counts
}

// Circuits returns how many webhooks' circuits are in each state.
func (s *metricsSource) Circuits() map[string]int {
	counts := map[string]int{"closed": 0, "open": 0}
	for _, c := range circuits(s.dispatch) {
		counts[c.state]++
	}
	return counts
}

// Size returns the size of the database.
func (s *metricsSource) Size() metrics.Size {
	u := s.store.Usage()
	return metrics.Size{Used: u.Used, File: u.File, Max: u.Max}
}
