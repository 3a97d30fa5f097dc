// Package stages has the nine stages of a release as mage targets, each to be run alone on what the ones before it left.
package stages

import (
	"context"
	"os"

	"github.com/berth-oci/berth/release"
)

// stage runs or, with -n, plans one stage.
func stage(ctx context.Context, name string, n *bool, dist, url *string) error {
	p := release.FromFlags(os.Stdout, dist, url)
	if n != nil && *n {
		return p.Plan(ctx, name)
	}
	return p.Stage(ctx, name)
}

// Version finds what is released: the tag's version, or a snapshot's.
func Version(ctx context.Context, n *bool, dist, url *string) error {
	return stage(ctx, "version", n, dist, url)
}

// Changes writes the changelog and the release notes.
func Changes(ctx context.Context, n *bool, dist, url *string) error {
	return stage(ctx, "changes", n, dist, url)
}

// Build builds every command for every architecture.
func Build(ctx context.Context, n *bool, dist, url *string) error {
	return stage(ctx, "build", n, dist, url)
}

// Certify lets the conformance suite and the leak check judge what was built.
func Certify(ctx context.Context, n *bool, dist, url *string) error {
	return stage(ctx, "certify", n, dist, url)
}

// Deb packs what was certified.
func Deb(ctx context.Context, n *bool, dist, url *string) error {
	return stage(ctx, "deb", n, dist, url)
}

// Sign signs the sums of all that is attached to a release.
func Sign(ctx context.Context, n *bool, dist, url *string) error {
	return stage(ctx, "sign", n, dist, url)
}

// Tree lays out the apt repository, and writes nothing.
func Tree(ctx context.Context, n *bool, dist, url *string) error {
	return stage(ctx, "tree", n, dist, url)
}

// Publish puts the repository in place, InRelease last.
func Publish(ctx context.Context, n *bool, dist, url *string) error {
	return stage(ctx, "publish", n, dist, url)
}

// Verify reads the repository back and lets apt install from it.
func Verify(ctx context.Context, n *bool, dist, url *string) error {
	return stage(ctx, "verify", n, dist, url)
}
