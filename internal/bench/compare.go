package main

import (
	"context"
	"errors"
	"fmt"
)

// compare measures what it is worth that sessions of Signal are committed together
// with the events: bursts for the gateway as it is and for one with whatsmeow's own
// store, in turn, so that both meet the same machine.
func (b *bench) compare(ctx context.Context, n int) (err error) {
	if b.plainProgram == "" {
		if b.plainProgram, err = b.build(ctx, plainTag); err != nil {
			return err
		}
	}
	chats := makeChats(n)
	var figures [2]loadFigures
	var labs []*lab
	defer func() {
		for _, l := range labs {
			err = errors.Join(err, l.close())
		}
	}()
	for _, program := range []string{b.program, b.plainProgram} {
		l, err := b.openProgram(ctx, program)
		if err != nil {
			return err
		}
		labs = append(labs, l)
		if err := l.pair(ctx, 0, n); err != nil {
			return err
		}
		if err := l.warm(ctx, chats); err != nil {
			return l.explain(fmt.Errorf("warming up: %w", err))
		}
	}
	for run := range b.runs {
		for i, l := range labs {
			if err := l.burst(ctx, fmt.Sprintf("burst-%d-%d", run, i), chats, &figures[i]); err != nil {
				return l.explain(fmt.Errorf("burst %d: %w", run+1, err))
			}
		}
	}
	ours, plain := &figures[0], &figures[1]
	rates, times := make([]float64, b.runs), make([]float64, b.runs)
	for i := range b.runs {
		rates[i], times[i] = ours.rate[i]/plain.rate[i], plain.gateway[i]/ours.gateway[i]
	}
	r, who := &b.report, instances(n)
	r.add("burst, "+who+", with whatsmeow's own store", "messages/s", goal{}, plain.rate...)
	r.add("— processor time of the gateway", "µs/message", goal{}, plain.gateway...)
	r.add("— with ours, in turn with it", "messages/s", goal{}, ours.rate...)
	r.add("— processor time of the gateway", "µs/message", goal{}, ours.gateway...)
	r.add("— ratio of the rates, of two bursts that follow each other", "×", goal{least: 3}, rates...)
	r.add("— ratio of the processor times", "×", goal{}, times...)
	return nil
}
