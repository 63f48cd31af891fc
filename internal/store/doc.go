// Package store owns the database: its schema and migrations, and every write
// and read of instances, webhooks, events, deliveries and sent messages. It matches
// events to webhooks, by their filters too. It runs
// on SQLite (one file) and on PostgreSQL with the same hand-written SQL; each
// place where they differ says why. It never talks to WhatsApp or to a webhook,
// and decides nothing about retries: it writes down what dispatch decided.
//
// # A delivery's states
//
//	pending ──▶ delivered
//	   │ └────▶ pending, with next_attempt_at and perhaps parked
//	   └──────▶ dead: rejected | exhausted | disabled
//	delivered, dead ──Replay──▶ pending
//
// Only Settle moves a delivery, save that switching a webhook off, removing it or
// deleting its instance makes what is pending dead: disabled, and that Replay
// makes deliveries pending again. Nothing else leaves delivered or dead: a result
// that comes too late is recorded as an attempt and changes no state. CHECK
// constraints in schema/ say the same. What has ended is removed when it is old
// (retention.go), or when the database is near its limit (disk.go).
//
// # Writing
//
// One goroutine, the committer, makes all of this package's writes. It takes
// whatever waits at the moment into one transaction, so that callers share an
// fsync, and answers them after the commit. There is no timer: a lone caller is
// served at once. Settled attempts are not urgent: they ride in the next
// transaction, or have one of their own within [settleDelay].
//
// A delivery's row is written when there is something to tell of it (rows.go);
// until then its event's row, which is written in Append's transaction, stands for it.
// Whoever reads rows of deliveries asks for them first (allRows), so that it shows
// nowhere.
//
// A failing database fails every caller of that transaction with an error for
// which errors.Is(err, [ErrUnavailable]) holds. A caller's own mistake fails
// that caller only.
//
// Every operation can be repeated. A caller whose context ends while it waits
// gets the context's error, and the operation may still commit; after a commit
// whose outcome was unknown (a lost connection) the store looks what became of
// it before it writes again, and reports deliveries it had not reported. So a
// caller who is in doubt simply asks again.
package store
