package vm

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/berth-oci/berth/conformance/vm/wire"
)

// maxFetched bounds what a job may send back, in bytes of tar.
const maxFetched = 1 << 30

// Guest is a machine that is up. It runs one job at a time, and each finds what those before it left.
type Guest struct {
	Facts  Facts
	Failed []error // attempts to boot it that failed before this one

	mu   sync.Mutex // held by the job that runs
	proc *process
	port *os.File
	conn *wire.Conn
}

// bootAttempts is how often a machine is started before its boot counts as failed. qemu's emulation of amd64 is known
// to lose a boot now and then when the host is busy (see emulators), and a boot has no effect that would count twice.
const bootAttempts = 3

// Boot starts the machine and waits until it can run jobs. The caller must Close the guest.
func (m Machine) Boot(ctx context.Context) (*Guest, error) {
	m = m.withDefaults()
	if err := m.validate(); err != nil {
		return nil, err
	}
	if _, err := m.emulator(); err != nil { // before anything is fetched
		return nil, err
	}
	p, err := m.gather(ctx)
	if err != nil {
		return nil, err
	}
	var failed []error
	for range bootAttempts {
		g, err := m.bootOnce(ctx, p)
		if err == nil {
			g.Failed = failed
			return g, nil
		}
		failed = append(failed, fmt.Errorf("cannot boot %s: %w", m, err))
		if IsUnavailable(err) || ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(failed...)
}

func (m Machine) bootOnce(ctx context.Context, p parts) (*Guest, error) {
	initramfs, err := m.initramfs(p)
	if err != nil {
		return nil, err
	}
	defer initramfs.Close()
	g, err := m.launch(p.kernel, initramfs)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, m.BootTimeout)
	defer cancel()
	if err := g.greet(ctx); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

func (m Machine) launch(k kernel, initramfs *os.File) (*Guest, error) {
	ours, theirs, err := socketpair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	proc, err := m.start(k, initramfs, theirs)
	if err != nil {
		ours.Close()
		return nil, err
	}
	return &Guest{proc: proc, port: ours, conn: wire.NewConn(ours)}, nil
}

// greet waits for the agent's first words.
func (g *Guest) greet(ctx context.Context) error {
	defer context.AfterFunc(ctx, g.proc.kill)()
	kind, payload, err := g.conn.Receive()
	if err == nil && kind != wire.Hello {
		err = fmt.Errorf("the agent began with %q", kind)
	}
	if err == nil {
		err = json.Unmarshal(payload, &g.Facts)
	}
	return g.explain(ctx, err)
}

// explain says of a broken conversation why: time ran out, or the machine died, which its console may tell about. The
// machine is of no more use then.
func (g *Guest) explain(ctx context.Context, err error) error {
	var said refusal
	if err == nil || errors.As(err, &said) {
		return err
	}
	select {
	case <-g.proc.done:
	case <-time.After(time.Second): // a machine that dies hangs up a little earlier
		g.proc.kill()
		<-g.proc.done
		return fmt.Errorf("%w%s", err, g.proc.story())
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w%s", context.Cause(ctx), g.proc.story())
	}
	return fmt.Errorf("the machine ended (%v)%s", g.proc.state, g.proc.story())
}

// Close ends the machine at once. Nothing in it is saved.
func (g *Guest) Close() error {
	g.proc.kill()
	<-g.proc.done
	return g.port.Close()
}

// Console returns the last lines that the kernel printed.
func (g *Guest) Console(lines int) string { return g.proc.console.tail(lines) }

// Run runs a job in the guest. When ctx ends first, the machine is ended with it: nothing less stops a hostile job.
func (g *Guest) Run(ctx context.Context, job Job) (Result, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(job.Command) == 0 {
		return Result{}, errors.New("cannot run a job without a command")
	}
	defer context.AfterFunc(ctx, g.proc.kill)()
	err := g.send(job)
	var res Result
	if err == nil {
		res, err = g.follow(job)
	}
	if err != nil {
		return res, fmt.Errorf("cannot run %q: %w", job.Command[0], g.explain(ctx, err))
	}
	return res, nil
}

func (g *Guest) send(job Job) error {
	order := wire.Job{Command: job.Command, Env: environment(job.Env), Dir: job.Dir, UID: job.UID, GID: job.GID, Fetch: job.Fetch}
	if err := g.conn.SendJSON(wire.Start, order); err != nil {
		return err
	}
	if err := sendFiles(g.conn.Writer(wire.Files), job.Files); err != nil {
		return err
	}
	if job.Stdin != nil {
		if _, err := io.Copy(g.conn.Writer(wire.Input), job.Stdin); err != nil {
			return err
		}
	}
	return g.conn.Send(wire.Go, nil)
}

// environment is what a root shell would have, and what the job adds.
func environment(more []string) []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TERM=linux", "LANG=C.UTF-8", "USER=root"}
	return append(env, more...)
}

// follow takes the job's output until its status comes.
func (g *Guest) follow(job Job) (res Result, err error) {
	var stdout, stderr bytes.Buffer
	if job.Stdout == nil {
		job.Stdout = &stdout
	}
	if job.Stderr == nil {
		job.Stderr = &stderr
	}
	var fetched bytes.Buffer
	for {
		kind, payload, err := g.conn.Receive()
		if err != nil {
			return Result{Stdout: stdout.Bytes(), Stderr: stderr.Bytes()}, err
		}
		switch kind {
		case wire.Stdout:
			_, err = job.Stdout.Write(payload)
		case wire.Stderr:
			_, err = job.Stderr.Write(payload)
		case wire.Fetched:
			if _, err = fetched.Write(payload); fetched.Len() > maxFetched {
				err = fmt.Errorf("the job's files exceed %d bytes", maxFetched)
			}
		case wire.Exit:
			res, err := conclude(payload, &fetched)
			res.Stdout, res.Stderr = stdout.Bytes(), stderr.Bytes()
			return res, err
		default:
			err = fmt.Errorf("the agent said %q, which is not its to say", kind)
		}
		if err != nil {
			return Result{}, err
		}
	}
}

func conclude(payload []byte, fetched io.Reader) (Result, error) {
	var st wire.Status
	if err := json.Unmarshal(payload, &st); err != nil {
		return Result{}, err
	}
	if st.Error != "" {
		return Result{}, refusal(st.Error)
	}
	res := Result{ExitCode: st.Code, Signal: syscall.Signal(st.Signal), Missing: st.Missing}
	var err error
	res.Files, err = readFiles(fetched)
	return res, err
}

// refusal is the agent's own word that a job could not be run; the machine is well.
type refusal string

func (r refusal) Error() string { return string(r) }

// readFiles keeps the regular files of a tar stream.
func readFiles(r io.Reader) (map[string][]byte, error) {
	files := map[string][]byte{}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the job's files: %w", err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if files[h.Name], err = io.ReadAll(tr); err != nil {
			return nil, fmt.Errorf("cannot read the job's files: %w", err)
		}
	}
}

// sendFiles writes a job's files as a tar stream, in the order of their names.
func sendFiles(w io.Writer, files map[string]File) error {
	if len(files) == 0 {
		return nil
	}
	tw := tar.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !path.IsAbs(name) {
			return fmt.Errorf("cannot send file %q: its path in the guest must be absolute", name)
		}
		f := files[name]
		var err error
		if f.Host != "" {
			err = sendHost(tw, name, f.Host)
		} else {
			err = sendData(tw, name, f)
		}
		if err != nil {
			return err
		}
	}
	return tw.Close()
}

func sendData(tw *tar.Writer, name string, f File) error {
	mode := f.Mode
	if mode == 0 {
		mode = 0o644
	}
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: unixMode(mode), Size: int64(len(f.Data))}); err != nil {
		return err
	}
	_, err := tw.Write(f.Data)
	return err
}

// unixMode is chmod's number for a mode.
func unixMode(mode fs.FileMode) int64 {
	bits := int64(mode.Perm())
	for flag, bit := range map[fs.FileMode]int64{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if mode&flag != 0 {
			bits |= bit
		}
	}
	return bits
}

// sendHost sends a file or tree of the host. Owners become root; what is neither file, directory nor link is left out.
func sendHost(tw *tar.Writer, name, host string) error {
	if resolved, err := filepath.EvalSymlinks(host); err == nil {
		host = resolved // the argument itself may be a link; links below it stay
	}
	return filepath.WalkDir(host, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("cannot send %s: %w", host, err)
		}
		rel, err := filepath.Rel(host, p)
		if err != nil {
			return err
		}
		return sendEntry(tw, path.Join(name, filepath.ToSlash(rel)), p, d)
	})
}

func sendEntry(tw *tar.Writer, name, p string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	h := &tar.Header{Name: name, Mode: unixMode(info.Mode())}
	switch {
	case d.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
		return tw.WriteHeader(h)
	case d.Type() == fs.ModeSymlink:
		h.Typeflag = tar.TypeSymlink
		if h.Linkname, err = os.Readlink(p); err != nil {
			return err
		}
		return tw.WriteHeader(h)
	case !d.Type().IsRegular():
		return nil
	}
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	f, err := os.Open(p)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(tw, f)
	return err
}
