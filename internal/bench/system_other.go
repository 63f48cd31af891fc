//go:build !linux

package main

import (
	"errors"
	"time"
)

var errLinux = errors.New("the benchmark needs Linux, from which it reads what processes use")

func cpuTime(int) (time.Duration, error) { return 0, errLinux }
func residentMB(int) (float64, error)    { return 0, errLinux }
func writtenBytes(int) (int64, error)    { return 0, errLinux }
func cpuModel() (string, error)          { return "", errLinux }
func inMemory(string) (bool, error)      { return false, errLinux }
func sockets(int) (int, error)           { return 0, errLinux }

func fsyncTimes(string, time.Duration) ([]time.Duration, error) { return nil, errLinux }
