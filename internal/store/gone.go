package store

import (
	"context"

	"pombo"
)

// DisableWebhook switches off the webhook with this ID, and makes what is pending
// for it dead: disabled, in one transaction. It does nothing, and returns false,
// if the webhook posts to another URL by now, is off already, or is gone. Errors:
// Invalid for the global webhook, Unavailable.
func (s *Store) DisableWebhook(ctx context.Context, id, url string) (bool, error) {
	if id == pombo.GlobalWebhookID {
		return false, pombo.Errorf(pombo.Invalid, "the global webhook is switched off by WEBHOOK_GLOBAL_ENABLED alone")
	}
	op := &disableOp{id: id, url: url}
	err := s.submitAll(ctx, op)
	return op.done, err
}

type disableOp struct {
	id, url string
	done    bool
}

func (*disableOp) name() string { return "put webhook" }

func (*disableOp) weight() (events, bytes int) { return 1, 0 }

func (op *disableOp) apply(ctx context.Context, t *txn) error {
	n, err := t.exec(ctx, `UPDATE pombo_webhook SET enabled = FALSE, updated_at = $3 WHERE id = $1 AND url = $2 AND enabled`,
		op.id, clean(op.url), t.now.UnixMilli())
	op.done = n > 0
	if err != nil || !op.done {
		return err
	}
	if err := t.disable(ctx, op.id); err != nil {
		return err
	}
	t.hooks, err = t.s.loadRegistry(ctx, t.Tx)
	return err
}
