package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/berth-oci/berth/aptrepo"
)

// Pipeline is one project's way from source to a live repository: what is released, where results go and who is told.
type Pipeline struct {
	Config Config
	Repo   string    // top of the work tree
	Dist   string    // where results go, made where it is missing; Repo/dist where empty
	Out    io.Writer // one line per artefact, then the summary
	Now    time.Time // the time at which a key must be usable and from which the repository is valid; zero is the clock

	Official   bool                              // a key must be given: do not sign with a throwaway one
	NoMachines bool                              // do not try binaries of other architectures in virtual machines
	NoApt      bool                              // do not let this machine's apt prove the result
	Judge      func(arch string) (string, error) // gives the conformance command; nil builds Config.Judge

	into func(dir string) aptrepo.Destination // gives what is published into; nil is the directory itself
}

// The values between the stages. Each holds the one before, so that a stage can reach whatever has become true by then.
type (
	// Written is a version with what it says about itself.
	Written struct {
		Version
		Changes
	}
	// Built is a version's commands, per architecture.
	Built struct {
		Written
		Binaries []Binary
	}
	// Proven is binaries that passed conformance and leaked nothing, with what was seen.
	Proven struct {
		Written
		Certified    []Certified
		Certificates []Certificate
	}
	// Packed is a version's packages, made from proven binaries only.
	Packed struct {
		Proven
		Packages []Package
	}
	// Signed is a version's files with their signed sums.
	Signed struct {
		Packed
		Sums      string // path of SHA256SUMS
		Signature string // path of its detached signature
		signer    signer
	}
)

// Run is the whole release. Nothing users can reach changes before the stage publish, and there the one file that apt
// believes changes last.
func (p Pipeline) Run(ctx context.Context) (Verified, error) {
	r, err := p.begin()
	if err != nil {
		return Verified{}, err
	}
	defer r.end()
	started := time.Now()
	verified, err := r.all(ctx)
	if err != nil {
		return Verified{}, err
	}
	r.summary(verified, time.Since(started))
	return verified, nil
}

// all is the nine stages in their order. What can be known to be wrong before the long ones is asked first.
func (r *work) all(ctx context.Context) (Verified, error) {
	version, err := r.version()
	if err != nil {
		return Verified{}, err
	}
	if err := r.readyToSign(version); err != nil {
		return Verified{}, err
	}
	written, err := r.write(version)
	if err != nil {
		return Verified{}, err
	}
	built, err := r.build(ctx, written)
	if err != nil {
		return Verified{}, err
	}
	proven, err := r.certify(ctx, built)
	if err != nil {
		return Verified{}, err
	}
	packed, err := r.pack(proven)
	if err != nil {
		return Verified{}, err
	}
	signed, err := r.sign(packed)
	if err != nil {
		return Verified{}, err
	}
	tree, err := r.tree(signed)
	if err != nil {
		return Verified{}, err
	}
	published, err := r.publish(ctx, tree)
	if err != nil {
		return Verified{}, err
	}
	return r.verify(ctx, published)
}

// Stages are the names of the nine stages, in their order.
var Stages = []string{"version", "changes", "build", "certify", "deb", "sign", "tree", "publish", "verify"}

// Stage runs one stage alone, on the values that the stages before it left in Dist. These are read back with their
// SHA-256, so a file that changed in between stops the stage.
func (p Pipeline) Stage(ctx context.Context, name string) error {
	if !slices.Contains(Stages, name) {
		return fmt.Errorf("cannot run the stage %q: the stages are %s", name, strings.Join(Stages, ", "))
	}
	r, err := p.begin()
	if err != nil {
		return err
	}
	defer r.end()
	version, err := r.version()
	if err != nil || name == "version" {
		return err
	}
	if slices.Index(Stages, name) >= slices.Index(Stages, "deb") {
		if err := r.readyToSign(version); err != nil {
			return err
		}
	}
	return r.alone(ctx, version, name)
}

// alone dispatches to the stage. Version, changes and tree are pure functions of the repository and of what was built, so
// they are computed again rather than read back.
func (r *work) alone(ctx context.Context, version Version, name string) error {
	written, err := r.write(version)
	if err != nil || name == "changes" {
		return err
	}
	switch name {
	case "build":
		_, err = r.build(ctx, written)
		return err
	case "certify":
		return then(r.loadBuilt(written))(func(b Built) error { _, err := r.certify(ctx, b); return err })
	case "deb":
		return then(r.loadProven(written))(func(p Proven) error { _, err := r.pack(p); return err })
	case "sign":
		return then(r.loadPacked(written))(func(p Packed) error { _, err := r.sign(p); return err })
	}
	signed, err := r.loadSigned(written)
	if err != nil {
		return err
	}
	tree, err := r.tree(signed)
	if err != nil || name == "tree" {
		return err
	}
	if name == "publish" {
		_, err = r.publish(ctx, tree)
		return err
	}
	_, err = r.verify(ctx, r.alreadyPublished(tree))
	return err
}

func then[T any](value T, err error) func(func(T) error) error {
	return func(do func(T) error) error {
		if err != nil {
			return err
		}
		return do(value)
	}
}

// work is a Pipeline under way.
type work struct {
	Pipeline
	tell   *teller
	lock   io.Closer
	signer signer
	dry    bool // nothing may change
}

func (p Pipeline) begin() (*work, error) {
	if err := p.fill(); err != nil {
		return nil, err
	}
	lock, err := lockFolder(p.Dist)
	if err != nil {
		return nil, err
	}
	return &work{Pipeline: p, tell: newTeller(p.Out), lock: lock}, nil
}

func (r *work) end() {
	r.tell.stop()
	r.lock.Close()
}

func (p *Pipeline) fill() error {
	if p.Now.IsZero() {
		p.Now = time.Now()
	}
	now, err := sourceDateEpoch(p.Now)
	if err != nil {
		return err
	}
	p.Now = now.UTC().Truncate(time.Second)
	if p.Dist == "" {
		p.Dist = filepath.Join(p.Repo, "dist")
	}
	if p.Out == nil {
		p.Out = io.Discard
	}
	p.Repo, err = filepath.Abs(p.Repo)
	if err != nil {
		return fmt.Errorf("cannot find the work tree: %w", err)
	}
	if p.Dist, err = filepath.Abs(p.Dist); err != nil {
		return fmt.Errorf("cannot find the folder for results: %w", err)
	}
	return nil
}

// version finds what is released. What the repository already offers counts: a release never goes backwards.
func (r *work) version() (Version, error) {
	published, err := r.publishedVersions()
	if err != nil {
		return Version{}, err
	}
	v, err := FindVersion(r.Repo, VersionOptions{Published: published})
	if err != nil {
		return Version{}, err
	}
	r.tell.fact("version", describeVersion(v))
	return v, nil
}

func describeVersion(v Version) string {
	from := "tag " + v.Tag
	if v.Snapshot {
		from = "a snapshot: no tag is on this commit"
	}
	if v.Dirty {
		from += ", and the work tree differs from it"
	}
	return fmt.Sprintf("%s, for Debian %s, commit %.12s (%s)", v.SemVer, v.Debian, v.Commit, from)
}

// write writes the changelog and the notes.
func (r *work) write(v Version) (Written, error) {
	stop := r.tell.doing("changes", "writing the changelog")
	defer stop()
	changes, err := WriteChanges(r.Repo, v)
	if err != nil {
		return Written{}, err
	}
	w := Written{v, changes}
	for _, f := range []struct {
		name string
		text []byte
	}{{changelogName, changes.Full}, {notesName, changes.Notes}} {
		if err := r.writeFile("changes", filepath.Join(r.folder(v), f.name), f.text); err != nil {
			return Written{}, err
		}
	}
	return w, nil
}

// build compiles every command for every architecture.
func (r *work) build(ctx context.Context, w Written) (Built, error) {
	if err := r.forget(w.Version, "build"); err != nil {
		return Built{}, err
	}
	b, drop, err := newBuilder(ctx, r.Repo, w.Version)
	if err != nil {
		return Built{}, err
	}
	defer drop()
	built := Built{Written: w}
	for _, c := range r.Config.Commands {
		for _, arch := range r.Config.Archs {
			stop := r.tell.doing("build", fmt.Sprintf("%s for %s", c.Name, arch))
			bin, err := b.build(ctx, c, arch, r.binaryPath(w.Version, c.Name, arch))
			stop()
			if err != nil {
				return Built{}, err
			}
			r.tell.artefact("build", bin.Path, bin.Size)
			built.Binaries = append(built.Binaries, bin)
		}
	}
	return built, r.saveBuilt(built)
}

// pack makes the packages.
func (r *work) pack(proven Proven) (Packed, error) {
	if err := r.forget(proven.Version, "deb"); err != nil {
		return Packed{}, err
	}
	stop := r.tell.doing("deb", "packing")
	defer stop()
	packages, err := Pack(Packing{
		Repo: r.Repo, Out: r.folder(proven.Version), Version: proven.Version, Changes: proven.Changes,
		Keyring: r.signer.Public(), URL: r.Config.URL, Suite: r.Config.Codename, Component: r.Config.Component,
	}, proven.Certified...)
	if err != nil {
		return Packed{}, err
	}
	stop()
	for _, p := range packages {
		r.tell.artefact("deb", p.File, p.Size)
	}
	packed := Packed{Proven: proven, Packages: packages}
	return packed, r.savePacked(packed)
}

// writeFile writes a result and tells of it.
func (r *work) writeFile(stage, path string, data []byte) error {
	if err := replaceFile(path, data, 0o644); err != nil {
		return fmt.Errorf("cannot write %s: %w%s", path, err, remedy(err))
	}
	r.tell.artefact(stage, path, int64(len(data)))
	return nil
}

// remedy is the hint for the errors of a full or protected disk.
func remedy(err error) string {
	switch {
	case errors.Is(err, os.ErrPermission):
		return "\nhint: release into a folder you may write to, with -dist=FOLDER"
	case isFull(err):
		return "\nhint: free some space, or release into another folder with -dist=FOLDER"
	}
	return ""
}

// BuildRuntime builds the runtime for this machine alone and returns where it is, for who wants to try it.
func (p Pipeline) BuildRuntime(ctx context.Context) (string, error) {
	p.Config.Archs = []string{runtime.GOARCH}
	r, err := p.begin()
	if err != nil {
		return "", err
	}
	defer r.end()
	v, err := r.version()
	if err != nil {
		return "", err
	}
	_, err = r.build(ctx, Written{Version: v})
	return r.binaryPath(v, r.Config.Runtime, runtime.GOARCH), err
}
