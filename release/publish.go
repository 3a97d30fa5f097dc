package release

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/berth-oci/berth/aptrepo"
)

// publish makes the tree the repository that apt sees. Until its very last step, the renaming of InRelease, apt sees the
// one before; a run that is killed leaves that one, and the next run completes this one.
func (r *work) publish(ctx context.Context, t Tree) (Published, error) {
	if err := ctx.Err(); err != nil {
		return Published{}, fmt.Errorf("cannot publish: %w", err)
	}
	r.tell.doing("publish", "storing files")
	shown, kept := 0, 0
	var size int64
	tell := func(e aptrepo.Event) {
		switch e.Step {
		case "show":
			shown++
			size += e.Size
		case "keep":
			kept++
		case "stage":
			r.tell.relabel("publish", filepath.Base(e.Path))
		}
	}
	if err := aptrepo.Publish(r.destination(r.aptFolder()), t.Repository, tell); err != nil {
		return Published{}, fmt.Errorf("%w%s", err, remedy(err))
	}
	r.tell.artefact("publish", fmt.Sprintf("%d files new, %d as they were", shown, kept), size)
	return r.alreadyPublished(t), nil
}

// destination is where the repository is published to: the folder, which a test may wrap to stop at every step.
func (r *work) destination(dir string) aptrepo.Destination {
	if r.into != nil {
		return r.into(dir)
	}
	return aptrepo.Directory(dir)
}

// alreadyPublished is for the stage verify alone: it reads what is there, and the proof is its business.
func (r *work) alreadyPublished(t Tree) Published { return Published{t, r.aptFolder()} }
