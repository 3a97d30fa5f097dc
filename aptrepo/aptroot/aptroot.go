// Package aptroot runs the real apt against a repository without touching the
// machine it runs on: the last word on whether a repository is right.
//
// The parties: the repository under test is not trusted to be right; apt and
// dpkg are, and they are the system's own. [New] gives them an empty system of
// their own in a directory (own sources, lists, caches and dpkg database),
// which needs no root. [Chroot] uses another Debian's apt, as debootstrap
// unpacked it (Debian 13's, with sqv in place of gpgv), which does.
package aptroot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Root is a system for apt to work on.
type Root struct {
	dir    string
	chroot bool
	arch   string
}

// Result is what apt said.
type Result struct {
	Output   string   // standard output and standard error together
	Warnings []string // lines that begin W: or E:, and notices of N:
}

// Available says why apt cannot be used here, or nil.
func Available() error {
	for _, tool := range []string{"apt-get", "dpkg"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is not installed", tool)
		}
	}
	return nil
}

// New makes an empty system for packages of arch in dir, with these sources:
// each a deb822 source as text (sources.list(5)). Signed-By must name a file of
// this machine or hold the key itself. arch "" is the machine's own.
//
// Without root privileges everything works but what a maintainer script needs
// them for; scripts run outside dir, with DPKG_ROOT set, in either case.
func New(dir, arch string, sources ...string) (*Root, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(dir, "\" ;\n") {
		return nil, fmt.Errorf("cannot make an apt root in %q: apt's configuration cannot quote that path", dir)
	}
	if arch == "" {
		if arch, err = nativeArch(); err != nil {
			return nil, err
		}
	}
	r := &Root{dir: dir, arch: arch}
	if err := errors.Join(r.lay(), r.Sources(sources...)); err != nil {
		return nil, fmt.Errorf("cannot make an apt root: %w", err)
	}
	return r, nil
}

// Chroot uses the Debian system that is unpacked at dir, with its own apt and
// dpkg, on only these sources. It needs root privileges; what it installs, it
// installs into dir. file: addresses and Signed-By are seen from within.
func Chroot(dir string, sources ...string) (*Root, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("cannot use a chroot: it needs root privileges")
	}
	if _, err := os.Stat(filepath.Join(dir, "usr/bin/apt-get")); err != nil {
		return nil, fmt.Errorf("cannot use a chroot: no apt in it: %w", err)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	r := &Root{dir: dir, chroot: true}
	for _, name := range []string{"sources", "lists/partial", "archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, "aptroot", name), 0o755); err != nil {
			return nil, fmt.Errorf("cannot use a chroot: %w", err)
		}
	}
	if err := errors.Join(r.writeConfig(chrootConfig), r.Sources(sources...)); err != nil {
		return nil, fmt.Errorf("cannot use a chroot: %w", err)
	}
	return r, nil
}

// Dir is the directory that the system is in.
func (r *Root) Dir() string { return r.dir }

// own returns where this package's files are, as this process sees them.
func (r *Root) own(name string) string {
	if r.chroot {
		return filepath.Join(r.dir, "aptroot", name)
	}
	return filepath.Join(r.dir, "apt", name)
}

func nativeArch() (string, error) {
	out, err := exec.Command("dpkg", "--print-architecture").Output()
	if err != nil {
		return "", fmt.Errorf("cannot ask dpkg for the architecture: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Sources replaces the sources.
func (r *Root) Sources(sources ...string) error {
	old, err := filepath.Glob(r.own("sources/*.sources"))
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	for i, text := range sources {
		name := r.own(fmt.Sprintf("sources/%02d.sources", i))
		if err := writePublic(name, strings.TrimRight(text, "\n")+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// writePublic writes a file that apt's unprivileged methods can read, whatever
// the umask.
func writePublic(name, text string) error {
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Chmod(name, 0o644)
}

// lay makes the directories and files that apt and dpkg expect.
func (r *Root) lay() error {
	for _, name := range []string{"apt/sources", "apt/lists/partial", "apt/archives/partial", "apt/log", "apt/tmp", "apt/empty",
		"root/var/lib/dpkg/updates", "root/var/lib/dpkg/info", "root/var/lib/dpkg/triggers", "root/var/log"} {
		if err := os.MkdirAll(filepath.Join(r.dir, name), 0o755); err != nil {
			return err
		}
	}
	for _, name := range []string{"status", "available"} {
		f, err := os.OpenFile(filepath.Join(r.Admin(), name), os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return r.writeConfig(isolatedConfig)
}

// Admin is the directory of dpkg's database.
func (r *Root) Admin() string { return r.Installed("var/lib/dpkg") }

// Installed is where the system's file path is, as this process sees it.
func (r *Root) Installed(path string) string {
	if r.chroot {
		return filepath.Join(r.dir, path)
	}
	return filepath.Join(r.dir, "root", path)
}

// common settings: never ask, never recommend, no translations, and no second
// try of a download, which would hide a fault.
const common = `
APT::Get::Assume-Yes "true";
APT::Install-Recommends "false";
APT::Cmd::Disable-Script-Warning "true";
Acquire::Languages "none";
Acquire::Retries "0";
Acquire::AllowInsecureRepositories "false";
Dpkg::Use-Pty "false";
`

// isolatedConfig replaces the machine's configuration whole: no pinning, no
// proxy, no hook of the machine counts.
const isolatedConfig = common + `
APT::Architecture "@ARCH@";
APT::Architectures { "@ARCH@"; };
APT::Sandbox::User "";
Dir::State "@DIR@/apt/";
Dir::State::lists "@DIR@/apt/lists/";
Dir::State::status "@DIR@/root/var/lib/dpkg/status";
Dir::State::extended_states "@DIR@/apt/extended_states";
Dir::Cache "@DIR@/apt/";
Dir::Cache::archives "@DIR@/apt/archives/";
Dir::Log "@DIR@/apt/log/";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "@DIR@/apt/sources/";
Dir::Etc::parts "@DIR@/apt/empty/";
Dir::Etc::main "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "@DIR@/apt/empty/";
Dir::Etc::trusted "/dev/null";
Dir::Etc::trustedparts "@DIR@/apt/empty/";
Dir::Etc::netrc "/dev/null";
Dir::Etc::netrcparts "@DIR@/apt/empty/";
DPkg::Options { "--root=@DIR@/root"; "--force-not-root"; "--force-script-chrootless"; "--no-debsig"; "--log=@DIR@/root/var/log/dpkg.log"; "--force-architecture"; };
`

const chrootConfig = common + `
Dir::State::lists "/aptroot/lists/";
Dir::Cache::archives "/aptroot/archives/";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "/aptroot/sources/";
`

func (r *Root) writeConfig(text string) error {
	text = strings.NewReplacer("@DIR@", r.dir, "@ARCH@", r.arch).Replace(text)
	return writePublic(r.own("apt.conf"), text)
}

// Update runs apt-get update. It fails where apt does, and where apt only
// warned: a repository that makes apt warn is not right.
func (r *Root) Update() (*Result, error) {
	return r.strict("apt-get", "update")
}

// Install runs apt-get install of packages, each as apt takes them: NAME,
// NAME=VERSION, NAME:ARCH.
func (r *Root) Install(packages ...string) (*Result, error) {
	return r.strict("apt-get", append([]string{"install"}, packages...)...)
}

// Upgrade runs apt-get upgrade.
func (r *Root) Upgrade() (*Result, error) {
	return r.strict("apt-get", "upgrade")
}

// Download runs apt-get download, and returns the directory that the packages
// are in: what apt trusts, not installed.
func (r *Root) Download(packages ...string) (string, *Result, error) {
	if r.chroot {
		return "", nil, errors.New("cannot download in a chroot: use New")
	}
	result, err := r.strict("apt-get", append([]string{"download"}, packages...)...)
	return r.own("tmp"), result, err
}

// Version returns the installed version of a package, or "".
func (r *Root) Version(name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(r.Admin(), "status"))
	if err != nil {
		return "", fmt.Errorf("cannot read dpkg's database: %w", err)
	}
	for stanza := range strings.SplitSeq(string(text), "\n\n") {
		fields := make(map[string]string)
		for line := range strings.Lines(stanza) {
			if field, value, found := strings.Cut(line, ":"); found {
				fields[field] = strings.TrimSpace(value)
			}
		}
		if fields["Package"] == name && strings.HasSuffix(fields["Status"], " installed") {
			return fields["Version"], nil
		}
	}
	return "", nil
}

// Assume makes dpkg believe that packages, each as NAME=VERSION, are installed:
// what the empty system lacks of the dependencies of a package under test.
func (r *Root) Assume(packages ...string) error {
	if r.chroot {
		return errors.New("cannot assume packages in a chroot: install them")
	}
	f, err := os.OpenFile(filepath.Join(r.Admin(), "status"), os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("cannot change dpkg's database: %w", err)
	}
	for _, p := range packages {
		name, version, found := strings.Cut(p, "=")
		if !found {
			err = errors.Join(err, fmt.Errorf("cannot assume %q: name it NAME=VERSION", p))
			continue
		}
		_, failed := fmt.Fprintf(f, "Package: %s\nStatus: install ok installed\nPriority: optional\nSection: misc\nMaintainer: nobody <nobody@example.org>\n"+
			"Architecture: %s\nMulti-Arch: foreign\nVersion: %s\nDescription: assumed\n\n", name, r.arch, version)
		if failed == nil {
			failed = os.WriteFile(filepath.Join(r.Admin(), "info", name+".list"), []byte("/.\n"), 0o644)
		}
		err = errors.Join(err, failed)
	}
	return errors.Join(err, f.Close())
}

func (r *Root) strict(tool string, args ...string) (*Result, error) {
	result, err := r.Run(tool, args...)
	if err == nil && len(result.Warnings) > 0 {
		err = fmt.Errorf("%s %s warned: %s", tool, args[0], strings.Join(result.Warnings, "; "))
	}
	return result, err
}

// Run runs any tool of apt's (apt-get, apt-cache, apt) on this system. Its
// error holds what apt complained of.
func (r *Root) Run(tool string, args ...string) (*Result, error) {
	cmd := exec.Command(tool, args...)
	config := r.own("apt.conf")
	if r.chroot {
		config = "/aptroot/apt.conf"
		cmd = exec.Command("/usr/bin/"+tool, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: r.dir}
		cmd.Dir = "/"
	} else {
		cmd.Dir = r.own("tmp")
	}
	cmd.Env = environment(config)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	result := &Result{Output: out.String(), Warnings: warnings(out.String())}
	if err != nil {
		return result, fmt.Errorf("%s %s failed (%w): %s", tool, args[0], err, complaint(result))
	}
	return result, nil
}

// environment has nothing of the caller's: no proxy, no locale, no home. dpkg
// insists on the sbin directories.
func environment(config string) []string {
	return []string{"APT_CONFIG=" + config, "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "HOME=/nonexistent",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
}

func warnings(output string) []string {
	var found []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		for _, mark := range []string{"W: ", "E: ", "N: "} {
			if strings.HasPrefix(line, mark) && !harmless(line) {
				found = append(found, line)
			}
		}
	}
	return slices.Compact(found)
}

// harmless are notices about how a test uses apt, not about the repository.
func harmless(line string) bool {
	return strings.Contains(line, "Download is performed unsandboxed as root")
}

func complaint(r *Result) string {
	if len(r.Warnings) > 0 {
		return strings.Join(r.Warnings, "; ")
	}
	lines := strings.Split(strings.TrimSpace(r.Output), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "; ")
}

// Clean forgets what apt fetched, so that the next Update fetches everything.
func (r *Root) Clean() error {
	for _, name := range []string{"lists", "archives"} {
		if err := emptyFiles(r.own(name)); err != nil {
			return fmt.Errorf("cannot clean the apt root: %w", err)
		}
	}
	return nil
}

func emptyFiles(dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		return os.Remove(path)
	})
}
