package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cloudflare/circl/dh/x25519"
)

// contactsOf measures n instances that many people write to: first each of them
// for the first time, and, with again, in conversations with all of them at
// random, more than the cache of sessions can hold.
func (b *bench) contactsOf(ctx context.Context, n int, again bool) (err error) {
	l, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	if err := l.pair(ctx, 0, n); err != nil {
		return err
	}
	if err := pause(ctx, min(b.settle, 5*time.Second)); err != nil { // pairing makes work of its own
		return err
	}
	idle, err := residentMB(l.gateway.cmd.Process.Pid)
	if err != nil {
		return err
	}
	var first loadFigures
	var agreements []float64
	all := strangers(n, b.contacts)
	for i := range b.runs {
		agreements = append(agreements, agreement())
		part := all[i*len(all)/b.runs : (i+1)*len(all)/b.runs]
		if err := l.scatter(ctx, fmt.Sprintf("first-%d", i), part, &first); err != nil {
			return l.explain(fmt.Errorf("first messages, run %d: %w", i+1, err))
		}
	}
	b.report.add(fmt.Sprintf("burst, %s, each message of a contact who never wrote before", instances(n)), "messages/s", goal{}, first.rate...)
	b.reportProcessors(&first, goal{most: 1500})
	b.report.add("— an agreement by X25519 on this machine: such a message takes six, and a key", "µs", goal{}, agreements...)
	if b.profiles != "" && !again {
		return l.explain(l.profile(ctx, "first", func(ctx context.Context, i int) error {
			return l.scatter(ctx, fmt.Sprint("profiled-", i), strangersFrom(n, b.contacts, (i+1)*b.contacts), &loadFigures{})
		}))
	}
	if !again {
		return nil
	}
	return l.explain(l.acquaintances(ctx, all, idle))
}

// agreement returns how many µs an agreement by X25519 takes here, as package x3dh
// makes it.
func agreement() float64 {
	var secret, public, shared x25519.Key
	secret[0] = 1
	x25519.KeyGen(&public, &secret)
	const times = 1000
	began := time.Now()
	for range times {
		x25519.Shared(&shared, &secret, &public)
	}
	return float64(time.Since(began).Microseconds()) / times
}

// acquaintances goes on with contacts who have written once: each gets an answer and
// writes again, and from then on they write at random.
func (l *lab) acquaintances(ctx context.Context, all []chat, idle float64) error {
	b := l.bench
	began := time.Now()
	if err := l.answer(ctx, all); err != nil {
		return fmt.Errorf("answering: %w", err)
	}
	b.say("%d contacts have an answer after %.1f s", len(all), time.Since(began).Seconds())
	var second, random loadFigures
	if err := l.scatter(ctx, "second", all, &second); err != nil {
		return fmt.Errorf("second messages: %w", err)
	}
	rng := rand.New(rand.NewPCG(uint64(len(all)), 0)) // the same in each run of the benchmark
	for i := range b.runs {
		some := make([]chat, min(b.messages, len(all)))
		for k, at := range rng.Perm(len(all))[:len(some)] {
			some[k] = all[at]
		}
		if err := l.scatter(ctx, fmt.Sprintf("random-%d", i), some, &random); err != nil {
			return fmt.Errorf("random messages, run %d: %w", i+1, err)
		}
	}
	b.report.fsyncs = b.report.fsyncs[len(b.report.fsyncs)-b.runs:]
	who := fmt.Sprintf("%d contacts", len(all))
	b.report.add("burst, the first message of each of "+who+" after an answer", "messages/s", goal{}, second.rate...)
	b.reportProcessors(&second, goal{})
	b.report.add("burst, two-way conversations with "+who+", at random", "messages/s", goal{}, random.rate...)
	b.reportProcessors(&random, goal{})
	b.report.add("— memory of the gateway with them, when nobody had written", "MB", goal{}, idle)
	b.report.add("— right after the bursts", "MB", goal{}, random.memory...)
	return l.reportSessions(ctx)
}

// strangers are the first count contacts of each of n instances; neighbours belong
// to different instances.
func strangers(n, count int) []chat { return strangersFrom(n, count, 0) }

// strangersFrom leaves out as many contacts of each.
func strangersFrom(n, count, from int) []chat {
	chats := make([]chat, 0, n*count)
	for c := from; c < from+count; c++ {
		for i := range n {
			chats = append(chats, chat{instanceName(i), accountNumber(i), fmt.Sprintf("4178%06d%05d", c, i)})
		}
	}
	return chats
}

// scatter lets each contact write one message, as fast as the network takes them, and
// waits for the last arrival.
func (l *lab) scatter(ctx context.Context, run string, chats []chat, f *loadFigures) error {
	t := l.receiver.expect(run, chats, 1)
	return l.measure(ctx, t, len(chats), f, func(ctx context.Context) error {
		return each(ctx, len(chats), func(ctx context.Context, i int) error { return l.send(ctx, chats[i], t.text(0), 1) })
	})
}
