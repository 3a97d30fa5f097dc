package release

import "errors"

// VersionOptions are what the version must take into account besides the repository.
type VersionOptions struct {
	Published []string // Debian versions that users can already have; the new one must not be lower than any
}

// FindVersion finds what a release of HEAD is called.
func FindVersion(repo string, o VersionOptions) (Version, error) {
	return Version{}, errors.New("cannot find the version: not built yet")
}
