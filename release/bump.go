package release

import "errors"

// Bump writes the changelog entry of a new version, commits it and tags the commit. what is major, minor, patch or a
// version. It returns the version that a release of the new commit has.
func Bump(repo, what string) (Version, error) {
	return Version{}, errors.New("cannot bump: not built yet")
}
