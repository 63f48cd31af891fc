package store

import (
	"context"
	"slices"
	"strings"

	"pombo"
)

const (
	// replayStep is how many deliveries one transaction makes pending again, and
	// replayMost how many IDs a replay may name.
	replayStep = 500
	replayMost = 10_000
)

// Replay makes deliveries pending again that were made or are dead. They keep
// their webhook-id and their place in their lane, and count as new for the retry
// horizon. What is pending already is due at once. What belongs to a webhook that
// is switched off or was removed is passed over.
//
// It works in small transactions, the oldest first: if ctx ends or the database
// fails, the result says how far it came. touched lists the webhooks that have
// something to deliver again, which whoever delivers must be told.
//
// Errors: Invalid for too many IDs; Unavailable.
func (s *Store) Replay(ctx context.Context, r pombo.Replay) (result pombo.ReplayResult, touched []string, err error) {
	const doing = "replaying deliveries"
	if len(r.IDs) > replayMost {
		return result, nil, pombo.Errorf(pombo.Invalid, "ids has %d entries: at most %d are allowed; use a filter and a time range for more", len(r.IDs), replayMost)
	}
	if err := s.askFault("read"); err != nil {
		return result, nil, unavailable(doing, err)
	}
	// Deliveries that are dead by their webhook's mark must be so in their rows.
	if len(s.hooks.Load().deadThrough) > 0 && !r.DryRun {
		if err := s.bury(ctx); err != nil {
			return result, nil, err
		}
	}
	found := map[string]bool{}
	step := func(ids []int64) error {
		op := &replayOp{instance: r.Query.Instance, global: r.Query.Global, ids: ids, dry: r.DryRun}
		if err := s.submitAll(ctx, op); err != nil {
			return err
		}
		result.Matched += op.result.Matched
		result.Replayed += op.result.Replayed
		result.Pending += op.result.Pending
		result.Off += op.result.Off
		for _, id := range op.touched {
			found[id] = true
		}
		return nil
	}
	if len(r.IDs) > 0 {
		ids := slices.Clone(r.IDs)
		slices.Sort(ids)
		ids = slices.Compact(ids)
		for part := range slices.Chunk(ids, replayStep) {
			if err = step(part); err != nil {
				break
			}
		}
		if err == nil {
			result.Missing = len(ids) - result.Matched
		}
	} else {
		err = s.replayQuery(ctx, r, step)
	}
	for id := range found {
		touched = append(touched, id)
	}
	slices.Sort(touched)
	if err != nil && pombo.KindOf(err) == pombo.Internal {
		err = readError(ctx, doing, err)
	}
	return result, touched, err
}

// replayQuery hands what the query chooses to step, in the order of IDs.
func (s *Store) replayQuery(ctx context.Context, r pombo.Replay, step func([]int64) error) error {
	if err := s.allRows(ctx); err != nil {
		return err
	}
	hooks, err := s.webhooksOf(ctx, r.Query)
	if err != nil {
		return err
	}
	var last int64
	if err := s.read.QueryRowContext(ctx, `SELECT COALESCE(MAX(id), 0) FROM pombo_delivery`).Scan(&last); err != nil {
		return err
	}
	for _, webhook := range hooks {
		ids, err := s.chosen(ctx, webhook, r.Query, last)
		if err != nil {
			return err
		}
		for part := range slices.Chunk(ids, replayStep) {
			if err := step(part); err != nil {
				return err
			}
		}
	}
	return nil
}

// chosen returns the IDs that a query chooses up to last, ascending: 8 bytes each,
// so that a million cost less than the answer's time.
func (s *Store) chosen(ctx context.Context, webhook string, q pombo.DeliveryQuery, last int64) ([]int64, error) {
	l, err := s.listing(ctx, webhook, q)
	if err != nil {
		return nil, err
	}
	l.and("d.id <= %s", last)
	rows, err := s.read.QueryContext(ctx, s.dialect.form(l.with+`SELECT d.id FROM `+l.from+` WHERE `+strings.Join(l.where, " AND ")), l.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids, rows.Err()
}

// replayOp makes one step, or only counts it.
type replayOp struct {
	instance pombo.InstanceID
	global   bool // those to the global webhook, too
	ids      []int64
	dry      bool

	result  pombo.ReplayResult
	touched []string
}

func (*replayOp) name() string { return "replay" }

func (*replayOp) weight() (events, bytes int) { return maxBatchEvents, 0 }

func (op *replayOp) apply(ctx context.Context, t *txn) error {
	op.result, op.touched = pombo.ReplayResult{}, nil
	again, hurry := map[string][]int64{}, map[string][]int64{}
	if err := op.sort(ctx, t, again, hurry); err != nil {
		return err
	}
	if op.dry {
		return nil
	}
	for webhook, ids := range hurry {
		op.touched = append(op.touched, webhook)
		_, err := t.exec(ctx, `UPDATE pombo_delivery SET next_attempt_at = $1 WHERE next_attempt_at > $1 AND id IN (`+numbers(ids)+`)`, t.now.UnixMilli())
		if err != nil {
			return err
		}
	}
	for webhook, ids := range again {
		op.touched = append(op.touched, webhook)
		_, err := t.exec(ctx, `
			UPDATE pombo_delivery SET state = 'pending', reason = '', parked = FALSE, next_attempt_at = NULL, ended_at = NULL,
				replayed_at = $1, attempts_before = attempts
			WHERE id IN (`+numbers(ids)+`)`, t.now.UnixMilli())
		if err != nil {
			return err
		}
	}
	return nil
}

// sort looks at the step's deliveries and puts those to replay into again, those
// that are pending into hurry, by webhook.
func (op *replayOp) sort(ctx context.Context, t *txn, again, hurry map[string][]int64) error {
	rows, err := t.QueryContext(ctx, t.s.dialect.form(`
		SELECT id, webhook_id, state FROM pombo_delivery WHERE id IN (`+numbers(op.ids)+`) AND instance_id = $1 AND (webhook_id <> 'global' OR $2)`), string(op.instance), op.global)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var d pombo.Delivery
		if err := rows.Scan(&d.ID, &d.WebhookID, &d.State); err != nil {
			return err
		}
		t.hooks.judge(&d)
		op.result.Matched++
		switch {
		case d.State == pombo.Pending:
			op.result.Pending++
			hurry[d.WebhookID] = append(hurry[d.WebhookID], d.ID)
		case !t.hooks.delivers(op.instance, d.WebhookID):
			op.result.Off++
		default:
			op.result.Replayed++
			again[d.WebhookID] = append(again[d.WebhookID], d.ID)
		}
	}
	return rows.Err()
}

// delivers tells whether a webhook takes deliveries of an instance now. One whose
// earlier deliveries are still being ended does not: they could not be told from
// those that come back.
func (r *registry) delivers(instance pombo.InstanceID, webhook string) bool {
	h, ok := r.find(instance, webhook)
	if !ok {
		h, ok = r.find("", webhook)
	}
	return ok && h.Enabled && h.URL != "" && r.deadThrough[webhook] == 0
}

// SeeDelivery returns a delivery of an instance with all its attempts; NotFound if
// there is none with this ID, or if it is one to the global webhook, without global.
func (s *Store) SeeDelivery(ctx context.Context, instance pombo.InstanceID, id int64, global bool) (pombo.DeliveryDetail, error) {
	d, ok, err := s.Delivery(ctx, id)
	if err != nil {
		return pombo.DeliveryDetail{}, err
	}
	if !ok || d.Event.Instance != instance || d.WebhookID == pombo.GlobalWebhookID && !global {
		return pombo.DeliveryDetail{}, pombo.Errorf(pombo.NotFound, "The instance has no delivery %d: it is too old, or belongs to another", id)
	}
	attempts, err := s.Attempts(ctx, id)
	return pombo.DeliveryDetail{Delivery: d, Attempts: attempts}, err
}

// WebhookByID returns a webhook that is in force or switched off, also a removed
// one, and the global one; ok is false if there is none.
func (s *Store) WebhookByID(ctx context.Context, id string) (w pombo.Webhook, ok bool, err error) {
	const doing = "reading a webhook"
	if err := s.askFault("read"); err != nil {
		return w, false, unavailable(doing, err)
	}
	rows, err := s.read.QueryContext(ctx, s.dialect.form(`
		SELECT `+webhookColumns+` FROM pombo_webhook w LEFT JOIN pombo_instance i ON i.id = w.instance_id WHERE w.id = $1`), id)
	if err != nil {
		return w, false, readError(ctx, doing, err)
	}
	all, err := scanWebhooks(rows)
	if err != nil {
		return w, false, readError(ctx, doing, err)
	}
	if len(all) == 0 {
		return w, false, nil
	}
	return all[0].Webhook, true, nil
}
