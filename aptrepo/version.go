package aptrepo

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var versionForm = regexp.MustCompile(`^([0-9]+:)?[0-9A-Za-z.+~-]+$`)

// checkVersion accepts what deb-version(7) allows and dpkg installs.
func checkVersion(v string) error {
	if !versionForm.MatchString(v) {
		return fmt.Errorf("%q is not a Debian version", v)
	}
	_, upstream, _ := splitVersion(v)
	if upstream == "" || upstream[0] < '0' || upstream[0] > '9' {
		return fmt.Errorf("%q is not a Debian version: it must begin with a digit", v)
	}
	return nil
}

// CompareVersions orders two Debian versions as dpkg does (deb-version(7)):
// negative where a is the older, 0 where they are equal, positive where a is
// the newer.
func CompareVersions(a, b string) int {
	epochA, upstreamA, revisionA := splitVersion(a)
	epochB, upstreamB, revisionB := splitVersion(b)
	return cmp.Or(cmp.Compare(epochA, epochB), comparePart(upstreamA, upstreamB), comparePart(revisionA, revisionB))
}

func splitVersion(v string) (epoch int, upstream, revision string) {
	if e, rest, found := strings.Cut(v, ":"); found {
		epoch, _ = strconv.Atoi(e)
		v = rest
	}
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		return epoch, v[:i], v[i+1:]
	}
	return epoch, v, ""
}

func comparePart(a, b string) int {
	for a != "" || b != "" {
		textA, textB := leading(a, false), leading(b, false)
		if c := compareText(textA, textB); c != 0 {
			return c
		}
		a, b = a[len(textA):], b[len(textB):]
		digitsA, digitsB := leading(a, true), leading(b, true)
		if c := compareDigits(digitsA, digitsB); c != 0 {
			return c
		}
		a, b = a[len(digitsA):], b[len(digitsB):]
	}
	return 0
}

// leading returns the longest prefix of digits, or of anything else.
func leading(s string, digits bool) string {
	for i := range len(s) {
		if (s[i] >= '0' && s[i] <= '9') != digits {
			return s[:i]
		}
	}
	return s
}

func compareDigits(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

func compareText(a, b string) int {
	for i := 0; i < len(a) || i < len(b); i++ {
		if c := cmp.Compare(weight(a, i), weight(b, i)); c != 0 {
			return c
		}
	}
	return 0
}

// weight: a tilde sorts before the end, the end before letters, letters before
// the rest.
func weight(s string, i int) int {
	switch {
	case i >= len(s):
		return 0
	case s[i] == '~':
		return -1
	case s[i] >= 'A' && s[i] <= 'Z' || s[i] >= 'a' && s[i] <= 'z':
		return int(s[i])
	}
	return int(s[i]) + 256
}
