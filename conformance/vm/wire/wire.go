// Package wire is the conversation between a test on the host and the agent inside a virtual machine.
//
// The parties are a host, which is trusted, and a guest, whose agent is ours but whose jobs may be hostile: the host
// bounds every frame it reads and believes nothing else a guest says than the bytes of its output and results.
// Both ends of the conversation are one virtio-serial port, so a kernel that prints to its console cannot disturb it.
//
// A frame is one byte of kind, four bytes of length (big endian) and that many bytes of payload:
//
//	host → guest                         guest → host
//	------------------------------------ ------------------------------------
//	                                     Hello   the machine is up (JSON Facts)
//	Start   a job begins (JSON Job)
//	Files   a piece of a tar of files
//	Input   a piece of standard input
//	Go      all has been sent, run it
//	                                     Stdout, Stderr  a piece of output
//	                                     Fetched a piece of a tar of results
//	                                     Exit    the job has ended (JSON Status)
//
// A host that has had enough ends the whole machine; nothing in it is worth a clean end.
// The package uses the standard library only: the guest's agent is built from its source without any module.
package wire

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// Kind says what a frame carries.
type Kind byte

// The kinds of frames, in the order in which a conversation uses them.
const (
	Hello   Kind = 'H'
	Start   Kind = 'S'
	Files   Kind = 'T'
	Input   Kind = 'I'
	Go      Kind = 'G'
	Stdout  Kind = 'O'
	Stderr  Kind = 'E'
	Fetched Kind = 'F'
	Exit    Kind = 'X'
)

// Port is the name of the virtio-serial port, as the guest finds it in /sys/class/virtio-ports/*/name.
const Port = "conformance.job"

// MaxPayload bounds a frame's payload in bytes.
const MaxPayload = 1 << 18

// Facts is what a guest tells about itself when it is up.
type Facts struct {
	Kernel      string   // release, as uname -r prints it
	Arch        string   // machine, as uname -m prints it
	Uptime      float64  // seconds from the kernel's start to this message
	Cgroup      string   // v1, hybrid or v2, as mounted
	Controllers []string // cgroup controllers: of the v2 hierarchy, or mounted v1 ones
	LSM         string   // active security modules, comma separated
	Warnings    []string // what could not be set up and does not stop a job
}

// Job is a command to run in the guest.
type Job struct {
	Command []string
	Env     []string // complete environment
	Dir     string   // working directory; "/" when empty
	UID     uint32   // who runs it
	GID     uint32
	Fetch   []string // files, directories and patterns to send back
}

// Status is how a job ended.
type Status struct {
	Code    int      // exit code; -1 when killed by a signal
	Signal  int      // signal number, or 0
	Error   string   // why the command could not be run at all, or ""
	Missing []string // entries of Fetch that match nothing
}

// Conn frames a byte stream. Writes may come from several goroutines, reads from one.
type Conn struct {
	mu sync.Mutex
	w  io.Writer
	r  *bufio.Reader
}

// NewConn frames rw.
func NewConn(rw io.ReadWriter) *Conn {
	return &Conn{w: rw, r: bufio.NewReaderSize(rw, 1<<16)}
}

// Send writes one frame; payloads over MaxPayload are split into several frames of the same kind.
func (c *Conn) Send(kind Kind, payload []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		n := min(len(payload), MaxPayload)
		if err := c.frame(kind, payload[:n]); err != nil {
			return err
		}
		if payload = payload[n:]; len(payload) == 0 {
			return nil
		}
	}
}

func (c *Conn) frame(kind Kind, payload []byte) error {
	buf := make([]byte, 5, 5+len(payload))
	buf[0] = byte(kind)
	binary.BigEndian.PutUint32(buf[1:], uint32(len(payload)))
	if _, err := c.w.Write(append(buf, payload...)); err != nil {
		return fmt.Errorf("cannot send frame %q: %w", kind, err)
	}
	return nil
}

// SendJSON writes v as one frame.
func (c *Conn) SendJSON(kind Kind, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(data) > MaxPayload {
		return fmt.Errorf("cannot send frame %q: %d bytes of JSON exceed %d", kind, len(data), MaxPayload)
	}
	return c.Send(kind, data)
}

// Receive reads one frame. It returns io.EOF only between frames.
func (c *Conn) Receive() (Kind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > MaxPayload {
		return 0, nil, fmt.Errorf("cannot read frame %q: %d bytes exceed %d", head[0], n, MaxPayload)
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(c.r, payload); err != nil {
		return 0, nil, fmt.Errorf("cannot read frame %q: %w", head[0], io.ErrUnexpectedEOF)
	}
	return Kind(head[0]), payload, nil
}

// Writer returns a writer that sends all it is given as frames of one kind.
func (c *Conn) Writer(kind Kind) io.Writer { return writer{c, kind} }

type writer struct {
	c    *Conn
	kind Kind
}

func (w writer) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := w.c.Send(w.kind, p); err != nil {
		return 0, err
	}
	return len(p), nil
}
