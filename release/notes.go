package release

import (
	"fmt"
	"regexp"
	"strings"
)

// notes are the release notes in Markdown: the same lines as the changelog entry, in its order.
func notes(v Version, e changelogEntry) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s %s\n\n", e.source, v.SemVer)
	if v.Snapshot {
		fmt.Fprintf(&b, "A snapshot of commit %s, not a release.\n\n", v.Commit)
	}
	group := ""
	for _, d := range items(e.details) {
		switch {
		case d.group == "":
			fmt.Fprintf(&b, "- %s\n", markdown(d.text))
		case d.group != group:
			fmt.Fprintf(&b, "- **%s**\n", markdown(d.group))
			fallthrough
		default:
			fmt.Fprintf(&b, "  - %s\n", markdown(d.text))
		}
		group = d.group
	}
	if v.Last != "" {
		fmt.Fprintf(&b, "\nSince %s.\n", v.Last)
	}
	return []byte(b.String())
}

// specialForm is what Markdown would take for itself inside a line. Backquotes stay: commits use them as Markdown does.
var specialForm = regexp.MustCompile("[\\\\*_<>\\[\\]|~]")

// markdown writes text so that it shows as it is, outside of `code`, which is left alone.
func markdown(text string) string {
	parts := strings.Split(text, "`")
	for i := range parts {
		if i%2 == 0 || i == len(parts)-1 {
			parts[i] = specialForm.ReplaceAllString(parts[i], `\$0`)
		}
	}
	return strings.Join(parts, "`")
}
