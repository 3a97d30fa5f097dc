package release

import (
	"fmt"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
)

// debianDir is where the packaging is described, in the files and forms that Debian uses for it (debhelper(7)).
const debianDir = "release/debian"

// control is release/debian/control: a source and the packages made from it.
type control struct {
	source     string
	maintainer mail.Address
	common     stanza
	packages   []stanza
}

// stanza is one paragraph of fields. The order does not matter to us: nfpm writes its own.
type stanza map[string]string

// readControl reads release/debian/control.
func readControl(repo string) (control, error) {
	text, err := os.ReadFile(filepath.Join(repo, debianDir, "control"))
	if err != nil {
		return control{}, fmt.Errorf("cannot read the packaging: %w", err)
	}
	c, err := parseControl(string(text))
	if err != nil {
		return control{}, fmt.Errorf("cannot read %s/control: %w", debianDir, err)
	}
	return c, nil
}

func parseControl(text string) (control, error) {
	stanzas, err := parseStanzas(text)
	if err != nil {
		return control{}, err
	}
	if len(stanzas) < 2 || stanzas[0]["Source"] == "" {
		return control{}, fmt.Errorf("it needs a paragraph that starts with Source, then one for each Package")
	}
	c := control{source: stanzas[0]["Source"], common: stanzas[0], packages: stanzas[1:]}
	if c.maintainer, err = parsePerson(c.common["Maintainer"]); err != nil {
		return control{}, fmt.Errorf("field Maintainer: %w", err)
	}
	for _, p := range c.packages {
		for _, field := range []string{"Package", "Architecture", "Description"} {
			if p[field] == "" {
				return control{}, fmt.Errorf("package %q: the field %s is missing", p["Package"], field)
			}
		}
	}
	return c, nil
}

// parseStanzas reads paragraphs of fields (deb822(5)). Lines of # are comments; a folded value keeps its newlines.
func parseStanzas(text string) ([]stanza, error) {
	var all []stanza
	var current stanza
	var field string
	for i, line := range strings.Split(text, "\n") {
		name, value, isField := strings.Cut(line, ":")
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			current, field = nil, ""
		case line[0] == ' ' || line[0] == '\t':
			if field == "" {
				return nil, fmt.Errorf("line %d: a continuation of no field", i+1)
			}
			current[field] += "\n" + line
		case !isField || strings.ContainsAny(name, " \t"):
			return nil, fmt.Errorf("line %d: %q is not Field: value", i+1, line)
		default:
			if current == nil {
				current = stanza{}
				all = append(all, current)
			}
			field = name
			current[field] = strings.TrimSpace(value)
		}
	}
	return all, nil
}

// parsePerson reads Name <mail> as Debian writes it: no quoting, so that a name may hold dots.
func parsePerson(s string) (mail.Address, error) {
	name, rest, ok := strings.Cut(s, "<")
	address, after, closed := strings.Cut(rest, ">")
	name = strings.TrimSpace(name)
	if !ok || !closed || after != "" || name == "" || !strings.Contains(address, "@") || strings.ContainsAny(s, "\n\r") {
		return mail.Address{}, fmt.Errorf("%q is not Name <mail>", s)
	}
	return mail.Address{Name: name, Address: address}, nil
}
