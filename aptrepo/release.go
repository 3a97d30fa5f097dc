package aptrepo

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Release is the file that names every index of a suite with its hash
// (wiki.debian.org/DebianRepository/Format): what gets signed.
type Release struct {
	Origin, Label, Suite, Version, Codename, Description string

	Date       time.Time
	ValidUntil time.Time // zero: never

	// Templates of addresses: @CHANGEPATH@ makes apt changelog work,
	// @SNAPSHOTID@ makes apt --snapshot work (apt 2.7).
	Changelogs, Snapshots string

	Architectures, Components []string

	// NotAutomatic keeps apt from installing anything unless asked for by
	// name; with ButAutomaticUpgrades, what is installed is kept up to date.
	NotAutomatic, ButAutomaticUpgrades bool

	Sums []Sum
}

// dateForm is RFC 1123 with the one zone name that apt accepts everywhere.
const dateForm = "Mon, 02 Jan 2006 15:04:05 UTC"

// Bytes prints the file.
func (r *Release) Bytes() []byte {
	var s Stanza
	s.Set("Origin", r.Origin)
	s.Set("Label", r.Label)
	s.Set("Suite", r.Suite)
	s.Set("Version", r.Version)
	s.Set("Codename", r.Codename)
	s.Set("Changelogs", r.Changelogs)
	s.Set("Snapshots", r.Snapshots)
	s.Set("Date", r.Date.UTC().Format(dateForm))
	if !r.ValidUntil.IsZero() {
		s.Set("Valid-Until", r.ValidUntil.UTC().Format(dateForm))
	}
	s.Set("NotAutomatic", yes(r.NotAutomatic))
	s.Set("ButAutomaticUpgrades", yes(r.ButAutomaticUpgrades))
	s.Set("Acquire-By-Hash", "yes")
	s.Set("Architectures", strings.Join(r.Architectures, " "))
	s.Set("Components", strings.Join(r.Components, " "))
	s.Set("Description", r.Description)
	s.Set("SHA256", sumLines(r.Sums))
	return []byte(s.String())
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

func sumLines(sums []Sum) string {
	sums = slices.Clone(sums)
	slices.SortFunc(sums, func(a, b Sum) int { return strings.Compare(a.Path, b.Path) })
	width := 1
	for _, s := range sums {
		width = max(width, len(strconv.FormatInt(s.Size, 10)))
	}
	var b strings.Builder
	for _, s := range sums {
		fmt.Fprintf(&b, "\n %s %*d %s", s.SHA256, width, s.Size, s.Path)
	}
	return b.String()
}

// ParseRelease reads a Release file's text.
func ParseRelease(text []byte) (*Release, error) {
	stanzas, err := ParseStanzas(string(text))
	if err != nil {
		return nil, fmt.Errorf("cannot read Release: %w", err)
	}
	if len(stanzas) != 1 {
		return nil, fmt.Errorf("cannot read Release: %d stanzas, not 1", len(stanzas))
	}
	s := stanzas[0]
	r := &Release{
		Origin: s.Get("Origin"), Label: s.Get("Label"), Suite: s.Get("Suite"), Version: s.Get("Version"),
		Codename: s.Get("Codename"), Description: s.Get("Description"),
		Changelogs: s.Get("Changelogs"), Snapshots: s.Get("Snapshots"),
		Architectures: strings.Fields(s.Get("Architectures")), Components: strings.Fields(s.Get("Components")),
		NotAutomatic: s.Get("NotAutomatic") == "yes", ButAutomaticUpgrades: s.Get("ButAutomaticUpgrades") == "yes",
	}
	if r.Date, err = parseDate(s.Get("Date")); err != nil {
		return nil, fmt.Errorf("cannot read Release: Date: %w", err)
	}
	if v := s.Get("Valid-Until"); v != "" {
		if r.ValidUntil, err = parseDate(v); err != nil {
			return nil, fmt.Errorf("cannot read Release: Valid-Until: %w", err)
		}
	}
	if r.Sums, err = parseSums(s.Lines("SHA256")); err != nil {
		return nil, fmt.Errorf("cannot read Release: %w", err)
	}
	return r, nil
}

func parseDate(text string) (time.Time, error) {
	for _, form := range []string{dateForm, time.RFC1123Z, "Mon, _2 Jan 2006 15:04:05 UTC", "Mon, _2 Jan 2006 15:04:05 -0700"} {
		if t, err := time.Parse(form, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a date such as %q", text, dateForm)
}

func parseSums(lines []string) ([]Sum, error) {
	var sums []Sum
	for _, line := range lines {
		f := strings.Fields(line)
		if len(f) != 3 || len(f[0]) != 64 || !cleanPath(f[2]) {
			return nil, fmt.Errorf("SHA256: %q is not a sum", line)
		}
		size, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil || size < 0 {
			return nil, fmt.Errorf("SHA256: %q is not a sum", line)
		}
		sums = append(sums, Sum{f[2], size, f[0]})
	}
	if len(sums) == 0 {
		return nil, errors.New("no SHA256 sums")
	}
	return sums, nil
}

// cleanPath refuses what could leave the repository.
func cleanPath(p string) bool {
	return p != "" && p == path.Clean(p) && p[0] != '/' && p != ".." && !strings.HasPrefix(p, "../")
}

func (r *Release) sum(path string) (Sum, bool) {
	for _, s := range r.Sums {
		if s.Path == path {
			return s, true
		}
	}
	return Sum{}, false
}

// identity is what a client must consent to before it may change
// (apt-secure(8), "Information changes").
func (r *Release) identity() []Field {
	return []Field{{"Origin", r.Origin}, {"Label", r.Label}, {"Codename", r.Codename}}
}

func consent(old, next *Release) error {
	var changed []error
	for i, f := range old.identity() {
		if now := next.identity()[i]; cmp.Compare(f.Value, now.Value) != 0 {
			changed = append(changed, fmt.Errorf(
				"cannot change %s from %q to %q: every machine that updates by itself would stop until its owner agrees: keep %q, or consent to the change explicitly",
				f.Name, f.Value, now.Value, f.Value))
		}
	}
	return errors.Join(changed...)
}
