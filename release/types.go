package release

import "time"

// Version is the first value of a release: what is being released, as SemVer and as Debian say it.
type Version struct {
	SemVer     string    // 1.2.3-rc.1+meta, no leading v; a snapshot is 1.2.4-git20261122.137.gabc1234
	Debian     string    // 1.2.3~rc.1-1; what dpkg and apt compare
	Tag        string    // the tag at Commit that names it, empty for a snapshot
	Last       string    // the highest version tag below this one in Commit's history, empty where there is none
	Commit     string    // full object name
	CommitTime time.Time // committer date, UTC, whole seconds: the SOURCE_DATE_EPOCH of every stage
	Snapshot   bool      // no version tag is at Commit
	Dirty      bool      // the work tree differs from Commit (only ever true for a snapshot)
}

// Changes is what the release says about itself. The three texts come from the same lines.
type Changes struct {
	Entry []byte // this version's Debian changelog entry, header to trailer
	Full  []byte // the whole Debian changelog: Entry, then every older entry byte for byte
	Notes []byte // release notes, Markdown
}

// Package is one .deb on disk.
type Package struct {
	Name    string
	Version string // Debian version
	Arch    string // amd64, arm64 or all
	File    string // path
	SHA256  string // lower-case hexadecimal
	Size    int64  // bytes
}
