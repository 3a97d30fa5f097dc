package dbus

import (
	"bufio"
	"encoding/binary"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// serve plays a server: it authenticates one client and answers each of its messages with what answer says.
func serve(t *testing.T, answer func(serial uint32, call []byte) []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r := bufio.NewReader(c)
		for _, say := range []string{"DATA\r\n", "OK 0123456789abcdef\r\n", ""} {
			if _, err := r.ReadString('\n'); err != nil {
				return
			}
			if _, err := c.Write([]byte(say)); err != nil {
				return
			}
		}
		for {
			head := make([]byte, 16)
			if _, err := readFull(r, head); err != nil {
				return
			}
			le := binary.LittleEndian
			rest := make([]byte, (le.Uint32(head[12:])+7)/8*8+le.Uint32(head[4:]))
			if _, err := readFull(r, rest); err != nil {
				return
			}
			if _, err := c.Write(answer(le.Uint32(head[8:]), append(head, rest...))); err != nil {
				return
			}
		}
	}()
	return path
}

func readFull(r *bufio.Reader, b []byte) (int, error) {
	n := 0
	for n < len(b) {
		k, err := r.Read(b[n:])
		if n += k; err != nil {
			return n, err
		}
	}
	return n, nil
}

// message lays out a message from the server.
func message(kind byte, reply uint32, member, errorName string, args ...any) []byte {
	var body encoder
	signature := ""
	for _, a := range args {
		signature += signatureOf(a)
		body.value(a)
	}
	e := encoder{b: []byte{'l', kind, 0, 1}}
	e.u32(uint32(len(body.b)))
	e.u32(77)
	e.array(8, func() {
		if reply != 0 {
			e.field(fieldReplySerial, reply)
		}
		if member != "" {
			e.field(fieldMember, member)
		}
		if errorName != "" {
			e.field(fieldErrorName, errorName)
		}
		if signature != "" {
			e.align(8)
			e.b = append(e.b, fieldSignature)
			e.signature("g")
			e.signature(signature)
		}
	})
	e.align(8)
	return append(e.b, body.b...)
}

var target = Target{"org.example", "/org/example", "org.example.Iface"}

func dial(t *testing.T, path string) *Conn {
	t.Helper()
	c, err := Dial(path, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestReplyIsFoundAmongSignals(t *testing.T) {
	c := dial(t, serve(t, func(serial uint32, call []byte) []byte {
		early := message(kindSignal, 0, "JobRemoved", "", uint32(5), ObjectPath("/job/5"), "x.scope", "done")
		other := message(kindReply, serial+100, "", "", "not yours")
		return append(append(early, other...), message(kindReply, serial, "", "", ObjectPath("/job/5"))...)
	}))
	m, err := c.Call(target, "Start", "x.scope", []Property{{"PIDs", []uint32{1, 2}}, {"Slice", "a.slice"}, {"On", true},
		{"Max", uint64(1) << 40}, {"Bits", []byte{1, 2, 3}}, {"Devices", [][2]string{{"char-*", "m"}}}, {"After", []string{"a", "bc"}}}, Auxiliary{})
	if err != nil {
		t.Fatal(err)
	}
	if job, err := m.Body().Text(); job != "/job/5" || err != nil {
		t.Errorf("job %q, %v", job, err)
	}
	s, err := c.Signal("JobRemoved")
	if err != nil {
		t.Fatal(err)
	}
	d := s.Body()
	id, _ := d.Uint32()
	job, _ := d.Text()
	unit, _ := d.Text()
	result, err := d.Text()
	if id != 5 || job != "/job/5" || unit != "x.scope" || result != "done" || err != nil {
		t.Errorf("%d %s %s %s %v", id, job, unit, result, err)
	}
}

func TestErrorReplyKeepsItsName(t *testing.T) {
	c := dial(t, serve(t, func(serial uint32, _ []byte) []byte {
		return message(kindError, serial, "", "org.example.Exists", "it is there already")
	}))
	_, err := c.Call(target, "Start")
	var e *Error
	if !errors.As(err, &e) || e.Name != "org.example.Exists" || e.Error() != "it is there already" {
		t.Errorf("%v", err)
	}
}

func TestHostileServerIsAnError(t *testing.T) {
	good := message(kindReply, 1, "", "", "text")
	for name, bad := range map[string][]byte{
		"huge body":      func() []byte { b := append([]byte(nil), good...); b[7] = 0xff; return b }(),
		"huge header":    func() []byte { b := append([]byte(nil), good...); b[15] = 0xff; return b }(),
		"wrong version":  func() []byte { b := append([]byte(nil), good...); b[3] = 9; return b }(),
		"strange header": func() []byte { b := append([]byte(nil), good...); b[18] = 'v'; return b }(),
	} {
		sent := false
		path := serve(t, func(uint32, []byte) []byte {
			if sent {
				return nil
			}
			sent = true
			return bad
		})
		c := dial(t, path)
		done := make(chan error, 1)
		go func() {
			m, err := c.Call(target, "Start")
			if err == nil {
				_, err = m.Body().Text()
			}
			done <- err
		}()
		if err := <-done; err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestRefusedAuthenticationIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, _ = c.Write([]byte("REJECTED EXTERNAL\r\n"))
			defer c.Close()
			_, _ = c.Read(make([]byte, 100))
		}
	}()
	if _, err := Dial(path, false); err == nil || !strings.Contains(err.Error(), "REJECTED") {
		t.Errorf("%v", err)
	}
}

func FuzzHeader(f *testing.F) {
	f.Add(message(kindReply, 1, "M", "", "text")[16:], []byte("\x04\x00\x00\x00text\x00"))
	f.Fuzz(func(t *testing.T, header, body []byte) {
		m := Message{order: binary.LittleEndian, body: body}
		_ = m.header(&Decoder{b: header, order: binary.LittleEndian})
		d := m.Body()
		for range 10 {
			if s, err := d.Text(); err != nil || len(s) > len(body) {
				return
			}
		}
	})
}
