//go:build pprof

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof" // registers the profiles' routes
	"os"
	"time"
)

// A program built with -tags pprof offers Go's profiles at the address in
// POMBO_PPROF, on loopback only. It is for measuring: the program that people
// run has none of this.
func init() {
	addr := os.Getenv("POMBO_PPROF")
	if addr == "" {
		return
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr)
	if err != nil {
		fmt.Fprintf(os.Stderr, "pombo: POMBO_PPROF: %v\n", err)
		os.Exit(2)
	}
	if a, ok := l.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		fmt.Fprintln(os.Stderr, "pombo: POMBO_PPROF is not a loopback address: profiles show what is in memory")
		os.Exit(2)
	}
	go func() {
		srv := &http.Server{ReadHeaderTimeout: 10 * time.Second} // http.DefaultServeMux
		fmt.Fprintln(os.Stderr, "pombo: profiles:", srv.Serve(l))
	}()
}
