package release

import "time"

// Config is everything a release knows about the project it releases. Default is this project's; nothing else in this
// package, and nothing in the packages it calls, names it.
type Config struct {
	Name     string    // the project, as a person writes it
	Commands []Command // what is built, per architecture
	Archs    []string  // amd64, arm64: Go and Debian agree on these names
	Runtime  string    // the command that the conformance suite drives
	Keyring  string    // the package that holds the archive's public key, and that key's file name without .gpg

	Origin      string // of the apt repository; must never change once users have it
	Label       string
	Suite       string
	Codename    string
	Component   string
	Description string

	URL   string        // where the repository will be served
	Valid time.Duration // how long a published Release file stays valid, at least

	KeyEnv string // prefix of the environment variables that name the signing key, ending in _
}

// Command is one program of the release.
type Command struct {
	Name    string // file name, as it will stand in /usr/bin
	Package string // import path relative to the module, ./cmd/NAME
	// The string variables of package main that -ldflags -X sets.
	VersionVar, CommitVar string
}

// Default is the configuration of this repository's own release.
func Default() Config {
	return Config{
		Name: "Berth",
		Commands: []Command{
			{Name: "berth", Package: "./cmd/berth", VersionVar: "main.version", CommitVar: "main.commit"},
		},
		Archs:   []string{"amd64", "arm64"},
		Runtime: "berth",
		Keyring: "berth-archive-keyring",

		Origin:      "Berth",
		Label:       "Berth",
		Suite:       "stable",
		Codename:    "stable",
		Component:   "main",
		Description: "Berth, an OCI container runtime",

		URL:   "https://berth-oci.github.io/berth",
		Valid: 28 * 24 * time.Hour,

		KeyEnv: "BERTH_SIGNING_",
	}
}
