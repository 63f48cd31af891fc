package dispatch

// queue is a first-in first-out queue that keeps its memory while it is in use.
type queue[T any] struct {
	items []T
	first int
}

func (q *queue[T]) len() int { return len(q.items) - q.first }

func (q *queue[T]) push(v T) {
	if q.first > 0 && len(q.items) == cap(q.items) {
		n := copy(q.items, q.items[q.first:])
		clear(q.items[n:])
		q.items, q.first = q.items[:n], 0
	}
	q.items = append(q.items, v)
}

func (q *queue[T]) pop() (v T, ok bool) {
	if q.len() == 0 {
		return v, false
	}
	var zero T
	v, q.items[q.first] = q.items[q.first], zero
	q.first++
	if q.first == len(q.items) {
		q.items, q.first = q.items[:0], 0
	}
	return v, true
}

// drop takes ln out of q.
func drop(q *queue[*lane], ln *lane) {
	for i := q.first; i < len(q.items); i++ {
		if q.items[i] == ln {
			copy(q.items[i:], q.items[i+1:])
			q.items[len(q.items)-1] = nil
			q.items = q.items[:len(q.items)-1]
			break
		}
	}
	if q.len() == 0 {
		q.items, q.first = q.items[:0], 0
	}
}
