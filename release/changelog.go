package release

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// changelogFile is where the Debian changelog is, from the top of the work tree.
const changelogFile = "release/debian/changelog"

// unreleased is the distribution of an entry that is still being written.
const unreleased = "UNRELEASED"

// trailerDate is the date of an entry's trailer (deb-changelog(5)).
const trailerDate = "Mon, 02 Jan 2006 15:04:05 -0700"

// changelog is a parsed Debian changelog. text is all of it; the entries point into it, newest first.
type changelog struct {
	text    []byte
	entries []changelogEntry
}

// changelogEntry is one version's entry.
type changelogEntry struct {
	source, version, distribution, options string
	details                                []string // lines between header and trailer, without the blank ones around them
	maintainer                             string   // Name <mail>
	date                                   time.Time
	line                                   int // of the header, counted from 1
	start, end                             int // bytes in the text: header to trailer, with its newline
}

func (e changelogEntry) unreleased() bool { return strings.EqualFold(e.distribution, unreleased) }

// top is the newest entry, which an empty changelog does not have.
func (c changelog) top() (changelogEntry, bool) {
	if len(c.entries) == 0 {
		return changelogEntry{}, false
	}
	return c.entries[0], true
}

// bytesOf is the entry as it stands in the file.
func (c changelog) bytesOf(e changelogEntry) []byte { return c.text[e.start:e.end] }

// readChangelog reads the changelog of the work tree; none at all is an empty one.
func readChangelog(repo string) (changelog, error) {
	text, err := os.ReadFile(filepath.Join(repo, filepath.FromSlash(changelogFile)))
	if errors.Is(err, fs.ErrNotExist) {
		return changelog{}, nil
	}
	if err != nil {
		return changelog{}, fmt.Errorf("cannot read the changelog: %w", err)
	}
	log, err := parseChangelog(text)
	if err != nil {
		return changelog{}, fmt.Errorf("cannot read %s: %w", changelogFile, err)
	}
	return log, nil
}

var (
	headerForm  = regexp.MustCompile(`^([a-z0-9][a-z0-9+.-]+) \(([^()\s]+)\)((?: [A-Za-z][-+0-9A-Za-z.]*)+); ?(\S.*)$`)
	trailerForm = regexp.MustCompile(`^ -- (.*<[^<>\s]+>)  (\S.*\S)$`)
	optionsForm = regexp.MustCompile(`^[A-Za-z-]+=[^\s,=]+(?:,\s*[A-Za-z-]+=[^\s,=]+)*$`)
)

// What is wrong with a line, and what it should be.
const (
	wantHeader  = "a header is: source (version) distribution; urgency=medium"
	wantTrailer = "a trailer is one space, two hyphens, one space, name and <mail>, two spaces, date: " +
		" -- Ada Lovelace <ada@example.org>  Tue, 10 Dec 2024 09:30:00 +0000"
	wantDetails = "a line of details starts with two spaces: \"  * what changed\""
)

// parseChangelog reads a changelog strictly after deb-changelog(5). Its errors name the line and say how to mend it.
func parseChangelog(text []byte) (changelog, error) {
	p := changelogParser{log: changelog{text: text}}
	if !utf8.Valid(text) {
		return changelog{}, fmt.Errorf("line %d: not UTF-8\nhint: iconv -t utf-8", firstBadLine(text))
	}
	for len(text) > 0 {
		line, more, _ := bytes.Cut(text, []byte("\n"))
		p.number++
		p.after = len(p.log.text) - len(more)
		if err := p.take(string(line), len(p.log.text)-len(text)); err != nil {
			return changelog{}, fmt.Errorf("line %d: %w", p.number, err)
		}
		text = more
	}
	if p.open {
		return changelog{}, fmt.Errorf("line %d: the entry of %s has no trailer\nhint: %s", p.number, p.entry.version, wantTrailer)
	}
	return p.log, nil
}

// changelogParser holds the entry being read: open between its header and its trailer.
type changelogParser struct {
	log    changelog
	entry  changelogEntry
	open   bool
	number int // of the current line
	after  int // byte behind the current line
}

func (p *changelogParser) take(line string, at int) error {
	switch {
	case strings.HasSuffix(line, "\r"):
		return errors.New("the line ends in carriage return and newline\nhint: sed -i 's/\\r$//' " + changelogFile)
	case strings.TrimSpace(line) == "":
		p.blank()
		return nil
	case !p.open && strings.HasPrefix(line, "#"): // a comment between entries, such as that older ones were removed
		return nil
	case !p.open:
		return p.header(line, at)
	case strings.HasPrefix(line, " --"):
		return p.trailer(line)
	case strings.HasPrefix(line, "  "):
		p.entry.details = append(p.entry.details, line)
		return nil
	case headerForm.MatchString(line):
		return fmt.Errorf("a new entry starts but that of %s has no trailer\nhint: %s", p.entry.version, wantTrailer)
	}
	return fmt.Errorf("%q is neither a detail nor a trailer\nhint: %s", line, wantDetails)
}

// blank keeps an empty line inside the details and drops those around them.
func (p *changelogParser) blank() {
	if p.open && len(p.entry.details) > 0 {
		p.entry.details = append(p.entry.details, "")
	}
}

func (p *changelogParser) header(line string, at int) error {
	m := headerForm.FindStringSubmatch(line)
	if m == nil || !optionsForm.MatchString(m[4]) {
		return fmt.Errorf("%q is no header of an entry\nhint: %s", line, wantHeader)
	}
	if err := CheckDebianVersion(m[2]); err != nil {
		return fmt.Errorf("%w\nhint: %s", err, wantHeader)
	}
	p.entry = changelogEntry{source: m[1], version: m[2], distribution: strings.TrimSpace(m[3]), options: m[4], line: p.number, start: at}
	p.open = true
	return nil
}

func (p *changelogParser) trailer(line string) error {
	m := trailerForm.FindStringSubmatch(line)
	if m == nil {
		return fmt.Errorf("%q is no trailer\nhint: %s", line, wantTrailer)
	}
	date, err := time.Parse("Mon, _2 Jan 2006 15:04:05 -0700", m[2])
	if err != nil {
		return fmt.Errorf("%q is not a date of RFC 5322\nhint: date -R writes one", m[2])
	}
	if day := date.Format("Mon"); !strings.HasPrefix(m[2], day) {
		return fmt.Errorf("%q was a %s\nhint: date -R writes the right day", m[2], date.Weekday())
	}
	for len(p.entry.details) > 0 && p.entry.details[len(p.entry.details)-1] == "" {
		p.entry.details = p.entry.details[:len(p.entry.details)-1]
	}
	p.entry.maintainer, p.entry.date, p.entry.end = m[1], date, p.after
	p.log.entries = append(p.log.entries, p.entry)
	p.open = false
	return nil
}

func firstBadLine(text []byte) int {
	for i, line := range bytes.Split(text, []byte("\n")) {
		if !utf8.Valid(line) {
			return i + 1
		}
	}
	return 0
}

// format writes the entry as deb-changelog(5) lays it out.
func (e changelogEntry) format() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s (%s) %s; %s\n\n", e.source, e.version, e.distribution, e.options)
	for _, line := range e.details {
		b.WriteString(line + "\n")
	}
	fmt.Fprintf(&b, "\n -- %s  %s\n", e.maintainer, e.date.Format(trailerDate))
	return b.Bytes()
}

// withEntry puts e on top: in the place of an UNRELEASED entry, else before everything. What is below stays byte for byte.
func (c changelog) withEntry(e changelogEntry) []byte {
	old := c.text
	if top, ok := c.top(); ok && top.unreleased() {
		old = c.text[top.end:]
	} else if len(old) > 0 && old[0] != '\n' {
		old = append([]byte("\n"), old...)
	}
	return append(e.format(), old...)
}

// compose makes the entry of v: the lines that an UNRELEASED entry already has, then those of the commits that it lacks.
func (c changelog) compose(v Version, source string, commits []commitMessage, who mail.Address, when time.Time) changelogEntry {
	e := changelogEntry{
		source: source, version: v.Debian, distribution: v.distribution(), options: "urgency=medium",
		maintainer: signature(who), date: when,
	}
	older := c.entries
	if top, ok := c.top(); ok && top.unreleased() {
		e.options, e.details, older = top.options, top.details, older[1:]
	}
	if len(older) > 0 && !e.date.After(older[0].date) { // clocks disagree, or both are of one second: entries are in order of time
		e.date = older[0].date.Add(time.Second).In(e.date.Location())
	}
	e.details = addDetails(e.details, commits)
	if len(e.details) == 0 {
		e.details = []string{"  * Rebuild: no change of the source since the last release."}
	}
	return e
}

// distribution is stable for a release; who follows pre-releases and snapshots follows unstable.
func (v Version) distribution() string {
	if v.Snapshot || strings.Contains(v.Debian, "~") {
		return "unstable"
	}
	return "stable"
}

// signature is Name <mail> with the name as it is: a changelog knows no quoting.
func signature(a mail.Address) string { return fmt.Sprintf("%s <%s>", a.Name, a.Address) }

// WriteChanges writes the changelog entry and the release notes of a version, in memory: the work tree stays as it is. Where
// the changelog already has the entry (mage bump wrote it), that text is taken; else the entry comes from the commits
// since the last tag, dated by the commit and signed by the maintainer of release/debian/control, so that it depends on
// nothing but the commit.
func WriteChanges(repo string, v Version) (Changes, error) {
	c, err := writeChanges(repo, v)
	if err != nil {
		return Changes{}, fmt.Errorf("cannot write the changelog of %s: %w", v.SemVer, err)
	}
	return c, nil
}

func writeChanges(repo string, v Version) (Changes, error) {
	log, err := readChangelog(repo)
	if err != nil {
		return Changes{}, err
	}
	if top, ok := log.top(); ok && !top.unreleased() && top.version == v.Debian {
		return Changes{Entry: log.bytesOf(top), Full: log.text, Notes: notes(v, top)}, nil
	}
	control, err := readControl(repo)
	if err != nil {
		return Changes{}, err
	}
	commits, err := git{repo}.messages(v.Last, v.Commit)
	if err != nil {
		return Changes{}, err
	}
	e := log.compose(v, control.source, commits, control.maintainer, v.CommitTime)
	return Changes{Entry: e.format(), Full: log.withEntry(e), Notes: notes(v, e)}, nil
}
