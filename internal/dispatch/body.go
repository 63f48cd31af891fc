package dispatch

import (
	"bytes"
	"io"
)

// Body is what is posted. It has the same bytes however often it is opened.
type Body interface {
	// Size is how many bytes it has.
	Size() int64
	// Open returns a reader of all of it. It may be called many times, and while
	// earlier readers are still in use.
	Open() (io.ReadCloser, error)
}

// Bytes is a body in memory.
type Bytes []byte

// Size implements Body.
func (b Bytes) Size() int64 { return int64(len(b)) }

// Open implements Body.
func (b Bytes) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
