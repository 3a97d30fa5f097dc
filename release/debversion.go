package release

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// CompareDebian compares two Debian versions as dpkg does (deb-version(7)): -1 where a is lower, 0 where they are equal, 1
// where a is higher. Absent epoch and absent revision are 0. The versions should have passed CheckDebianVersion.
func CompareDebian(a, b string) int {
	aEpoch, aUpstream, aRevision := splitDebian(a)
	bEpoch, bUpstream, bRevision := splitDebian(b)
	return cmp.Or(
		compareDigits(aEpoch, bEpoch),
		comparePart(aUpstream, bUpstream),
		comparePart(aRevision, bRevision),
	)
}

// CheckDebianVersion says what is wrong with a Debian version, after the rules of dpkg's parseversion.
func CheckDebianVersion(s string) error {
	if s == "" {
		return errors.New("the version is empty")
	}
	epoch, upstream, revision := splitDebian(s)
	if strings.Contains(s, ":") && (epoch == "" || strings.Trim(epoch, "0123456789") != "" || len(epoch) > 9) {
		return fmt.Errorf("the epoch of %q is not a number", s)
	}
	if upstream == "" || !isDigit(upstream[0]) {
		return fmt.Errorf("the upstream part of %q does not start with a digit", s)
	}
	if strings.HasSuffix(s, "-") {
		return fmt.Errorf("the revision of %q is empty", s)
	}
	if !only(upstream, versionChars+"-:") {
		return fmt.Errorf("the upstream part of %q may hold only letters, digits and . + - ~", s)
	}
	if !only(revision, versionChars) {
		return fmt.Errorf("the revision of %q may hold only letters, digits and . + ~", s)
	}
	return nil
}

const versionChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+~"

func only(s, allowed string) bool {
	return strings.Trim(s, allowed) == ""
}

// splitDebian takes [epoch:]upstream[-revision] apart: the first colon and the last hyphen divide.
func splitDebian(s string) (epoch, upstream, revision string) {
	if e, rest, ok := strings.Cut(s, ":"); ok {
		epoch, s = e, rest
	}
	if i := strings.LastIndexByte(s, '-'); i >= 0 {
		return epoch, s[:i], s[i+1:]
	}
	return epoch, s, ""
}

// comparePart is dpkg's verrevcmp: non-digits by weight, then digits by number, and so on until one differs.
func comparePart(a, b string) int {
	for a != "" || b != "" {
		for (a != "" && !isDigit(a[0])) || (b != "" && !isDigit(b[0])) {
			if c := cmp.Compare(weight(a), weight(b)); c != 0 {
				return c
			}
			a, b = rest(a), rest(b)
		}
		an, bn := digits(a), digits(b)
		if c := compareDigits(an, bn); c != 0 {
			return c
		}
		a, b = a[len(an):], b[len(bn):]
	}
	return 0
}

// weight orders the character that s starts with: ~, then the end and digits, then letters, then the rest.
func weight(s string) int {
	switch {
	case s == "" || isDigit(s[0]):
		return 0
	case s[0] == '~':
		return -1
	case s[0] >= 'a' && s[0] <= 'z' || s[0] >= 'A' && s[0] <= 'Z':
		return int(s[0])
	}
	return int(s[0]) + 256
}

// compareDigits compares decimal numbers of any length; the empty one is 0.
func compareDigits(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

func digits(s string) string {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return s[:n]
}

func rest(s string) string {
	if s == "" {
		return ""
	}
	return s[1:]
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
