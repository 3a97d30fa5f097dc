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
	all := items(e.details)
	for i, d := range all {
		first := i == 0 || all[i-1].group != d.group
		several := i+1 < len(all) && all[i+1].group == d.group
		switch {
		case d.group == "":
			fmt.Fprintf(&b, "- %s\n", markdown(d.text))
		case first && !several:
			fmt.Fprintf(&b, "- **%s**: %s\n", markdown(d.group), markdown(d.text))
		case first:
			fmt.Fprintf(&b, "- **%s**\n", markdown(d.group))
			fallthrough
		default:
			fmt.Fprintf(&b, "  - %s\n", markdown(d.text))
		}
	}
	if v.Last != "" {
		fmt.Fprintf(&b, "\nSince %s.\n", v.Last)
	}
	return []byte(b.String())
}

// specialForm is what Markdown would take for itself inside a line. Backquotes stay: commits use them as Markdown does.
var specialForm = regexp.MustCompile(`[\\*_<>\[\]|~]`)

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
