package release

import (
	"errors"
	"fmt"
	"strings"
)

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

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
