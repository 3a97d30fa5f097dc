package aptrepo

import (
	"errors"
	"fmt"
	"strings"
)

// Field is one field of a stanza. The lines of a multi-line Value are joined by
// newlines; each line after the first keeps its leading space or tab.
type Field struct{ Name, Value string }

// Stanza is a paragraph of a Debian control file (deb822(5)), in order.
type Stanza []Field

// Get returns the value of a field, or "". Names are compared without regard
// to case, as dpkg does.
func (s Stanza) Get(name string) string {
	for _, f := range s {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// Set replaces a field's value, or appends the field. An empty value removes
// it.
func (s *Stanza) Set(name, value string) {
	for i, f := range *s {
		if !strings.EqualFold(f.Name, name) {
			continue
		}
		if value == "" {
			*s = append((*s)[:i:i], (*s)[i+1:]...)
			return
		}
		fields := append(Stanza(nil), *s...)
		fields[i].Value = value
		*s = fields
		return
	}
	if value != "" {
		*s = append((*s)[:len(*s):len(*s)], Field{name, value})
	}
}

// Lines returns the continuation lines of a field, without their indent.
func (s Stanza) Lines(name string) []string {
	var lines []string
	for line := range strings.SplitSeq(s.Get(name), "\n") {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// String prints the stanza, without the empty line that separates stanzas.
func (s Stanza) String() string {
	var b strings.Builder
	for _, f := range s {
		b.WriteString(f.Name)
		b.WriteByte(':')
		if f.Value != "" && f.Value[0] != '\n' {
			b.WriteByte(' ')
		}
		b.WriteString(f.Value)
		b.WriteByte('\n')
	}
	return b.String()
}

// ParseStanzas reads a control file of any number of stanzas. It is as strict
// as dpkg: a line must be a field, a continuation or empty, and no stanza may
// have a field twice.
func ParseStanzas(text string) ([]Stanza, error) {
	var all []Stanza
	var current Stanza
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSuffix(line, "\n")
		if strings.TrimSpace(line) == "" {
			if current != nil {
				all, current = append(all, current), nil
			}
			continue
		}
		var err error
		if current, err = current.addLine(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	if current != nil {
		all = append(all, current)
	}
	return all, nil
}

func (s Stanza) addLine(line string) (Stanza, error) {
	if line[0] == ' ' || line[0] == '\t' {
		if len(s) == 0 {
			return nil, errors.New("a continuation line before any field")
		}
		s[len(s)-1].Value += "\n" + strings.TrimRight(line, " \t\r")
		return s, nil
	}
	name, value, found := strings.Cut(line, ":")
	if !found || !fieldName(name) {
		return nil, fmt.Errorf("%q is not a field", line)
	}
	for _, f := range s {
		if strings.EqualFold(f.Name, name) {
			return nil, fmt.Errorf("field %s twice", name)
		}
	}
	return append(s, Field{name, strings.TrimSpace(value)}), nil
}

// fieldName follows deb822(5): printable ASCII but space and colon, not
// beginning with # or -.
func fieldName(name string) bool {
	if name == "" || name[0] == '#' || name[0] == '-' {
		return false
	}
	for _, c := range []byte(name) {
		if c <= ' ' || c >= 0x7f || c == ':' {
			return false
		}
	}
	return true
}
