package dispatch

import "time"

// dueHeap orders what waits by when it is due (container/heap). What is taken out
// is told the place -1.
type dueHeap[T waits] []T

type waits interface {
	dueAt() time.Time
	setPlace(int)
}

func (h dueHeap[T]) Len() int           { return len(h) }
func (h dueHeap[T]) Less(i, j int) bool { return h[i].dueAt().Before(h[j].dueAt()) }

func (h dueHeap[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].setPlace(i)
	h[j].setPlace(j)
}

// Push implements heap.Interface.
func (h *dueHeap[T]) Push(x any) {
	it := x.(T)
	it.setPlace(len(*h))
	*h = append(*h, it)
}

// Pop implements heap.Interface.
func (h *dueHeap[T]) Pop() any {
	var none T
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = none
	*h = old[:len(old)-1]
	it.setPlace(-1)
	return it
}
