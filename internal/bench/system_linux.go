package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clockTick is the unit of times in /proc/PID/stat: USER_HZ, which is 100 on
// every architecture that Go runs on.
const clockTick = 10 * time.Millisecond

// cpuTime returns the processor time that a process has used, by itself and in
// the kernel (proc_pid_stat(5), fields 14 and 15).
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// Field 2, the program's name in parentheses, may hold anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("reading /proc/%d/stat: it has %d fields", pid, len(fields)+2)
	}
	var ticks time.Duration
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading /proc/%d/stat: %w", pid, err)
		}
		ticks += time.Duration(n)
	}
	return ticks * clockTick, nil //nolint:durationcheck // a count of ticks
}

// residentMB returns a process's resident memory in MB (10⁶ bytes), as
// /proc/PID/status has it.
func residentMB(pid int) (float64, error) {
	path := fmt.Sprintf("/proc/%d/status", pid)
	status, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %g kB", &kib); n == 1 {
			return kib * 1024 / 1e6, nil
		}
	}
	return 0, fmt.Errorf("%s has no VmRSS", path)
}

// writtenBytes returns how many bytes a process has handed to write calls, for files
// and sockets (proc_pid_io(5), wchar).
func writtenBytes(pid int) (int64, error) {
	path := fmt.Sprintf("/proc/%d/io", pid)
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		var n int64
		if found, _ := fmt.Sscanf(line, "wchar: %d", &n); found == 1 {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%s has no wchar", path)
}

// sockets returns how many sockets a process has open.
func sockets(pid int) (n int, err error) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		// One that was closed meanwhile is none.
		if to, err := os.Readlink(filepath.Join(dir, f.Name())); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n, nil
}

// cpuModel returns the processor's name.
func cpuModel() (string, error) {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value), nil
		}
	}
	return "unknown processor", nil
}

// inMemory tells whether what is written to dir never reaches a disk.
func inMemory(dir string) (bool, error) {
	const tmpfsMagic, ramfsMagic = 0x01021994, 0x858458f6 // statfs(2)
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return false, fmt.Errorf("asking for the file system of %s: %w", dir, err)
	}
	return fs.Type == tmpfsMagic || fs.Type == ramfsMagic, nil
}

// fsyncTimes returns how long the disk below dir takes to make a written page
// durable, once and then again for d: 4 KiB pwrite and fdatasync in a loop.
func fsyncTimes(dir string, d time.Duration) (times []time.Duration, err error) {
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if rerr := os.Remove(f.Name()); err == nil {
			err = rerr
		}
	}()
	const pages = 256 // 1 MiB, overwritten again and again like a database's log
	page := make([]byte, 4<<10)
	for i := range pages {
		if _, err := f.WriteAt(page, int64(i*len(page))); err != nil {
			return nil, err
		}
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	for start := time.Now(); len(times) == 0 || time.Since(start) < d; {
		began := time.Now()
		page[0] = byte(len(times))
		if _, err := f.WriteAt(page, int64(len(times)%pages*len(page))); err != nil {
			return nil, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return nil, err
		}
		times = append(times, time.Since(began))
	}
	return times, nil
}
