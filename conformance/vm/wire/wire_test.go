package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestFramesArriveAsSentAndLongOnesInPieces(t *testing.T) {
	var buf bytes.Buffer
	c := NewConn(&buf)
	long := bytes.Repeat([]byte("x"), MaxPayload+1)
	for _, err := range []error{c.Send(Stdout, long), c.Send(Go, nil), c.SendJSON(Exit, Status{Code: 3})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []struct {
		kind Kind
		n    int
	}{{Stdout, MaxPayload}, {Stdout, 1}, {Go, 0}, {Exit, len(`{"Code":3,"Signal":0,"Error":"","Missing":null}`)}} {
		kind, payload, err := c.Receive()
		if err != nil || kind != want.kind || len(payload) != want.n {
			t.Errorf("got %q with %d bytes (%v), want %q with %d", kind, len(payload), err, want.kind, want.n)
		}
	}
	if _, _, err := c.Receive(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestHostileFramesAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ bytes, want string }{
		"huge":      {"O\xff\xff\xff\xff", "exceed"},
		"truncated": {"O\x00\x00\x00\x05abc", "unexpected EOF"},
		"half head": {"O\x00", "unexpected EOF"},
	} {
		_, _, err := NewConn(struct {
			io.Reader
			io.Writer
		}{strings.NewReader(c.bytes), io.Discard}).Receive()
		if err == nil || errors.Is(err, io.EOF) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
