package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// median returns the middle of values, or the mean of the two in the middle. It
// needs at least one value.
func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// percentile returns the smallest value that at least p percent of values do
// not exceed (the nearest rank). It needs at least one value.
func percentile(values []time.Duration, p float64) time.Duration {
	s := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(p / 100 * float64(len(s))))
	return s[max(rank, 1)-1]
}

// number writes v with three significant digits, or all that stand before the
// point.
func number(v float64) string {
	if v == 0 || math.Abs(v) >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	return strconv.FormatFloat(v, 'f', digits, 64)
}

// spread writes the median and, if there is more than one value, the range.
func spread(values []float64) string {
	if len(values) == 1 {
		return number(values[0])
	}
	return fmt.Sprintf("%s [%s–%s]", number(median(values)), number(slices.Min(values)), number(slices.Max(values)))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
