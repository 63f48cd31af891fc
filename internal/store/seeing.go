package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pombo"
)

// listMost is how many rows a list returns at most.
const listMost = 500

// few is up to how many rows are looked up one by one and sorted, instead of going
// along the index of all deliveries until enough of them are found. Tests change it.
var few = 5_000

// Deliveries returns the deliveries that q chooses, the newest first, at most
// q.Limit (1 to 500) of them, without their events' data. It includes those to
// webhooks that were removed.
func (s *Store) Deliveries(ctx context.Context, q pombo.DeliveryQuery) ([]pombo.DeliverySummary, error) {
	const doing = "listing deliveries"
	if err := s.askFault("read"); err != nil {
		return nil, unavailable(doing, err)
	}
	if err := s.mostRows(ctx); err != nil {
		return nil, err
	}
	q.Limit = min(max(q.Limit, 1), listMost)
	hooks, err := s.webhooksOf(ctx, q)
	if err != nil {
		return nil, readError(ctx, doing, err)
	}
	// One range of an index for each webhook; together they are few.
	var all []pombo.DeliverySummary
	for _, id := range hooks {
		part, err := s.deliveriesTo(ctx, id, q)
		if err != nil {
			return nil, readError(ctx, doing, err)
		}
		all = append(all, part...)
	}
	slices.SortFunc(all, func(a, b pombo.DeliverySummary) int {
		if c := b.CreatedAt.Compare(a.CreatedAt); c != 0 {
			return c
		}
		return int(min(max(b.ID-a.ID, -1), 1))
	})
	return all[:min(len(all), q.Limit)], nil
}

// webhooksOf returns the IDs of the webhooks that a query may find deliveries to.
func (s *Store) webhooksOf(ctx context.Context, q pombo.DeliveryQuery) ([]string, error) {
	rows, err := s.read.QueryContext(ctx, s.dialect.form(`
		SELECT id FROM pombo_webhook WHERE (instance_id = $1 OR id = $3) AND ($2 = '' OR id = $2) ORDER BY id`),
		string(q.Instance), q.Webhook, globalOrNone(q.Global))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// globalOrNone returns the global webhook's ID, or one that no webhook has.
func globalOrNone(global bool) string {
	if global {
		return pombo.GlobalWebhookID
	}
	return "none"
}

// listing is a query under construction.
type listing struct {
	with, from string
	where      []string
	args       []any
}

func (l *listing) arg(v any) string {
	l.args = append(l.args, v)
	return fmt.Sprintf("$%d", len(l.args))
}

func (l *listing) and(format string, v any) {
	l.where = append(l.where, fmt.Sprintf(format, l.arg(v)))
}

// listing makes the part of a query that chooses deliveries to one webhook.
func (s *Store) listing(ctx context.Context, webhook string, q pombo.DeliveryQuery) (*listing, error) {
	l := &listing{from: "pombo_delivery d"}
	l.and("d.webhook_id = %s", webhook)
	l.and("d.instance_id = %s", string(q.Instance))
	through := s.hooks.Load().deadThrough[webhook]
	switch q.State {
	case "":
	case pombo.Dead:
		if through > 0 {
			l.and("(d.state = 'dead' OR d.state = 'pending' AND d.id <= %s)", through)
		} else {
			l.where = append(l.where, "d.state = 'dead'") // written out: the index is partial
		}
	case pombo.Pending:
		l.where = append(l.where, "d.state = 'pending'")
		l.and("d.id > %s", through)
	default:
		l.and("d.state = %s", string(q.State))
	}
	if q.Chat != "" {
		l.and("d.chat = %s", cleanKey(q.Chat))
	}
	if !q.From.IsZero() {
		l.and("d.created_at >= %s", q.From.UnixMilli())
	}
	if !q.To.IsZero() {
		l.and("d.created_at < %s", q.To.UnixMilli())
	}
	return l, s.drive(ctx, l, webhook, q)
}

// drive chooses where the query begins. The index of all deliveries, by time, is
// right for what is frequent; what is rare among a million rows is looked up by an
// index of its own and sorted. The databases cannot know which is which: counting
// up to a bound tells.
func (s *Store) drive(ctx context.Context, l *listing, webhook string, q pombo.DeliveryQuery) error {
	var ways []way
	if q.State == pombo.Pending {
		ways = append(ways, way{"id", pendingOf, []any{webhook, string(q.Instance)}})
	}
	if q.Chat != "" {
		ways = append(ways, way{"event_id", s.dialect.eventsOfChat(),
			[]any{string(q.Instance), cleanKey(q.Chat), s.digest(string(q.Instance), cleanKey(q.Chat))}})
	}
	if q.Event != "" && q.Event != pombo.MessagesUpsert { // the most frequent
		ways = append(ways, way{"event_id", `SELECT id FROM pombo_event WHERE name <> 'MESSAGES_UPSERT' AND instance_id = $1 AND name = $2`,
			[]any{string(q.Instance), string(q.Event)}})
	}
	if q.Event != "" {
		l.and("EXISTS (SELECT 1 FROM pombo_event n WHERE n.id = d.event_id AND n.name = %s)", string(q.Event))
	}
	for _, w := range ways {
		rare, err := s.rare(ctx, w.query, w.args...)
		if err != nil {
			return err
		}
		if rare {
			// Twice as many: there may be more by now.
			l.with = fmt.Sprintf("WITH few AS MATERIALIZED (%s LIMIT %d) ", renumber(w.query, l, w.args), 2*few)
			if s.dialect == dialectPostgres {
				// A plain join would be a hash join, which reads the whole table: "few"
				// counts as many for PostgreSQL. OFFSET 0 makes it look them up.
				l.from = "few CROSS JOIN LATERAL (SELECT * FROM pombo_delivery x WHERE x." + w.column + " = few.id OFFSET 0) AS d"
				return nil
			}
			l.from = "few CROSS JOIN pombo_delivery d"
			l.where = append(l.where, "d."+w.column+" = few.id")
			return nil
		}
	}
	return nil
}

// pendingOf chooses what is pending of an instance for a webhook. The order is that
// of the index of lanes: with a LIMIT, PostgreSQL then goes along it. Without, it reads
// the whole table as long as its statistics are of a time when most was pending.
const pendingOf = `SELECT id FROM pombo_delivery WHERE state = 'pending' AND webhook_id = $1 AND instance_id = $2 ORDER BY chat, id + 0`

// eventsOfChat is a query for the events of the instance $1 in the chat $2, whose digest is $3.
// On SQLite the index has the digests by blocks of events (see schema 09), so each block
// is looked into, the newest first: a thousand for a million events.
func (d dialect) eventsOfChat() string {
	const of = `e.chat <> '' AND e.chat_digest = $3 AND e.instance_id = $1 AND e.chat = $2`
	if d == dialectPostgres {
		return `SELECT e.id FROM pombo_event e WHERE ` + of
	}
	return `WITH RECURSIVE block(n) AS (
			SELECT MAX(id) / 1024 FROM pombo_event
			UNION ALL SELECT n - 1 FROM block WHERE n > (SELECT MIN(id) / 1024 FROM pombo_event)
		) SELECT e.id FROM block CROSS JOIN pombo_event e WHERE e.id / 1024 = block.n AND ` + of
}

// way is a query for the values that a column of the chosen deliveries has.
type way struct {
	column, query string
	args          []any
}

// renumber appends args to l and returns query with their places there.
func renumber(query string, l *listing, args []any) string {
	for i := len(args); i > 0; i-- {
		query = strings.ReplaceAll(query, fmt.Sprintf("$%d", i), fmt.Sprintf("$#%d", i+len(l.args)))
	}
	l.args = append(l.args, args...)
	return strings.ReplaceAll(query, "$#", "$")
}

// rare tells whether a query has at most few rows.
func (s *Store) rare(ctx context.Context, query string, args ...any) (bool, error) {
	var n int
	err := s.read.QueryRowContext(ctx, s.dialect.form(
		fmt.Sprintf("SELECT COUNT(*) FROM (%s LIMIT %d) AS first", query, few+1)), args...).Scan(&n)
	return n <= few, err
}

func (s *Store) deliveriesTo(ctx context.Context, webhook string, q pombo.DeliveryQuery) ([]pombo.DeliverySummary, error) {
	l, err := s.listing(ctx, webhook, q)
	if err != nil {
		return nil, err
	}
	if c := q.Before; c != nil {
		at := l.arg(c.At.UnixMilli())
		l.where = append(l.where, fmt.Sprintf("d.created_at <= %s AND (d.created_at < %s OR d.id < %s)", at, at, l.arg(c.ID)))
	}
	query := l.with + `
		SELECT d.id, d.webhook_id, d.state, d.reason, d.attempts, d.next_attempt_at, d.parked, d.created_at,
			d.ended_at, d.replayed_at, d.attempts_before, e.id, e.instance_id, e.name, e.key, e.chat, e.time,
			a.number, a.at, a.duration_us, a.address, a.status, a.error_code, a.error
		FROM (SELECT d.* FROM ` + l.from + ` WHERE ` + strings.Join(l.where, " AND ") +
		fmt.Sprintf(` ORDER BY d.created_at DESC, d.id DESC LIMIT %d) AS d`, q.Limit) + `
		JOIN pombo_event e ON e.id = d.event_id
		LEFT JOIN pombo_attempt a ON a.delivery_id = d.id AND a.number = d.attempts`
	rows, err := s.read.QueryContext(ctx, s.dialect.form(query), l.args...)
	if err != nil {
		return nil, err
	}
	return s.scanSummaries(rows)
}

func (s *Store) scanSummaries(rows *sql.Rows) ([]pombo.DeliverySummary, error) {
	defer rows.Close()
	var all []pombo.DeliverySummary
	for rows.Next() {
		var d pombo.DeliverySummary
		e := &d.Event
		var next, created, ended, replayed, at, number, tried, us, status sql.NullInt64
		var address, code, text sql.NullString
		err := rows.Scan(&d.ID, &d.WebhookID, &d.State, &d.Reason, &d.Attempts, &next, &d.Parked, &created,
			&ended, &replayed, &d.AttemptsBefore, &e.ID, &e.Instance, &e.Name, &e.Key, &e.Chat, &at,
			&number, &tried, &us, &address, &status, &code, &text)
		if err != nil {
			return nil, err
		}
		d.MessageID = s.messageID(d.ID)
		d.NextAttempt, d.CreatedAt, d.EndedAt, d.ReplayedAt = fromMillis(next), fromMillis(created), fromMillis(ended), fromMillis(replayed)
		e.Time = fromMillis(at)
		s.hooks.Load().judge(&d.Delivery)
		if number.Valid {
			d.Last = &pombo.Attempt{
				Delivery: d.ID, Number: int(number.Int64), At: fromMillis(tried), Duration: time.Duration(us.Int64) * time.Microsecond,
				Address: address.String, Status: int(status.Int64), ErrorCode: code.String, Error: text.String,
			}
		}
		all = append(all, d)
	}
	return all, rows.Err()
}

// Health returns how an instance's webhooks are doing: what the database and the
// tally know. With global, the global webhook's part in the instance is told too;
// its attempts are those of all instances.
func (s *Store) Health(ctx context.Context, instance pombo.InstanceID, global bool) ([]pombo.WebhookHealth, error) {
	const doing = "reading the health of webhooks"
	if err := s.askFault("read"); err != nil {
		return nil, unavailable(doing, err)
	}
	if err := s.mostRows(ctx); err != nil {
		return nil, err
	}
	registry := s.hooks.Load()
	hooks := slices.Clone(registry.byInstance[instance])
	if global && registry.global != nil && registry.global.Enabled {
		hooks = append(hooks, registry.global)
	}
	all := make([]pombo.WebhookHealth, len(hooks))
	now := time.Now()
	for i, h := range hooks {
		v := &all[i]
		v.Webhook = copyWebhook(h.Webhook)
		var first int64
		var err error
		v.Backlog, first, err = s.backlogOf(ctx, h.ID, instance, registry.deadThrough[h.ID])
		if err == nil && first > 0 {
			v.Oldest, err = s.appendedAt(ctx, first)
		}
		if err != nil {
			return nil, readError(ctx, doing, err)
		}
		sum, err := s.tallied(ctx, h.ID, now)
		if err != nil {
			return nil, readError(ctx, doing, err)
		}
		v.Attempts, v.Successes, v.LastSuccess = sum.succeeded+sum.failed, sum.succeeded, sum.lastSuccess
		if h.filter != nil {
			v.FilterErrors, v.FilterLastError = h.filter.Errors()
		}
	}
	return all, nil
}

// backlogOf counts what is pending of an instance for a webhook above an ID, and
// returns the first ID of it, 0 if there is none. It looks at no more than the index
// has: a backlog of a million rows is counted often.
func (s *Store) backlogOf(ctx context.Context, webhook string, instance pombo.InstanceID, after int64) (n int, first int64, err error) {
	count := func(limit string) error {
		return s.read.QueryRowContext(ctx, s.dialect.form(`
			SELECT COUNT(*), COALESCE(MIN(n), 0) FROM (
				SELECT id + 0 AS n FROM pombo_delivery
				WHERE webhook_id = $1 AND instance_id = $2 AND state = 'pending' AND id + 0 > $3`+limit+`) AS p`),
			webhook, string(instance), after).Scan(&n, &first)
	}
	// As in pendingOf, the order and the limit are for PostgreSQL, as long as it is few.
	if err = count(fmt.Sprintf(" ORDER BY chat, id + 0 LIMIT %d", few+1)); err == nil && n > few {
		err = count("")
	}
	return n, first, err
}

// appendedAt returns when a delivery was appended; zero if it is gone.
func (s *Store) appendedAt(ctx context.Context, id int64) (time.Time, error) {
	var at sql.NullInt64
	err := s.read.QueryRowContext(ctx, s.dialect.form(`SELECT created_at FROM pombo_delivery WHERE id = $1`), id).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	return fromMillis(at), err
}

// Backlog is what is pending for one webhook.
type Backlog struct {
	WebhookID string
	Instance  pombo.InstanceID // "" for the global one
	Pending   int
	Oldest    time.Time // when its oldest was appended
}

// Backlogs returns what is pending, by webhook.
func (s *Store) Backlogs(ctx context.Context) ([]Backlog, error) {
	const doing = "reading backlogs"
	if err := s.askFault("read"); err != nil {
		return nil, unavailable(doing, err)
	}
	if err := s.mostRows(ctx); err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, `
		SELECT b.webhook_id, COALESCE(w.instance_id, ''), b.n, d.created_at
		FROM (SELECT p.webhook_id, COUNT(*) AS n, MIN(p.id + 0) AS first FROM pombo_delivery p WHERE p.state = 'pending' GROUP BY p.webhook_id) AS b
		JOIN pombo_webhook w ON w.id = b.webhook_id
		JOIN pombo_delivery d ON d.id = b.first
		WHERE w.dead_through = 0
		ORDER BY b.webhook_id`)
	if err != nil {
		return nil, readError(ctx, doing, err)
	}
	defer rows.Close()
	var all []Backlog
	for rows.Next() {
		var b Backlog
		var oldest sql.NullInt64
		if err := rows.Scan(&b.WebhookID, &b.Instance, &b.Pending, &oldest); err != nil {
			return nil, readError(ctx, doing, err)
		}
		b.Oldest = fromMillis(oldest)
		all = append(all, b)
	}
	if err := rows.Err(); err != nil {
		return nil, readError(ctx, doing, err)
	}
	return all, nil
}
