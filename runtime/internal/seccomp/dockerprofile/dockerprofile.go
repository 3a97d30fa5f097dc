// Package dockerprofile has Docker's default seccomp profile, for tests: it is the one that most containers run under.
//
// It comes from module github.com/moby/profiles/seccomp v0.2.4 (Apache-2.0), resolved as Docker does for a container with its
// default capabilities.
package dockerprofile

import (
	"embed"
	"encoding/json"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

//go:embed docker-amd64.json docker-arm64.json
var files embed.FS

// For is the profile that Docker makes on a machine named as GOARCH names it.
func For(goarch string) (*specs.LinuxSeccomp, error) {
	text, err := files.ReadFile("docker-" + goarch + ".json")
	if err != nil {
		return nil, err
	}
	var p specs.LinuxSeccomp
	return &p, json.Unmarshal(text, &p)
}
