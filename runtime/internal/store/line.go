package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-oci/berth/runtime/internal/cgroup"
	"github.com/berth-oci/berth/runtime/internal/host"
)

// State and journal are text of one shape: a word, then strings between quotes, to the end of the line. No name and no path
// can break a line, since the quotes escape what would. It is not JSON because reading and writing that by reflection costs
// most of a millisecond in a process that does it once (ADR 0071).

// lines is text being written.
type lines []byte

// put writes one line.
func (l *lines) put(word string, values ...string) {
	b := append(*l, word...)
	for _, v := range values {
		b = strconv.AppendQuote(append(b, ' '), v)
	}
	*l = append(b, '\n')
}

// text writes a line with one value, and none for the empty value.
func (l *lines) text(word, value string) {
	if value != "" {
		l.put(word, value)
	}
}

// flag writes a line without value where on is set.
func (l *lines) flag(word string, on bool) {
	if on {
		l.put(word)
	}
}

// table writes a line for each entry, in the order of their keys.
func table[V ~string | ~[]byte](l *lines, word string, entries map[string]V) {
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		l.put(word, key, string(entries[key]))
	}
}

// line is one line that was read. Taking a value that is not there, or is not of the kind asked for, is kept as its error.
type line struct {
	word   string
	values []string
	err    error
}

// parseLine reads one line, without its end.
func parseLine(s string) line {
	word, rest, _ := strings.Cut(s, " ")
	l := line{word: word}
	for rest != "" {
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return line{word: word, err: errors.New("a value is not between quotes")}
		}
		value, err := strconv.Unquote(quoted)
		if err != nil {
			return line{word: word, err: err}
		}
		l.values = append(l.values, value)
		rest = strings.TrimPrefix(rest[len(quoted):], " ")
	}
	return l
}

// text takes the next value.
func (l *line) text() string {
	if len(l.values) == 0 {
		l.fail(errors.New("a value is missing"))
		return ""
	}
	v := l.values[0]
	l.values = l.values[1:]
	return v
}

// number takes the next value as an integer that is not negative.
func (l *line) number(bits int) uint64 {
	n, err := strconv.ParseUint(l.text(), 10, bits)
	if err != nil {
		l.fail(errors.New("a value is no number, or too large a one"))
	}
	return n
}

// entry takes the next two values as key and value of a map, which is made where it is missing.
func entry[V ~string | ~[]byte](l *line, entries *map[string]V) {
	key, value := l.text(), l.text()
	if *entries == nil {
		*entries = map[string]V{}
	}
	(*entries)[key] = V(value)
}

func (l *line) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

// done is the line's first error; values that nobody took are one.
func (l *line) done() error {
	if l.err == nil && len(l.values) > 0 {
		l.err = errors.New("it has more values than it should")
	}
	if l.err != nil {
		return fmt.Errorf("line %q: %w", l.word, l.err)
	}
	return nil
}

func digits(n uint64) string { return strconv.FormatUint(n, 10) }

// process writes what names a process, where there is one.
func (l *lines) process(word string, p Process) {
	if p != (Process{}) {
		l.put(word, strconv.Itoa(p.Pid), digits(p.Start), p.Boot)
	}
}

func (l *line) process() Process {
	return Process{Pid: int(l.number(31)), Start: l.number(64), Boot: l.text()}
}

// cgroupValues are the values of a saved cgroup: what is said once, then four for each of its directories.
func cgroupValues(s cgroup.State) []string {
	values := []string{string(s.Mode), s.Owner, s.Unit, strconv.FormatBool(s.User), strconv.FormatBool(s.Trust)}
	for _, d := range s.Dirs {
		values = append(values, strconv.Itoa(d.Version), strings.Join(d.Controllers, ","), d.Mountpoint, d.Path)
	}
	return values
}

// cgroup takes all values that are left as a saved cgroup.
func (l *line) cgroup() cgroup.State {
	s := cgroup.State{Mode: host.CgroupMode(l.text()), Owner: l.text(), Unit: l.text(), User: l.text() == "true", Trust: l.text() == "true"}
	for len(l.values) > 0 {
		d := cgroup.Dir{Version: int(l.number(8))}
		if names := l.text(); names != "" {
			d.Controllers = strings.Split(names, ",")
		}
		d.Mountpoint, d.Path = l.text(), l.text()
		s.Dirs = append(s.Dirs, d)
	}
	return s
}

func isZero(s cgroup.State) bool {
	return s.Mode == "" && s.Owner == "" && s.Unit == "" && !s.User && !s.Trust && len(s.Dirs) == 0
}
