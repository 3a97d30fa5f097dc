package aptrepo

import "io"

// Destination is a place to publish to. It has two halves, so that a failure
// while bytes are on their way (a full disk, a broken line) changes nothing
// that a client can see: files are staged, all of them, and only then made
// visible one by one. A directory renames; an object store would complete an
// upload begun in parts.
type Destination interface {
	Source
	List(prefix string) ([]string, error)

	// Lock keeps other publishers out until unlock, which the death of this
	// process does too. It also clears away what a publish cut short staged.
	Lock() (unlock func(), err error)

	// Stage stores a file's bytes where no client sees them, and makes sure
	// that Commit will be allowed to show them.
	Stage(path string, content io.Reader) error

	// Commit makes a staged file visible at its path, whole, at once, in place
	// of any before it.
	Commit(path string) error

	// Sync returns once everything staged or committed so far survives a power
	// cut.
	Sync() error

	// Discard drops what is staged and was not committed.
	Discard() error

	// Remove deletes a file; one that is not there is no error.
	Remove(path string) error
}
