package main

import (
	"fmt"
	"io"
	"strconv"
)

// report gathers the figures.
type report struct {
	machine string
	fsyncs  []float64 // what the disk did a second before each run of the figures to come
	rows    []row
}

// row is one figure, measured once or more.
type row struct {
	what   string
	unit   string
	values []float64
	goal   goal
	fsyncs []float64
}

// goal is the bound that a figure's median should keep. The zero value is none.
type goal struct {
	least, most float64
}

func (g goal) String() string {
	switch {
	case g.least > 0:
		return "≥ " + strconv.FormatFloat(g.least, 'f', -1, 64)
	case g.most > 0:
		return "≤ " + strconv.FormatFloat(g.most, 'f', -1, 64)
	}
	return ""
}

// verdict says how value stands to the goal.
func (g goal) verdict(value float64) string {
	switch {
	case g == goal{}:
		return ""
	case value < g.least, g.most > 0 && value > g.most:
		return "missed"
	}
	return "met"
}

// add puts a figure into the report; figures without values are left out.
func (r *report) add(what, unit string, g goal, values ...float64) {
	if len(values) > 0 {
		r.rows = append(r.rows, row{what, unit, values, g, r.fsyncs})
	}
}

// write writes the report in Markdown.
func (r *report) write(w io.Writer) error {
	out := func(format string, args ...any) (err error) {
		_, err = fmt.Fprintf(w, format, args...)
		return err
	}
	if err := out("%s\n\n| figure | unit | median [min–max] | runs | goal | | fsync/s |\n|---|---|---:|---:|---:|---|---:|\n", r.machine); err != nil {
		return err
	}
	for _, x := range r.rows {
		fsyncs := ""
		if len(x.fsyncs) > 0 {
			fsyncs = spread(x.fsyncs)
		}
		err := out("| %s | %s | %s | %d | %s | %s | %s |\n",
			x.what, x.unit, spread(x.values), len(x.values), x.goal, x.goal.verdict(median(x.values)), fsyncs)
		if err != nil {
			return err
		}
	}
	return nil
}
