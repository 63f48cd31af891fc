package config

import "time"

// Deadline is how long an event waits for its file.
func (m Media) Deadline() time.Duration {
	return time.Duration(m.DeadlineSeconds * float64(time.Second))
}

// Keep is how long after its message a file can be had.
func (m Media) Keep() time.Duration { return time.Duration(m.KeepHours * float64(time.Hour)) }

// Limit is how many bytes the files may have together.
func (m Media) Limit() int64 { return int64(m.MaxMB) << 20 }

// LargestSent is how many bytes a file may have that is sent with an event.
func (m Media) LargestSent() int64 { return int64(m.Base64MaxMB) << 20 }
