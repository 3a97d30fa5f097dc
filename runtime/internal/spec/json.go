package spec

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds of what is read. They are far above what a kernel could use (128 KiB for one argument, 6 MiB for all of them, 100,000
// mounts by fs.mount-max, 340 mapping ranges) and keep an oversized file from costing more than a few hundred megabytes
// or a second: nothing is ever cut short, a file past a bound is refused.
const (
	MaxConfig  = 16 << 20 // bytes of config.json
	maxDepth   = 128      // nested arrays and objects
	maxItems   = 1 << 20  // array entries and object members, all together
	maxObjects = 100_000  // objects in one array
)

// reader reads one JSON text (RFC 8259) in a single pass, straight into Go values, and knows at each moment where in the
// document it is. encoding/json is not used because a process this short pays for its reflection each time: 2 ms for
// runtime-spec's types where this takes 0.1 ms (docs/adr/0060), and because it keeps the last of two equal keys, matches keys in
// any case, and replaces broken text in silence.
//
// The first error stays in err and turns every later call into nothing.
type reader struct {
	s       string
	pos     int
	err     error
	path    []segment
	keys    []string // keys of all open objects, one after another
	items   int
	depth   int
	unknown []string // paths of members nobody asked for, the first few
}

// segment is one step of a path: a key, or an index if key is empty and index ≥ 0.
type segment struct {
	key   string
	index int
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: %s", r.where(), fmt.Sprintf(format, args...))
	}
}

// where is the JSON path of the current value, or the line and column where there is none.
func (r *reader) where() string {
	if len(r.path) == 0 {
		line := 1 + strings.Count(r.s[:r.pos], "\n")
		return fmt.Sprintf("line %d, column %d", line, r.pos-strings.LastIndex(r.s[:r.pos], "\n"))
	}
	return pathString(r.path)
}

func pathString(path []segment) string {
	var b strings.Builder
	for i, p := range path {
		switch {
		case p.index >= 0:
			fmt.Fprintf(&b, "[%d]", p.index)
		case plainKey(p.key):
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteString(p.key)
		default:
			fmt.Fprintf(&b, "[%s]", strconv.QuoteToASCII(clip(p.key)))
		}
	}
	return b.String()
}

func plainKey(key string) bool {
	for i := range len(key) {
		c := key[i] | 0x20
		if (c < 'a' || c > 'z') && (key[i] < '0' || key[i] > '9') && key[i] != '_' {
			return false
		}
	}
	return key != "" && len(key) <= 64
}

// clip keeps a message short and printable whatever the document holds.
func clip(s string) string {
	if len(s) > 64 {
		s = strings.ToValidUTF8(s[:61], "") + "..."
	}
	return s
}

func (r *reader) space() {
	for r.pos < len(r.s) {
		switch r.s[r.pos] {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return
		}
	}
}

// peek returns the next character that is no space, 0 at the end or after an error.
func (r *reader) peek() byte {
	if r.err != nil {
		return 0
	}
	r.space()
	if r.pos == len(r.s) {
		return 0
	}
	return r.s[r.pos]
}

// take consumes c if it comes next.
func (r *reader) take(c byte) bool {
	if c == 0 || r.peek() != c {
		return false
	}
	r.pos++
	return true
}

func (r *reader) want(c byte, after string) bool {
	if r.take(c) {
		return true
	}
	r.syntax("%q is missing after %s", c, after)
	return false
}

// syntax reports text that is no JSON; the line helps more than the path alone.
func (r *reader) syntax(format string, args ...any) {
	if r.err != nil {
		return
	}
	at := r.path
	r.path = nil
	line := r.where()
	r.path = at
	if len(at) > 0 {
		line += " (in " + pathString(at) + ")"
	}
	r.err = fmt.Errorf("%s: invalid JSON: %s", line, fmt.Sprintf(format, args...))
}

// kind names the next value, for messages.
func (r *reader) kind() string {
	switch c := r.peek(); {
	case c == '{':
		return "an object"
	case c == '[':
		return "an array"
	case c == '"':
		return "a string"
	case c == 't' || c == 'f':
		return "a boolean"
	case c == 'n':
		return "null"
	case c == '-' || c >= '0' && c <= '9':
		return "a number"
	case c == 0:
		return "the end of the file"
	default:
		return fmt.Sprintf("%q", c)
	}
}

func (r *reader) mismatch(wanted string) {
	if r.err != nil {
		return
	}
	switch k := r.kind(); k {
	case "an object", "an array", "a string", "a boolean", "null", "a number":
		r.fail("is %s, must be %s", k, wanted)
	default:
		r.syntax("found %s where %s must be", k, wanted)
	}
}

// null consumes null, which counts as absent everywhere but in an array.
func (r *reader) null() bool {
	if r.peek() != 'n' || len(r.path) > 0 && r.path[len(r.path)-1].index >= 0 {
		return false
	}
	return r.literal("null")
}

func (r *reader) literal(word string) bool {
	if !strings.HasPrefix(r.s[r.pos:], word) {
		r.syntax("found %s", strconv.QuoteToASCII(clip(r.s[r.pos:min(len(r.s), r.pos+len(word))])))
		return false
	}
	r.pos += len(word)
	return true
}

func (r *reader) enter() bool {
	if r.depth++; r.depth > maxDepth {
		r.fail("is nested deeper than %d levels", maxDepth)
	}
	return r.err == nil
}

func (r *reader) count() {
	if r.items++; r.items > maxItems {
		r.fail("the file holds more than %d values", maxItems)
	}
}

// object reads an object; member is called with each key and must read or skip the value. Keys in required must be there.
func (r *reader) object(member func(key string), required ...string) {
	if r.null() {
		return
	}
	if r.peek() != '{' {
		r.mismatch("an object")
		return
	}
	r.pos++
	if !r.enter() {
		return
	}
	base := len(r.keys)
	r.members(base, member)
	for _, key := range required {
		if r.err == nil && !contains(r.keys[base:], key) {
			r.path = append(r.path, segment{key, -1})
			r.fail("is missing, and the specification requires it")
		}
	}
	r.keys = r.keys[:base]
	r.depth--
}

func (r *reader) members(base int, member func(key string)) {
	if r.take('}') {
		return
	}
	var many map[string]bool // takes over from the linear search in large objects
	for r.err == nil {
		if r.peek() != '"' {
			r.syntax("found %s where a key must be", r.kind())
			return
		}
		key := r.text()
		if !r.want(':', "a key") {
			return
		}
		r.path = append(r.path, segment{key, -1})
		if many = r.unique(base, key, many); r.err != nil {
			return
		}
		r.count()
		member(key)
		if r.err != nil {
			return
		}
		r.path = r.path[:len(r.path)-1]
		if r.take('}') {
			return
		}
		r.want(',', "a member of an object")
	}
}

// unique refuses a key that the object already has: which of the two a reader takes differs from reader to reader, so that a
// checker and a runtime could see different documents.
func (r *reader) unique(base int, key string, many map[string]bool) map[string]bool {
	const few = 24
	here := r.keys[base:]
	if many == nil && len(here) >= few {
		many = make(map[string]bool, 4*few)
		for _, k := range here {
			many[k] = true
		}
	}
	if many != nil && many[key] || many == nil && contains(here, key) {
		r.fail("is given twice")
	}
	if many != nil {
		many[key] = true
	}
	r.keys = append(r.keys, key)
	return many
}

func contains(keys []string, key string) bool {
	for _, k := range keys {
		if k == key {
			return true
		}
	}
	return false
}

// array reads an array; entry must read or skip one value.
func (r *reader) array(entry func(), wanted string) {
	if r.null() {
		return
	}
	if r.peek() != '[' {
		r.mismatch(wanted)
		return
	}
	r.pos++
	if !r.enter() {
		return
	}
	defer func() { r.depth-- }()
	if r.take(']') {
		return
	}
	for i := 0; r.err == nil; i++ {
		r.path = append(r.path, segment{"", i})
		r.count()
		entry()
		if r.err != nil {
			return
		}
		r.path = r.path[:len(r.path)-1]
		if r.take(']') {
			return
		}
		r.want(',', "an entry of an array")
	}
}

// skip reads any value without keeping it.
func (r *reader) skip() {
	switch c := r.peek(); c {
	case '{':
		r.object(func(string) { r.skip() })
	case '[':
		r.array(r.skip, "an array")
	case '"':
		r.text()
	case 't':
		r.literal("true")
	case 'f':
		r.literal("false")
	case 'n':
		r.literal("null")
	default:
		r.number()
	}
}

// other skips a member the runtime does not know (config.md "Extensibility": it must be ignored, and may be logged).
func (r *reader) other() {
	if len(r.unknown) < 16 {
		r.unknown = append(r.unknown, pathString(r.path))
	}
	r.skip()
}

// string reads a string that will reach the kernel, which ends strings at the first NUL byte.
func (r *reader) string(p *string) {
	if r.null() {
		return
	}
	if r.peek() != '"' {
		r.mismatch("a string")
		return
	}
	s := r.text()
	if strings.IndexByte(s, 0) >= 0 {
		r.fail("holds a NUL byte")
		return
	}
	*p = s
}

// text reads the string at pos. Without escapes the result shares the document's memory.
func (r *reader) text() string {
	r.pos++ // the opening quote
	start := r.pos
	ascii := true
	for ; r.pos < len(r.s); r.pos++ {
		switch c := r.s[r.pos]; {
		case c == '"':
			s := r.s[start:r.pos]
			r.pos++
			return r.valid(s, ascii)
		case c == '\\':
			return r.escaped(start)
		case c < ' ':
			r.syntax("control character %#02x in a string", c)
			return ""
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	r.syntax("a string does not end")
	return ""
}

func (r *reader) valid(s string, ascii bool) string {
	if !ascii && !utf8.ValidString(s) {
		r.syntax("a string is not UTF-8")
		return ""
	}
	return s
}

// escaped goes on from the first backslash.
func (r *reader) escaped(start int) string {
	b := append(make([]byte, 0, 2*(r.pos-start)+16), r.s[start:r.pos]...)
	for r.pos < len(r.s) {
		c := r.s[r.pos]
		r.pos++
		switch {
		case c == '"':
			return r.valid(string(b), false)
		case c == '\\':
			if b = r.escape(b); r.err != nil {
				return ""
			}
		case c < ' ':
			r.syntax("control character %#02x in a string", c)
			return ""
		default:
			b = append(b, c)
		}
	}
	r.syntax("a string does not end")
	return ""
}

func (r *reader) escape(b []byte) []byte {
	if r.pos == len(r.s) {
		r.syntax("a string does not end")
		return nil
	}
	c := r.s[r.pos]
	r.pos++
	switch c {
	case '"', '\\', '/':
		return append(b, c)
	case 'b':
		return append(b, '\b')
	case 'f':
		return append(b, '\f')
	case 'n':
		return append(b, '\n')
	case 'r':
		return append(b, '\r')
	case 't':
		return append(b, '\t')
	case 'u':
		return r.unicode(b)
	}
	r.syntax("unknown escape \\%s", strconv.QuoteToASCII(string(rune(c))))
	return nil
}

func (r *reader) unicode(b []byte) []byte {
	u, ok := r.hex4()
	if ok && utf16.IsSurrogate(u) {
		var low rune
		if ok = strings.HasPrefix(r.s[r.pos:], `\u`); ok {
			r.pos += 2
			low, ok = r.hex4()
			u = utf16.DecodeRune(u, low)
			ok = ok && u != utf8.RuneError
		}
	}
	if !ok {
		r.syntax("broken \\u escape")
		return nil
	}
	return utf8.AppendRune(b, u)
}

func (r *reader) hex4() (rune, bool) {
	if len(r.s)-r.pos < 4 {
		return 0, false
	}
	u, err := strconv.ParseUint(r.s[r.pos:r.pos+4], 16, 16)
	r.pos += 4
	return rune(u), err == nil
}

func (r *reader) boolean(p *bool) {
	if r.null() {
		return
	}
	switch r.peek() {
	case 't':
		*p = r.literal("true")
	case 'f':
		r.literal("false")
		*p = false
	default:
		r.mismatch("true or false")
	}
}

// number returns the text of the number at pos.
func (r *reader) number() string {
	start := r.pos
	if r.pos < len(r.s) && r.s[r.pos] == '-' {
		r.pos++
	}
	ok := r.digits(true)
	if ok && r.pos < len(r.s) && r.s[r.pos] == '.' {
		r.pos++
		ok = r.digits(false)
	}
	if ok && r.pos < len(r.s) && r.s[r.pos]|0x20 == 'e' {
		r.pos++
		if r.pos < len(r.s) && (r.s[r.pos] == '+' || r.s[r.pos] == '-') {
			r.pos++
		}
		ok = r.digits(false)
	}
	if !ok {
		r.pos = start
		r.syntax("found %s where a value must be", r.kind())
		return ""
	}
	return r.s[start:r.pos]
}

// digits consumes one or more; a whole part may not begin with 0 unless it is 0.
func (r *reader) digits(whole bool) bool {
	start := r.pos
	for r.pos < len(r.s) && r.s[r.pos] >= '0' && r.s[r.pos] <= '9' {
		r.pos++
	}
	return r.pos > start && (!whole || r.pos == start+1 || r.s[start] != '0')
}

// whole returns the text of a whole number, or "" and an error.
func (r *reader) whole() string {
	if c := r.peek(); c != '-' && (c < '0' || c > '9') {
		r.mismatch("a whole number")
		return ""
	}
	n := r.number()
	if strings.ContainsAny(n, ".eE") {
		r.fail("is %s, must be a whole number without fraction or exponent", clip(n))
		return ""
	}
	return n
}

type signed interface{ ~int | ~int32 | ~int64 }
type unsigned interface {
	~uint | ~uint16 | ~uint32 | ~uint64
}

func integer[T signed](r *reader, p *T) {
	if r.null() {
		return
	}
	n := r.whole()
	if r.err != nil {
		return
	}
	v, err := strconv.ParseInt(n, 10, 64)
	if err != nil || int64(T(v)) != v {
		r.fail("is %s, out of range", clip(n))
		return
	}
	*p = T(v)
}

func natural[T unsigned](r *reader, p *T) {
	if r.null() {
		return
	}
	n := r.whole()
	if r.err != nil {
		return
	}
	v, err := strconv.ParseUint(strings.TrimPrefix(n, "-"), 10, 64)
	if n[0] == '-' {
		r.fail("is %s, must not be negative", clip(n))
		return
	}
	if err != nil || uint64(T(v)) != v {
		r.fail("is %s, out of range: at most %d", clip(n), ^T(0))
		return
	}
	*p = T(v)
}

// text reads a string into a type of its own.
func text[T ~string](r *reader, p *T) {
	s := string(*p)
	r.string(&s)
	*p = T(s)
}

// opt reads a value that may be absent: null leaves nil.
func opt[T any](r *reader, p **T, read func(*reader, *T)) {
	if r.null() {
		return
	}
	v := new(T)
	read(r, v)
	*p = v
}

// list reads an array of values that are no objects.
func list[T any](r *reader, p *[]T, read func(*reader, *T), wanted string) {
	had := r.peek() != 'n'
	l := make([]T, 0, r.guess())
	r.array(func() {
		var zero T
		l = append(l, zero) // read in place: a value of its own would cost an allocation each
		read(r, &l[len(l)-1])
	}, wanted)
	if had {
		*p = l
	}
}

// texts reads an array of strings.
func texts[T ~string](r *reader, p *[]T) { list(r, p, text[T], "an array of strings") }

// guess is about how many entries the array at pos has: the commas before its end, which is right for strings and numbers.
// Growing a list step by step would touch fresh memory at every step.
func (r *reader) guess() int {
	if r.peek() != '[' {
		return 0
	}
	end := strings.IndexByte(r.s[r.pos:], ']')
	return min(1024, 1+strings.Count(r.s[r.pos:r.pos+max(end, 0)], ","))
}

// objects reads an array of objects.
func objects[T any](r *reader, p *[]T, read func(*reader, *T)) {
	list(r, p, func(r *reader, v *T) {
		if r.path[len(r.path)-1].index >= maxObjects {
			r.fail("is more than the %d entries that are accepted here", maxObjects)
			return
		}
		read(r, v)
	}, "an array of objects")
}

// table reads an object whose keys are data.
func table[T any](r *reader, p *map[string]T, read func(*reader, *T)) {
	if r.null() {
		return
	}
	m := map[string]T{}
	r.object(func(key string) {
		if strings.IndexByte(key, 0) >= 0 {
			r.fail("has a NUL byte in its name")
			return
		}
		var v T
		read(r, &v)
		m[key] = v
	})
	*p = m
}
