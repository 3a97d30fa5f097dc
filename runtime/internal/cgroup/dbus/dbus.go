// Package dbus speaks as much D-Bus as it takes to ask systemd for a unit.
//
// The parties: this client; a server on a Unix socket, which is systemd itself or a message bus that passes calls on to
// it. The kernel tells the server who the client is. The client trusts the server, whose socket only root (or the user)
// can have made, but not its lengths: every message is bounded and every read is checked.
//
// It is a client of its own because a runtime must start in a millisecond: the general one links the network stack,
// reflection and XML for what is a dozen messages (docs/adr/0081-own-dbus-client.md). The protocol is the D-Bus
// Specification 0.43, sections "Message Protocol" and "Authentication Protocol".
package dbus

import (
	"bytes"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/berth-oci/berth/runtime/internal/kernel"
)

// Timeout bounds every wait for the server.
const Timeout = 30 * time.Second

// maxMessage is far more than any answer of systemd's to this client, and far less than D-Bus allows.
const maxMessage = 1 << 20

// Conn is a connection. It is for one goroutine at a time.
type Conn struct {
	fd      int
	serial  uint32
	bus     bool
	signals []Message // that came while a reply was waited for
}

// Error is an error that the server answered with.
type Error struct {
	Name    string // "org.freedesktop.systemd1.UnitExists"
	Message string
}

func (e *Error) Error() string {
	if e.Message == "" {
		return e.Name
	}
	return e.Message
}

// Dial connects to the socket at path; an abstract one begins with "@". bus says that it is a message bus, which gives its
// clients names, and not a peer.
func Dial(path string, bus bool) (*Conn, error) {
	fd, err := kernel.Connect(path)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", path, err)
	}
	c := &Conn{fd: fd, bus: bus}
	if err := c.begin(); err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("speak to %s: %w", path, err)
	}
	return c, nil
}

// Close ends the connection.
func (c *Conn) Close() error { return syscall.Close(c.fd) }

// begin authenticates by what the kernel tells the server. No user id is named, since in a user namespace the client would
// not know the one that the server sees.
func (c *Conn) begin() error {
	limit := syscall.NsecToTimeval(Timeout.Nanoseconds())
	for _, option := range []int{syscall.SO_RCVTIMEO, syscall.SO_SNDTIMEO} {
		if err := syscall.SetsockoptTimeval(c.fd, syscall.SOL_SOCKET, option, &limit); err != nil {
			return err
		}
	}
	if err := c.send([]byte("\x00AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")); err != nil {
		return err
	}
	for _, word := range []string{"DATA", "OK"} {
		if err := c.expect(word); err != nil {
			return err
		}
	}
	if !c.bus {
		return nil
	}
	_, err := c.Call(Target{"org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus"}, "Hello")
	return err
}

// expect reads one line of the authentication. It reads byte by byte, so that nothing of what follows is lost.
func (c *Conn) expect(word string) error {
	var line []byte
	b := make([]byte, 1)
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		if len(line) > 1000 {
			return errors.New("the server's answer to the authentication has no end")
		}
		if err := c.fill(b); err != nil {
			return err
		}
		line = append(line, b[0])
	}
	got, _, _ := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
	if string(got) != word {
		return fmt.Errorf("the server refuses the authentication: %q", line)
	}
	return nil
}

func (c *Conn) send(b []byte) error {
	for len(b) > 0 {
		n, err := syscall.SendmsgN(c.fd, b, nil, nil, syscall.MSG_NOSIGNAL)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return timedOut(err)
		}
		b = b[n:]
	}
	return nil
}

// fill reads exactly len(b) bytes.
func (c *Conn) fill(b []byte) error {
	for len(b) > 0 {
		n, err := syscall.Read(c.fd, b)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return timedOut(err)
		}
		if n == 0 {
			return errors.New("the server closed the connection")
		}
		b = b[n:]
	}
	return nil
}

func timedOut(err error) error {
	if err == syscall.EAGAIN {
		return fmt.Errorf("no answer within %v", Timeout)
	}
	return err
}

// Target is an object's interface.
type Target struct{ Service, Path, Interface string }

// Call calls a method and waits for its answer. The arguments are of the types that Encode takes.
func (c *Conn) Call(t Target, method string, args ...any) (Message, error) {
	c.serial++
	serial := c.serial
	b, err := encodeCall(serial, t, method, c.bus, args)
	if err == nil {
		err = c.send(b)
	}
	if err != nil {
		return Message{}, err
	}
	for {
		m, err := c.read()
		switch {
		case err != nil:
			return m, err
		case m.kind == kindSignal:
			c.signals = append(c.signals, m)
		case m.replyTo != serial:
		case m.kind == kindError:
			text, _ := m.Body().Text()
			return m, &Error{m.errorName, text}
		default:
			return m, nil
		}
	}
}

// Match asks a message bus for signals; a peer sends all of its own.
func (c *Conn) Match(rule string) error {
	if !c.bus {
		return nil
	}
	_, err := c.Call(Target{"org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus"}, "AddMatch", rule)
	return err
}

// Signal waits for a signal of this name. Those that came before, during calls, count too; others are dropped.
func (c *Conn) Signal(member string) (Message, error) {
	for {
		var m Message
		if len(c.signals) > 0 {
			m, c.signals = c.signals[0], c.signals[1:]
		} else {
			var err error
			if m, err = c.read(); err != nil {
				return m, err
			}
		}
		if m.kind == kindSignal && m.Member == member {
			return m, nil
		}
	}
}
