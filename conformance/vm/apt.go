package vm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// MirrorVariable names the environment variable that gives the URI of a Debian archive, for machines whose own apt
// sources name none.
const MirrorVariable = "CONFORMANCE_DEBIAN_MIRROR"

const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// archive is the Debian archive as seen by a machine of one suite and architecture. Its apt is the host's program with
// lists, cache and sources of its own and an empty dpkg status, so the host's apt is neither read nor changed, save for
// its settings of proxies and time-outs.
type archive struct {
	suite, arch string
}

func (a archive) name() string { return a.suite + "-" + a.arch }

// Package fetches a Debian package and returns the directory that holds its files, as root would see them in /. The
// directory belongs to the cache: copy from it, do not write to it.
func Package(ctx context.Context, suite, arch, name string) (string, error) {
	a := archive{suite, arch}
	return cached(filepath.Join("packages", a.name(), name), func(dir string) error {
		return a.download(ctx, []string{name}, func(debs []string) error { return extract(ctx, debs, dir) })
	})
}

// Tree fetches packages with all they depend on (not what they recommend) and returns one directory that holds the
// files of all, laid out as a root directory with merged /usr, without documentation and translations. No maintainer
// script has run.
func Tree(ctx context.Context, suite, arch string, names ...string) (string, error) {
	a := archive{suite, arch}
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	sum := sha256.Sum256([]byte(strings.Join(names, " "))) // the names themselves may be too many for a file name
	return cached(filepath.Join("trees", a.name(), fmt.Sprintf("%x", sum[:8])), func(dir string) error {
		if err := mergeUsr(dir); err != nil {
			return err
		}
		return a.closure(ctx, names, func(debs []string) error { return extract(ctx, debs, dir, undocumented...) })
	})
}

// undocumented are tar's options that leave out what nobody reads in a guest; a third of the files.
var undocumented = []string{
	"--exclude=./usr/share/doc", "--exclude=./usr/share/man", "--exclude=./usr/share/locale", "--exclude=./usr/share/info",
	"--exclude=./usr/share/i18n", "--exclude=./usr/share/lintian", "--exclude=./usr/share/bug",
}

// mergeUsr lays the links that Debian's package base-files or usrmerge would make.
func mergeUsr(dir string) error {
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.MkdirAll(filepath.Join(dir, "usr", name), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(filepath.Join("usr", name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// extract unpacks packages over each other. Links that stand where a package has a directory stay links.
func extract(ctx context.Context, debs []string, dir string, options ...string) error {
	for _, deb := range debs {
		var errs bytes.Buffer
		read := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
		write := exec.CommandContext(ctx, "tar", append([]string{"-x", "-C", dir, "--keep-directory-symlink", "--no-same-owner", "--same-permissions"}, options...)...)
		read.Stderr, write.Stderr = &errs, &errs
		var err error
		if write.Stdin, err = read.StdoutPipe(); err != nil {
			return err
		}
		if err := read.Start(); err != nil {
			return needs("dpkg-deb", err)
		}
		werr := write.Run()
		if err := errors.Join(werr, read.Wait()); err != nil {
			return fmt.Errorf("cannot extract %s: %w: %s", filepath.Base(deb), err, tail(errs.String(), 5))
		}
	}
	return nil
}

// download fetches packages and hands their files to use.
func (a archive) download(ctx context.Context, names []string, use func(debs []string) error) error {
	return a.fetch(ctx, append([]string{"download"}, names...), names, use)
}

// closure fetches packages and what they depend on, and hands their files to use.
func (a archive) closure(ctx context.Context, names []string, use func(debs []string) error) error {
	args := []string{"install", "--yes", "--no-install-recommends", "--download-only"}
	return a.fetch(ctx, append(args, names...), names, use)
}

// fetch runs apt-get in a new directory, hands the packages that it brought to use, and removes the directory. Lists
// that have gone stale name packages that the archive no longer holds: then, and only then, they are brought up to date.
func (a archive) fetch(ctx context.Context, args, names []string, use func(debs []string) error) error {
	root, fresh, err := a.root(ctx)
	if err != nil {
		return err
	}
	out, err := os.MkdirTemp(root, "fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(out)
	if err := os.Mkdir(filepath.Join(out, "partial"), 0o755); err != nil {
		return err
	}
	err = a.apt(ctx, root, out, args...)
	if err != nil && !fresh && ctx.Err() == nil {
		if err = a.refresh(ctx, root); err == nil {
			err = a.apt(ctx, root, out, args...)
		}
	}
	if err != nil {
		return &Unavailable{What: fmt.Sprintf("Debian package %s of %s %s", strings.Join(names, ", "), a.suite, a.arch), Err: err}
	}
	debs, err := filepath.Glob(filepath.Join(out, "*.deb"))
	if err != nil {
		return err
	}
	return use(debs)
}

// refresh brings the lists up to date while no other process does.
func (a archive) refresh(ctx context.Context, root string) error {
	unlock, err := lock(root)
	if err != nil {
		return err
	}
	defer unlock()
	return a.update(ctx, root)
}

// root makes the archive's apt directory and fetches its lists when there are none; fresh says that it just did.
func (a archive) root(ctx context.Context) (dir string, fresh bool, err error) {
	dir, err = cached(filepath.Join("apt", a.name()), func(dir string) error {
		fresh = true
		for _, d := range []string{"lists/partial", "cache"} {
			if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
				return err
			}
		}
		return a.update(ctx, dir)
	})
	return dir, fresh, err
}

func (a archive) update(ctx context.Context, dir string) error {
	uri, err := mirror()
	if err != nil {
		return err
	}
	if _, err := os.Stat(keyring); err != nil {
		return &Unavailable{What: "packages of Debian", Err: err, Remedy: "install the package debian-archive-keyring"}
	}
	source := fmt.Sprintf("deb [signed-by=%s] %s %s main\n", keyring, uri, a.suite)
	if err := os.WriteFile(filepath.Join(dir, "sources.list"), []byte(source), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "status"), nil, 0o644); err != nil {
		return err
	}
	if err := a.apt(ctx, dir, dir, "update", "--error-on=any"); err != nil {
		return &Unavailable{What: fmt.Sprintf("the package lists of Debian %s %s", a.suite, a.arch), Err: err, Remedy: "the archive must be reachable"}
	}
	return nil
}

// apt runs apt-get with the archive's own directories. Paths are given by -o, and so relative to where the directory
// is now: it is renamed once it is complete.
func (a archive) apt(ctx context.Context, dir, work string, args ...string) error {
	conf := filepath.Join(work, "apt.conf")
	if err := os.WriteFile(conf, []byte(a.config(dir, work)), 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-q", "-c", conf}, args...)...)
	cmd.Dir = work
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return needs("apt-get", err)
	}
	if err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, tail(string(out), 8))
	}
	return nil
}

// config is read after the host's own (apt-get -c), so it overrides that, and clears the hooks that would touch the
// host. See apt.conf(5).
func (a archive) config(dir, out string) string {
	return fmt.Sprintf(`#clear APT::Architectures;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
APT::Architecture "%[3]s";
APT::Architectures { "%[3]s"; };
APT::Sandbox::User "root";
APT::Get::List-Cleanup "false";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled "false";
Dir::Etc::SourceList "%[1]s/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "%[1]s";
Dir::State::Lists "%[1]s/lists";
Dir::State::Status "%[1]s/status";
Dir::State::extended_states "%[1]s/extended_states";
Dir::Cache "%[1]s/cache";
Dir::Cache::Archives "%[2]s";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "";
Dir::Log "%[1]s";
`, dir, out, a.arch)
}

// needs turns the absence of a program into an Unavailable.
func needs(program string, err error) error {
	return &Unavailable{What: program, Err: err, Remedy: "install it from Debian's packages"}
}

// tail returns the last n lines of s.
func tail(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
