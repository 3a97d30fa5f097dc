package release

import "errors"

// WriteChanges writes the changelog entry and the release notes of a version, in memory: the work tree stays as it is.
func WriteChanges(repo string, v Version) (Changes, error) {
	return Changes{}, errors.New("cannot write the changes: not built yet")
}
