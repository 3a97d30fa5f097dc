package release

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/berth-oci/berth/aptrepo"
	"github.com/berth-oci/berth/aptrepo/aptroot"
)

// Verified is a version that was read back as apt reads it and, where apt is at hand, installed and run.
type Verified struct {
	Published
	NotTried []string // what this machine could not prove, with the reason
}

// verify reads the repository back from where users get it, then lets apt itself install from it into a system of its own
// and runs what was installed.
func (r *work) verify(ctx context.Context, p Published) (Verified, error) {
	stop := r.tell.doing("verify", "reading the repository back")
	defer stop()
	v := Verified{Published: p}
	if err := r.readBack(p); err != nil {
		return v, err
	}
	if err := r.aptHere(); err != nil {
		v.NotTried = append(v.NotTried, "apt's own install: "+err.Error())
		r.tell.fact("verify", "apt's own install: NOT TRIED: "+err.Error())
		return v, nil
	}
	for _, how := range []func(string) (string, func(), error){fromFile, fromServer} {
		if err := r.verifyByApt(ctx, &v, how); err != nil {
			return v, err
		}
	}
	return v, nil
}

// aptHere says why apt cannot be asked.
func (r *work) aptHere() error {
	if r.NoApt {
		return errors.New("it was not wanted")
	}
	return aptroot.Available()
}

// readBack believes nothing but the key: InRelease by its signature, the indices by InRelease, each package by its index.
func (r *work) readBack(p Published) error {
	report, err := aptrepo.Verify(aptrepo.Directory(p.Dir), aptrepo.Check{Codename: r.Config.Codename, Keyring: r.signer.Public(), Now: r.Now})
	if err != nil {
		return fmt.Errorf("cannot verify what was published: %w", err)
	}
	for _, pkg := range p.Packages {
		if !slices.ContainsFunc(report.Packages, pkg.is) {
			return fmt.Errorf("cannot verify what was published: %s %s for %s is not in it", pkg.Name, pkg.Version, pkg.Arch)
		}
	}
	for _, w := range report.Warnings {
		if !r.signer.Throwaway { // that its key ends soon is why it is called so
			r.tell.warn(w)
		}
	}
	r.tell.fact("verify", fmt.Sprintf("read back as apt reads: %d packages, signed by %s", len(report.Packages), r.signer.Fingerprint()))
	return nil
}

// is reports whether the repository's package is this one, byte for byte.
func (p Package) is(q aptrepo.Package) bool {
	return q.Name == p.Name && q.Version == p.Version && q.Architecture == p.Arch && q.SHA256 == p.SHA256
}

// fromFile and fromServer are the two ways in which apt gets at a folder: by path, and from a web server.
func fromFile(dir string) (string, func(), error) {
	return (&url.URL{Scheme: "file", OmitHost: true, Path: dir}).String(), func() {}, nil
}

func fromServer(dir string) (string, func(), error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("cannot serve the repository to apt: %w", err)
	}
	server := &http.Server{Handler: http.FileServer(http.Dir(dir)), ReadHeaderTimeout: time.Minute}
	go server.Serve(l) //nolint:errcheck // ends with the listener
	return "http://" + l.Addr().String(), func() { server.Close() }, nil
}

// verifyByApt installs for this machine's architecture and runs the result; for the others apt proves what it downloads.
func (r *work) verifyByApt(ctx context.Context, v *Verified, serve func(string) (string, func(), error)) error {
	address, drop, err := serve(v.Dir)
	if err != nil {
		return err
	}
	defer drop()
	scheme, _, _ := strings.Cut(address, ":")
	for _, arch := range r.Config.Archs {
		r.tell.doing("verify", fmt.Sprintf("apt from %s, %s", scheme, arch))
		if err := r.installByApt(ctx, v, address, arch); err != nil {
			return fmt.Errorf("cannot verify by apt from %s, %s: %w", scheme, arch, err)
		}
	}
	return nil
}

func (r *work) installByApt(ctx context.Context, v *Verified, address, arch string) error {
	dir, err := os.MkdirTemp("", "release-apt-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // apt's methods run as a user of their own
		return err
	}
	root, err := aptroot.New(dir, arch, r.source(address))
	if err != nil {
		return err
	}
	if _, err := root.Update(); err != nil {
		return err
	}
	scheme, _, _ := strings.Cut(address, ":")
	names := v.packagesFor(arch)
	if arch != runtime.GOARCH {
		if _, _, err := root.Download(names...); err != nil {
			return err
		}
		r.tell.fact("verify", fmt.Sprintf("apt from %s, %s: downloads and accepts %s", scheme, arch, strings.Join(names, ", ")))
		return nil
	}
	if _, err := root.Install(names...); err != nil {
		return err
	}
	ran, err := r.runInstalled(ctx, v, root)
	if err != nil {
		return err
	}
	r.tell.fact("verify", fmt.Sprintf("apt from %s, %s: installs %s; %s", scheme, arch, strings.Join(names, ", "), ran))
	return nil
}

// source is the deb822 source with the key in it, as a careful user writes it.
func (r *work) source(address string) string {
	return fmt.Sprintf("Types: deb\nURIs: %s\nSuites: %s\nComponents: %s\nSigned-By:\n%s", address, r.Config.Codename, r.Config.Component,
		indented(string(r.signer.Armored())))
}

// indented makes lines the continuation of a deb822 field: an empty one is written as a dot.
func indented(text string) string {
	var out strings.Builder
	for line := range strings.Lines(strings.TrimSpace(text) + "\n") {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			line = "."
		}
		out.WriteString(" " + line + "\n")
	}
	return out.String()
}

// packagesFor are this version's packages that a machine of the architecture installs, each as NAME=VERSION.
func (v *Verified) packagesFor(arch string) []string {
	var names []string
	for _, p := range v.Packages {
		if p.Arch == arch || p.Arch == "all" {
			names = append(names, p.Name+"="+p.Version)
		}
	}
	return names
}

// runInstalled asks every installed command for its version and, as root, has the runtime run containers.
func (r *work) runInstalled(ctx context.Context, v *Verified, root *aptroot.Root) (string, error) {
	for _, c := range r.Config.Commands {
		path := root.Installed("usr/bin/" + c.Name)
		out, err := output(exec.CommandContext(ctx, path, "--version"))
		if err != nil {
			return "", fmt.Errorf("the installed %s does not run: %w", c.Name, err)
		}
		if !strings.Contains(string(out), v.SemVer) {
			return "", fmt.Errorf("the installed %s does not say that it is %s, but %q", c.Name, v.SemVer, firstLine(string(out)))
		}
	}
	if os.Geteuid() != 0 {
		return "it tells its version (no container was run: that needs root)", nil
	}
	n, err := r.runContainers(ctx, root.Installed("usr/bin/"+r.Config.Runtime))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("it tells its version and passes %d checks with containers", n), nil
}

// runContainers lets the conformance suite's first chapter use the installed runtime.
func (r *work) runContainers(ctx context.Context, path string) (int, error) {
	dir, err := os.MkdirTemp("", "release-judge-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	judge, err := r.buildJudge(ctx, dir, runtime.GOARCH)
	if err != nil {
		return 0, err
	}
	text, err := (&hereCourt{judge, path, r.follow(runtime.GOARCH)}).hear(ctx, "run", "--format", "json", "--filter", "^lifecycle/")
	if err != nil {
		return 0, fmt.Errorf("the installed runtime was not tried: %w", err)
	}
	report, err := readReport(text)
	if err != nil {
		return 0, err
	}
	known, err := readWaivers(r.Repo, r.Config.Waivers)
	if err != nil {
		return 0, err
	}
	var c Certificate
	c.fill(findings{Report: report}, known)
	if err := c.verdict(); err != nil {
		return 0, fmt.Errorf("the installed runtime is not the one that was certified: %w", err)
	}
	if len(report.Passed()) == 0 {
		return 0, errors.New("the installed runtime passed no check with a container")
	}
	return len(report.Passed()), nil
}

// summary ends a release: where everything is, what was not tried, and the lines to paste.
func (r *work) summary(v Verified, took time.Duration) {
	r.tell.stop()
	fmt.Fprintf(r.Out, "\n%s %s released in %.0fs\n", r.Config.Name, v.SemVer, took.Seconds())
	fmt.Fprintf(r.Out, "  files       %s\n  repository  %s\n", r.folder(v.Version), v.Dir)
	for _, c := range v.Certificates {
		if c.NotRun != "" {
			v.NotTried = append(v.NotTried, "conformance on "+c.Arch+": "+c.NotRun)
		}
	}
	for _, n := range v.NotTried {
		fmt.Fprintf(r.Out, "  not tried   %s\n", n)
	}
	if r.signer.Throwaway {
		fmt.Fprintf(r.Out, "  UNOFFICIAL  signed with a throwaway key, good for trying only\n")
	}
	fmt.Fprintf(r.Out, "\nTo install from it, as root on Debian or Ubuntu:\n\n%s", r.installLines(v))
}

// installLines are shell commands that install from the result where it is now.
func (r *work) installLines(v Verified) string {
	config := r.repository()
	address, _, _ := fromFile(v.Dir)
	source := fmt.Sprintf("Types: deb\nURIs: %s\nSuites: %s\nComponents: %s\nSigned-By: %s\n", address, config.Codename, r.Config.Component, config.SignedBy())
	return fmt.Sprintf("install -D -m 644 %s %s\nprintf %%s %s >%s\napt-get update\napt-get install %s\n",
		shellQuote(filepath.Join(v.Dir, config.Keyring())), shellQuote(config.SignedBy()),
		shellQuote(source), shellQuote("/etc/apt/sources.list.d/"+config.Name+".sources"), shellQuote(r.Config.Runtime))
}
