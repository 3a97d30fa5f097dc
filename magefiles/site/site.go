// Package site has what brings a release to its users, as mage targets: the site that serves the apt repository, and the files.
package site

import (
	"context"
	"os"

	"github.com/berth-oci/berth/release"
)

// Fetch lays the published apt repository into dist/apt, for a release to continue.
func Fetch(dist *string) error {
	return release.FromFlags(os.Stdout, dist, nil).FetchSite()
}

// Push makes dist/apt the next commit of the branch that is served.
func Push(dist *string) error {
	return release.FromFlags(os.Stdout, dist, nil).PushSite()
}

// Attach gives the files of the tagged version to its release on GitHub, with the command gh.
func Attach(ctx context.Context, dist *string) error {
	return release.FromFlags(os.Stdout, dist, nil).Attach(ctx)
}
