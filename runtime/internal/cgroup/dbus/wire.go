package dbus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Kinds of messages and header fields (D-Bus Specification, "Header Fields").
const (
	kindCall   = 1
	kindReply  = 2
	kindError  = 3
	kindSignal = 4

	fieldPath        = 1
	fieldInterface   = 2
	fieldMember      = 3
	fieldErrorName   = 4
	fieldReplySerial = 5
	fieldDestination = 6
	fieldSignature   = 8
)

// ObjectPath is a string of D-Bus type "o".
type ObjectPath string

// Property is a name with a variant: the element of systemd's a(sv).
type Property struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
}

// Auxiliary stands for systemd's a(sa(sv)), which is always empty here.
type Auxiliary struct{}

// encoder writes little-endian D-Bus, aligned from the beginning of its buffer.
type encoder struct {
	b   []byte
	err error
}

func (e *encoder) align(n int) {
	for len(e.b)%n != 0 {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) u32(v uint32) {
	e.align(4)
	e.b = binary.LittleEndian.AppendUint32(e.b, v)
}

func (e *encoder) u64(v uint64) {
	e.align(8)
	e.b = binary.LittleEndian.AppendUint64(e.b, v)
}

func (e *encoder) str(s string) {
	if strings.Contains(s, "\x00") {
		e.err = fmt.Errorf("%q has a zero byte", s)
	}
	e.u32(uint32(len(s)))
	e.b = append(append(e.b, s...), 0)
}

func (e *encoder) signature(s string) {
	e.b = append(append(append(e.b, byte(len(s))), s...), 0)
}

// array writes the length of what body writes, not counting the padding before the first element.
func (e *encoder) array(align int, body func()) {
	e.u32(0)
	at := len(e.b)
	e.align(align)
	start := len(e.b)
	body()
	binary.LittleEndian.PutUint32(e.b[at-4:], uint32(len(e.b)-start))
}

// signatureOf is the D-Bus type of a Go value that encode takes; "" for others.
func signatureOf(v any) string {
	switch v.(type) {
	case string:
		return "s"
	case ObjectPath:
		return "o"
	case bool:
		return "b"
	case uint32:
		return "u"
	case uint64:
		return "t"
	case int32:
		return "i"
	case []string:
		return "as"
	case []uint32:
		return "au"
	case []byte:
		return "ay"
	case [][2]string:
		return "a(ss)"
	case []Property:
		return "a(sv)"
	case Auxiliary:
		return "a(sa(sv))"
	}
	return ""
}

func (e *encoder) value(v any) {
	switch v := v.(type) {
	case string:
		e.str(v)
	case ObjectPath:
		e.str(string(v))
	case bool:
		e.u32(map[bool]uint32{true: 1}[v])
	case uint32:
		e.u32(v)
	case int32:
		e.u32(uint32(v))
	case uint64:
		e.u64(v)
	default:
		e.list(v)
	}
}

func (e *encoder) list(v any) {
	switch v := v.(type) {
	case []string:
		e.array(4, func() { each(v, e.str) })
	case []uint32:
		e.array(4, func() { each(v, e.u32) })
	case []byte:
		e.array(1, func() { e.b = append(e.b, v...) })
	case [][2]string:
		e.array(8, func() { each(v, func(p [2]string) { e.align(8); e.str(p[0]); e.str(p[1]) }) })
	case []Property:
		e.array(8, func() { each(v, e.property) })
	case Auxiliary:
		e.array(8, func() {})
	default:
		e.err = fmt.Errorf("cannot send a %T", v)
	}
}

func each[T any](list []T, do func(T)) {
	for _, x := range list {
		do(x)
	}
}

func (e *encoder) property(p Property) {
	e.align(8)
	e.str(p.Name)
	e.variant(p.Value)
}

func (e *encoder) variant(v any) {
	e.signature(signatureOf(v))
	e.value(v)
}

// encodeCall lays out a method call: fixed header, header fields, padding, body.
func encodeCall(serial uint32, t Target, method string, bus bool, args []any) ([]byte, error) {
	var body encoder
	signature := ""
	for _, a := range args {
		signature += signatureOf(a)
		body.value(a)
	}
	e := encoder{b: []byte{'l', kindCall, 0, 1}, err: body.err}
	e.u32(uint32(len(body.b)))
	e.u32(serial)
	e.array(8, func() {
		e.field(fieldPath, ObjectPath(t.Path))
		e.field(fieldInterface, t.Interface)
		e.field(fieldMember, method)
		if bus {
			e.field(fieldDestination, t.Service)
		}
		if signature != "" {
			e.align(8)
			e.b = append(e.b, fieldSignature)
			e.signature("g")
			e.signature(signature)
		}
	})
	e.align(8)
	return append(e.b, body.b...), e.err
}

func (e *encoder) field(code byte, v any) {
	e.align(8)
	e.b = append(e.b, code)
	e.variant(v)
}

// Message is what the server sent.
type Message struct {
	Member    string // of a signal
	Signature string
	kind      byte
	replyTo   uint32
	errorName string
	order     binary.ByteOrder
	body      []byte
}

// Body reads the message's arguments in turn.
func (m Message) Body() *Decoder { return &Decoder{b: m.body, order: m.order} }

// Decoder reads values from a message, aligned from its beginning. Every length is checked.
type Decoder struct {
	b     []byte
	at    int
	order binary.ByteOrder
}

var errShort = errors.New("a message of the server is cut off")

func (d *Decoder) take(align, n int) ([]byte, error) {
	at := (d.at + align - 1) / align * align
	if n < 0 || at > len(d.b) || n > len(d.b)-at {
		return nil, errShort
	}
	d.at = at + n
	return d.b[at:d.at], nil
}

func (d *Decoder) byte() (byte, error) {
	b, err := d.take(1, 1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

// Uint32 reads a number.
func (d *Decoder) Uint32() (uint32, error) {
	b, err := d.take(4, 4)
	if err != nil {
		return 0, err
	}
	return d.order.Uint32(b), nil
}

// Text reads a string or an object path.
func (d *Decoder) Text() (string, error) {
	n, err := d.Uint32()
	if err != nil || n > maxMessage {
		return "", errShort
	}
	return d.text(int(n))
}

// text reads n bytes and the zero behind them.
func (d *Decoder) text(n int) (string, error) {
	b, err := d.take(1, n+1)
	if err != nil || b[n] != 0 {
		return "", errShort
	}
	return string(b[:n]), nil
}

// Signature reads a type.
func (d *Decoder) Signature() (string, error) {
	n, err := d.byte()
	if err != nil {
		return "", err
	}
	return d.text(int(n))
}

// VariantString reads a variant that holds a string.
func (d *Decoder) VariantString() (string, error) {
	s, err := d.Signature()
	if err != nil {
		return "", err
	}
	if s != "s" && s != "o" {
		return "", fmt.Errorf("the server sent a %q where a string was asked for", s)
	}
	return d.Text()
}

// read reads one message.
func (c *Conn) read() (Message, error) {
	head := make([]byte, 16)
	if err := c.fill(head); err != nil {
		return Message{}, err
	}
	m := Message{kind: head[1], order: binary.LittleEndian}
	if head[0] == 'B' {
		m.order = binary.BigEndian
	}
	body, fields := m.order.Uint32(head[4:]), m.order.Uint32(head[12:])
	if head[3] != 1 || body > maxMessage || fields > maxMessage {
		return m, errors.New("the server sent something that is no message")
	}
	rest := make([]byte, (fields+7)/8*8+body)
	if err := c.fill(rest); err != nil {
		return m, err
	}
	m.body = rest[len(rest)-int(body):]
	return m, m.header(&Decoder{b: rest[:fields], order: m.order})
}

// header reads the header fields. Each has a type of its own kind that this client knows: s, o, g or u.
func (m *Message) header(d *Decoder) error {
	for d.at < len(d.b) {
		if _, err := d.take(8, 0); err != nil {
			return err
		}
		code, err := d.byte()
		if err != nil {
			return err
		}
		if err := m.field(d, code); err != nil {
			return err
		}
	}
	return nil
}

func (m *Message) field(d *Decoder, code byte) error {
	kind, err := d.Signature()
	if err != nil {
		return err
	}
	var s string
	var n uint32
	switch kind {
	case "s", "o":
		s, err = d.Text()
	case "g":
		s, err = d.Signature()
	case "u":
		n, err = d.Uint32()
	default:
		err = fmt.Errorf("the server sent a header field of type %q", kind)
	}
	switch code {
	case fieldMember:
		m.Member = s
	case fieldErrorName:
		m.errorName = s
	case fieldReplySerial:
		m.replyTo = n
	case fieldSignature:
		m.Signature = s
	}
	return err
}
