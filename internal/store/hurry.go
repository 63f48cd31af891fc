package store

import "context"

// hurryStep is how many deliveries one transaction makes due.
const hurryStep = 500

// HurryParked makes due at once all deliveries that are pending and parked for a
// webhook. Everything that was settled before the call counts. It works in small
// transactions; what they did stays done if ctx ends or the database fails.
func (s *Store) HurryParked(ctx context.Context, webhookID string) error {
	if err := s.flushSettles(ctx); err != nil {
		return err
	}
	for {
		op := &hurryOp{webhook: webhookID}
		if err := s.submit(ctx, op.name(), op); err != nil {
			return err
		}
		if op.hurried < hurryStep {
			return nil
		}
	}
}

// hurryOp makes one step.
type hurryOp struct {
	webhook string
	hurried int64
}

func (*hurryOp) name() string { return "hurry" }

func (*hurryOp) weight() (events, bytes int) { return hurryStep, 0 }

func (op *hurryOp) apply(ctx context.Context, t *txn) (err error) {
	op.hurried, err = t.exec(ctx, `
		UPDATE pombo_delivery SET next_attempt_at = $1 WHERE id IN (
			SELECT id FROM pombo_delivery
			WHERE state = 'pending' AND parked AND webhook_id = $2 AND next_attempt_at > $1 LIMIT $3)`, t.now.UnixMilli(), op.webhook, hurryStep)
	return err
}
