package release

import "io"

// Config is everything a release knows about the project it releases. Default is this project's; nothing else in this
// package, and nothing in the packages it calls, names it.
type Config struct {
	Name     string    // the project, as a person writes it
	Commands []Command // what is built, per architecture
	Archs    []string  // amd64, arm64: Go and Debian agree on these names
	Runtime  string    // the command that the conformance suite drives
	Judge    string    // import path of the conformance suite's command
	Waivers  string    // file that names the checks the runtime is known to break, and why; it need not be there

	RepoName    string // names the repository's files to download: NAME.sources, NAME-archive-keyring.gpg
	Origin      string // of the apt repository; must never change once users have it
	Label       string
	Suite       string
	Codename    string
	Component   string
	Description string

	Homepage string

	URL       string // where the repository will be served
	Site      string // branch of origin from which it will be served
	ValidDays int    // how long a published Release file stays valid

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
		Judge:   "github.com/berth-oci/berth/cmd/conform",
		Waivers: "release/conformance.waivers",

		RepoName:    "berth",
		Origin:      "Berth",
		Label:       "Berth",
		Suite:       "stable",
		Codename:    "stable",
		Component:   "main",
		Description: "Berth, an OCI container runtime",
		Homepage:    "https://github.com/berth-oci/berth",

		URL:       "https://berth-oci.github.io/berth",
		Site:      "gh-pages",
		ValidDays: 30,

		KeyEnv: "BERTH_SIGNING_",
	}
}

// FromFlags is the Pipeline of the work tree in the current folder, with what the command line says: where results go and
// where the repository will be served (nil keeps the defaults).
func FromFlags(out io.Writer, dist, url *string) Pipeline {
	p := Pipeline{Config: Default(), Repo: ".", Out: out}
	if dist != nil {
		p.Dist = *dist
	}
	if url != nil {
		p.Config.URL = *url
	}
	return p
}
