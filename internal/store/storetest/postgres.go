//go:build unix

package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// startTimeout bounds the start of the server, initdb included.
	startTimeout = 3 * time.Minute
	// statementTimeout bounds the making and the removal of a database.
	statementTimeout = 3 * time.Minute
)

// server is the one throwaway PostgreSQL server of this test process.
var server struct {
	once sync.Once
	url  *url.URL
	err  error
	// hold is the write end of a pipe. The server's shell reads the other end
	// and stops the server when it closes, which happens when this process ends,
	// however it ends.
	hold io.Closer
	mu   sync.Mutex
	n    int // databases made
}

// errMissing says that PostgreSQL is not installed.
var errMissing = errors.New("PostgreSQL's initdb and postgres are neither on PATH nor in /usr/lib/postgresql/*/bin")

// errPortTaken says that another process took the server's port before the server.
var errPortTaken = errors.New("the port of the test's PostgreSQL was taken")

// Postgres returns the URL of a new, empty database on a throwaway PostgreSQL
// server, which is started at the first call and ends with the test process. The
// URL's user is a superuser with a password; the server listens on loopback only.
//
// Without PostgreSQL installed the test is skipped, or fails if the environment
// has REQUIRE_ALL=1.
func Postgres(t testing.TB) string {
	t.Helper()
	server.once.Do(startServer)
	if errors.Is(server.err, errMissing) && os.Getenv("REQUIRE_ALL") != "1" {
		t.Skipf("skipped: %v", server.err)
	}
	if server.err != nil {
		t.Fatalf("starting PostgreSQL: %v", server.err)
	}
	server.mu.Lock()
	server.n++
	name := fmt.Sprintf("test_%d", server.n)
	server.mu.Unlock()
	// Encodings and locales differ between machines; these do not.
	administer(t, `CREATE DATABASE `+name+` TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`)
	t.Cleanup(func() { administer(t, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`) })
	u := *server.url
	u.Path = "/" + name
	return u.String()
}

func administer(t testing.TB, query string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), statementTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, server.url.String())
	if err != nil {
		t.Fatalf("connecting to the test's PostgreSQL: %v", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func startServer() {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for range 10 {
		server.url, server.hold, server.err = launch(ctx, freePort)
		if !errors.Is(server.err, errPortTaken) {
			return
		}
	}
}

// launch makes a data folder and runs a server on it, on a port that choose says.
func launch(ctx context.Context, choose func(context.Context) (int, error)) (*url.URL, io.Closer, error) {
	bin, err := findBinaries()
	if err != nil {
		return nil, nil, err
	}
	as, err := unprivileged()
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "pombo-postgres-")
	if err != nil {
		return nil, nil, err
	}
	password := rand.Text()
	pwfile := filepath.Join(dir, "password")
	if err := os.WriteFile(pwfile, []byte(password+"\n"), 0o600); err != nil {
		return nil, nil, err
	}
	if as != nil {
		for _, path := range []string{dir, pwfile} {
			if err := os.Chown(path, int(as.Uid), int(as.Gid)); err != nil {
				return nil, nil, err
			}
		}
	}
	data := filepath.Join(dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-E", "UTF8",
		"--locale=C", "--auth=scram-sha-256", "--pwfile="+pwfile, "--no-sync", "--no-instructions")
	run(initdb, dir, as)
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("initdb: %w: %s", err, out), os.RemoveAll(dir))
	}
	port, err := choose(ctx)
	if err != nil {
		return nil, nil, err
	}
	hold, err := runServer(bin, dir, data, port, as)
	if err != nil {
		return nil, nil, err
	}
	u := &url.URL{
		Scheme: "postgresql", User: url.UserPassword("postgres", password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Path: "/postgres", RawQuery: "sslmode=disable",
	}
	if err := untilReady(ctx, u, filepath.Join(dir, "log")); err != nil {
		return nil, nil, errors.Join(err, hold.Close())
	}
	return u, hold, nil
}

// script runs the server until its standard input ends, then removes its folder.
const script = `
"$1" -D "$2" -p "$3" -k "$4" -c listen_addresses=127.0.0.1 -c max_connections=200 -c shared_buffers=64MB \
	</dev/null >"$4/log" 2>&1 &
read _
kill -QUIT $!
wait
cd / && rm -rf "$4"
`

// runServer returns what to close to stop the server.
func runServer(bin, dir, data string, port int, as *syscall.Credential) (io.Closer, error) {
	cmd := exec.Command("/bin/sh", "-c", script, "sh", filepath.Join(bin, "postgres"), data, strconv.Itoa(port), dir) //nolint:noctx // it outlives every test's context
	run(cmd, dir, as)
	stdin, hold, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	cmd.Stdin = stdin
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, hold.Close())
	}
	return hold, nil
}

// run makes cmd run as another user in a process group of its own, so that an
// interrupt from the terminal reaches the test first.
func run(cmd *exec.Cmd, dir string, as *syscall.Credential) {
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: as}
}

// unprivileged returns the user to run the server as: PostgreSQL refuses to run
// as root. It is nil for the present user.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor a user nobody")
}

// findBinaries returns the folder of initdb and postgres. Debian keeps them off
// the PATH, in a folder for each version; the newest is taken.
func findBinaries() (string, error) {
	var dirs []string
	if path, err := exec.LookPath("initdb"); err == nil {
		if target, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(target))
		}
	}
	debian, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	slices.SortFunc(debian, func(a, b string) int { return version(b) - version(a) })
	for _, dir := range append(dirs, debian...) {
		_, err1 := os.Stat(filepath.Join(dir, "initdb"))
		_, err2 := os.Stat(filepath.Join(dir, "postgres"))
		if err1 == nil && err2 == nil {
			return dir, nil
		}
	}
	return "", errMissing
}

// version returns the major version that a Debian folder's path names, or 0.
func version(dir string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	if err != nil {
		return 0
	}
	return n
}

func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

// untilReady waits until the server answers.
func untilReady(ctx context.Context, u *url.URL, logFile string) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := answers(ctx, u)
		if err == nil {
			return nil
		}
		out, logErr := os.ReadFile(logFile)
		if strings.Contains(string(out), "could not create any TCP/IP sockets") {
			return errPortTaken
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, logErr, errors.New(strings.TrimSpace(string(out))))
		case <-tick.C:
		}
	}
}

// answers tells why the server does not answer. Whoever else has its port may take
// a connection and say nothing.
func answers(ctx context.Context, u *url.URL) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, u.String())
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}
