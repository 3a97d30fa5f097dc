package release

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// textWidth is how long a changelog line may be; lintian complains above 80 and editors wrap at 78.
const textWidth = 78

var (
	// groupForm is the package in "package: verb …", conventional commits' type(scope)! included.
	groupForm = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9_./,*-]*(?:, [A-Za-z0-9_./*-]+)*(?:\([^()]*\))?!?): +(\S.*)$`)
	// closesForm is what dpkg-parsechangelog reads as the order to close bugs of Debian's tracker, or Launchpad's.
	closesForm = regexp.MustCompile(`(?i)\b(closes|lp):(\s*(?:bug)?#?\s?\d)`)
	// resolvedForm is a trailer of the body that names an issue of this project.
	resolvedForm = regexp.MustCompile(`(?im)^(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?):?\s+(#\d+(?:,\s*#\d+)*)\s*$`)
)

// addDetails adds the lines of the commits to those there are. A commit whose text is there already, be it from an earlier
// amendment, adds nothing. Commits of one package stand together, in the order of their names; the others come last.
func addDetails(details []string, commits []commitMessage) []string {
	seen := map[string]bool{}
	for _, item := range items(details) {
		seen[item.key()] = true
	}
	groups := map[string][]string{}
	for _, c := range commits {
		item, ok := c.item()
		if !ok || seen[item.key()] {
			continue
		}
		seen[item.key()] = true
		groups[item.group] = append(groups[item.group], item.text)
	}
	var names []string
	for name := range groups {
		names = append(names, name)
	}
	slices.SortFunc(names, byNameEmptyLast)
	out := slices.Clone(details)
	for _, name := range names {
		out = append(out, layOut(name, groups[name])...)
	}
	return out
}

func byNameEmptyLast(a, b string) int {
	if (a == "") != (b == "") {
		return strings.Compare(b, a)
	}
	return strings.Compare(a, b)
}

// detail is one change: what it is about, if that is known, and what was done.
type detail struct{ group, text string }

func (d detail) key() string { return d.group + "\x00" + d.text }

// item is the change that a commit makes known: its subject as one clean line. Fixups and the release's own bump have none.
func (c commitMessage) item() (detail, bool) {
	subject := cleanLine(c.subject)
	for _, prefix := range []string{"fixup! ", "squash! ", "amend! ", bumpSubject} {
		if strings.HasPrefix(subject, prefix) {
			return detail{}, false
		}
	}
	if subject == "" {
		return detail{}, false
	}
	for _, m := range resolvedForm.FindAllStringSubmatch(c.body, -1) {
		if !strings.Contains(subject, m[1]) {
			subject += " (" + m[1] + ")"
		}
	}
	if m := groupForm.FindStringSubmatch(subject); m != nil && !strings.HasPrefix(m[2], "//") {
		return detail{m[1], m[2]}, true
	}
	return detail{"", subject}, true
}

// cleanLine makes one line of valid UTF-8 without control characters, in which nothing reads as an order to close bugs.
func cleanLine(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	return closesForm.ReplaceAllString(s, "$1$2")
}

// layOut writes the changes of one group: one on its own line, several below the name.
func layOut(group string, texts []string) []string {
	if group == "" {
		var out []string
		for _, t := range texts {
			out = append(out, wrap("  * ", "    ", t)...)
		}
		return out
	}
	if len(texts) == 1 {
		return wrap("  * ", "    ", group+": "+texts[0])
	}
	out := wrap("  * ", "    ", group+":")
	for _, t := range texts {
		out = append(out, wrap("    - ", "      ", t)...)
	}
	return out
}

// wrap breaks text at spaces so that lines keep to textWidth; a longer word, such as an address, stays whole.
func wrap(first, indent, text string) []string {
	var out []string
	line, empty := first, true
	for _, word := range strings.Fields(text) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > textWidth {
			out, line, empty = append(out, line), indent, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	return append(out, line)
}

// items reads details back into changes: the inverse of layOut, lenient with what people write by hand.
func items(details []string) []detail {
	var out []detail
	group := ""
	for _, line := range details {
		text := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "  * "):
			group = ""
			d := detail{"", text[2:]}
			if m := groupForm.FindStringSubmatch(d.text); m != nil && !strings.HasPrefix(m[2], "//") {
				d = detail{m[1], m[2]}
			}
			out = append(out, d)
		case strings.HasPrefix(line, "    - ") && len(out) > 0:
			last := out[len(out)-1]
			if name, ok := strings.CutSuffix(last.text, ":"); ok && last.group == "" && group == "" {
				group, out = name, out[:len(out)-1]
			}
			out = append(out, detail{group, text[2:]})
		case strings.HasPrefix(line, "   ") && text != "" && len(out) > 0:
			last := &out[len(out)-1]
			last.text += " " + text
			regroup(last, group)
		}
	}
	return out
}

// regroup looks again for the group of a change whose first line alone did not show it.
func regroup(d *detail, group string) {
	if m := groupForm.FindStringSubmatch(d.text); group == "" && d.group == "" && m != nil && !strings.HasPrefix(m[2], "//") {
		*d = detail{m[1], m[2]}
	}
}
