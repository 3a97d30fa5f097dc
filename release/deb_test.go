package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// standins builds the stand-in for both architectures once.
var standins = sync.OnceValues(func() ([]Certified, error) {
	dir, err := os.MkdirTemp("", "standin-")
	if err != nil {
		return nil, err
	}
	standinDir = dir
	var built []Certified
	for _, arch := range []string{"amd64", "arm64"} {
		path := filepath.Join(dir, arch)
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", path, "./testdata/standin")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch)
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(data)
		built = append(built, Certified{Binary{"berth", arch, path, hex.EncodeToString(sum[:]), int64(len(data))}})
	}
	return built, nil
})

var standinDir string

func TestMain(m *testing.M) {
	if repo := os.Getenv(steppingIn); repo != "" {
		if err := releaseStepwise(repo); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	for _, dir := range []string{standinDir, judgeDir} {
		if dir != "" {
			os.RemoveAll(dir)
		}
	}
	if len(sharedPackages) > 0 {
		os.RemoveAll(filepath.Dir(sharedPackages[0].File))
	}
	os.Exit(code)
}

// packing is the packing of this project's own packages.
func packing(t *testing.T) Packing {
	t.Helper()
	text := strings.ReplaceAll(entryText("1.2.3~rc.1-1", "stable"), "ferry", "berth") + "\n" +
		strings.NewReplacer("ferry", "berth", "09:00", "08:00").Replace(entryText("1.2.2-1", "stable"))
	return Packing{
		Repo: "..", Out: t.TempDir(), Keyring: []byte("a key\n"), URL: "https://example.org/apt", Suite: "stable",
		Version: Version{SemVer: "1.2.3-rc.1", Debian: "1.2.3~rc.1-1", CommitTime: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)},
		Changes: Changes{Full: []byte(text)},
	}
}

// shared are the packages of packing, made once.
func shared(t *testing.T) []Package {
	t.Helper()
	sharedOnce.Do(func() {
		p := packing(t)
		p.Out, sharedErr = os.MkdirTemp("", "shared-")
		if sharedErr == nil {
			sharedPackages = pack(t, p)
		}
	})
	must(t, sharedErr)
	return sharedPackages
}

var (
	sharedOnce     sync.Once
	sharedErr      error
	sharedPackages []Package
)

func pack(t *testing.T, p Packing) []Package {
	t.Helper()
	built, err := standins()
	must(t, err)
	made, err := Pack(p, built...)
	must(t, err)
	return made
}

func TestPackMakesEveryPackage(t *testing.T) {
	p := packing(t)
	var names []string
	for _, one := range pack(t, p) {
		data, err := os.ReadFile(one.File)
		must(t, err)
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != one.SHA256 || int64(len(data)) != one.Size {
			t.Errorf("%s is not what is said of it", one.File)
		}
		names = append(names, filepath.Base(one.File))
	}
	want := "berth_1.2.3~rc.1-1_amd64.deb berth_1.2.3~rc.1-1_arm64.deb berth-archive-keyring_1.2.3~rc.1-1_all.deb"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("the packages are %s, want %s", got, want)
	}
	left, err := os.ReadDir(p.Out)
	must(t, err)
	if len(left) != 3 {
		t.Errorf("the folder holds %v", left)
	}
}

// TestPackagesSayWhatTheyHold compares control files and lists of files with golden ones.
func TestPackagesSayWhatTheyHold(t *testing.T) {
	var b bytes.Buffer
	for _, one := range shared(t) {
		control, data := members(t, one.File)
		fmt.Fprintf(&b, "== %s\n", filepath.Base(one.File))
		for _, f := range control {
			fmt.Fprintf(&b, "-- %s\n", f.header())
			if f.Name != "./md5sums" {
				b.Write(f.data)
			}
		}
		for _, f := range data {
			fmt.Fprintf(&b, "%s\n", f.header())
		}
	}
	text := regexp.MustCompile(`(?m)^Installed-Size: \d+$`).ReplaceAll(b.Bytes(), []byte("Installed-Size: N"))
	golden(t, "packages", text)
}

// tarFile is a member of a tar.
type tarFile struct {
	*tar.Header
	data []byte
}

func (f tarFile) header() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s:%d %s:%d %s %s %s", f.FileInfo().Mode(), f.Uname, f.Uid, f.Gname, f.Gid,
		f.ModTime.UTC().Format(time.RFC3339), f.Name, f.Linkname))
}

// members are the files of the control and data members of a .deb, the latter unpacked by xz itself.
func members(t *testing.T, file string) (control, data []tarFile) {
	t.Helper()
	archive, err := os.ReadFile(file)
	must(t, err)
	all, err := readAr(archive)
	must(t, err)
	if len(all) != 3 || all[0].name() != "debian-binary" || all[1].name() != "control.tar.gz" || all[2].name() != "data.tar.xz" {
		t.Fatalf("the members of %s are not those of deb(5)", file)
	}
	z, err := gzip.NewReader(bytes.NewReader(all[1].data))
	must(t, err)
	if z.Name != "" || !z.ModTime.IsZero() {
		t.Errorf("control.tar.gz tells name %q and time %s", z.Name, z.ModTime)
	}
	return readTar(t, z), readTar(t, bytes.NewReader(unxz(t, all[2].data)))
}

func readTar(t *testing.T, r io.Reader) (files []tarFile) {
	t.Helper()
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		must(t, err)
		data, err := io.ReadAll(in)
		must(t, err)
		files = append(files, tarFile{h, data})
	}
}

func unxz(t *testing.T, data []byte) []byte {
	t.Helper()
	need(t, "xz")
	cmd := exec.Command("xz", "--decompress", "--stdout")
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	must(t, err)
	return out
}

// need skips the test where a program is missing.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed", p)
		}
	}
}

func TestPackTwiceGivesTheSameBytes(t *testing.T) {
	built, err := standins()
	must(t, err)
	first := shared(t)
	t.Setenv("TZ", "Pacific/Kiritimati")
	t.Setenv("LC_ALL", "tr_TR.UTF-8")
	t.Setenv("SOURCE_DATE_EPOCH", "12345")
	t.Setenv("TMPDIR", t.TempDir())
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	p := packing(t)
	p.Out = filepath.Join(t.TempDir(), "somewhere", "else")
	p.Repo = t.TempDir()
	must(t, os.CopyFS(filepath.Join(p.Repo, debianDir), os.DirFS("debian")))
	second, err := Pack(p, built[1], built[0])
	must(t, err)
	for i := range first {
		if first[i].SHA256 != second[i].SHA256 {
			t.Errorf("%s differs from %s", second[i].File, first[i].File)
		}
		fi, err := os.Stat(second[i].File)
		must(t, err)
		if fi.Mode().Perm() != 0o644 {
			t.Errorf("%s has mode %v", second[i].File, fi.Mode())
		}
	}
}

func TestInstalledSizeIsWhatDpkgCounts(t *testing.T) {
	need(t, "dpkg-deb", "dpkg-gencontrol")
	for _, one := range shared(t) {
		dir := t.TempDir()
		root := filepath.Join(dir, "root")
		run(t, dir, "dpkg-deb", "--extract", one.File, root)
		must(t, os.Mkdir(filepath.Join(dir, "debian"), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, "debian/control"), fmt.Appendf(nil,
			"Source: ferry\nMaintainer: A B <a@example.org>\n\nPackage: %s\nArchitecture: any\nDescription: x\n", one.Name), 0o644))
		must(t, os.WriteFile(filepath.Join(dir, "debian/changelog"), []byte(entryText("1-1", "stable")), 0o644))
		want := field(run(t, dir, "dpkg-gencontrol", "-P"+root, "-O", "-fdebian/files", "-p"+one.Name), "Installed-Size")
		if got := field(run(t, dir, "dpkg-deb", "--info", one.File, "control"), "Installed-Size"); got != want || want == "" {
			t.Errorf("%s: Installed-Size is %q, dpkg counts %q", one.Name, got, want)
		}
	}
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out.String(), said.String())
	}
	return out.String()
}

// field is one field of a control file.
func field(control, name string) string {
	for line := range strings.Lines(control) {
		if value, ok := strings.CutPrefix(line, name+": "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// TestLintianFindsNothing counts information as a finding too. Without --show-overrides lintian tells only of what no override
// explains, and its exit status does the same.
func TestLintianFindsNothing(t *testing.T) {
	need(t, "lintian")
	args := []string{"--allow-root", "--no-cfg", "--display-info", "--tag-display-limit", "0", "--fail-on", "error,warning,info"}
	for _, one := range shared(t) {
		args = append(args, one.File)
	}
	first := packing(t) // a changelog with one entry has rules of its own
	first.Changes.Full = []byte(strings.ReplaceAll(entryText("1.2.3~rc.1-1", "stable"), "ferry", "berth"))
	for _, one := range pack(t, first) {
		if one.Arch != "arm64" {
			args = append(args, one.File)
		}
	}
	if out, err := exec.Command("lintian", args...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("lintian: %v\n%s", err, out)
	}
}

// TestDpkgInstallsUpgradesAndPurges works in a root and an admin directory of its own.
func TestDpkgInstallsUpgradesAndPurges(t *testing.T) {
	need(t, "dpkg", "dpkg-deb")
	old := packing(t)
	old.Version.Debian = "1.2.2-1"
	before, now := pack(t, old), shared(t)
	root := t.TempDir()
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"} {
		must(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	must(t, os.WriteFile(filepath.Join(root, "var/lib/dpkg/status"), nil, 0o644))
	arch := strings.TrimSpace(run(t, root, "dpkg", "--print-architecture"))
	dpkg := func(args ...string) string {
		t.Helper()
		return run(t, root, "dpkg", append([]string{"--root=" + root, "--force-not-root", "--force-script-chrootless",
			"--no-triggers", "--log=" + root + "/dpkg.log", "--force-confold"}, args...)...)
	}
	dpkg("--install", fileOf(before, "berth", arch), fileOf(before, "berth-archive-keyring", "all"))
	conf := filepath.Join(root, "etc/containers/containers.conf.d/50-berth.conf")
	must(t, os.WriteFile(conf, []byte("# mine\n"), 0o644))
	dpkg("--install", fileOf(now, "berth", arch), fileOf(now, "berth-archive-keyring", "all"))
	if text, err := os.ReadFile(conf); err != nil || string(text) != "# mine\n" {
		t.Errorf("the administrator's change did not survive the upgrade: %q %v", text, err)
	}
	if out := run(t, root, filepath.Join(root, "usr/bin/berth")); !strings.HasPrefix(out, "standin 1.") {
		t.Errorf("the installed program says %q", out)
	}
	if status := dpkg("--status", "berth"); field(status, "Version") != "1.2.3~rc.1-1" || !strings.Contains(status, "Status: install ok installed") {
		t.Errorf("dpkg says\n%s", status)
	}
	dpkg("--verify", "berth-archive-keyring")
	dpkg("--purge", "berth", "berth-archive-keyring")
	for _, gone := range []string{"usr/bin/berth", "etc/containers", "usr/share/keyrings", "usr/share/doc/berth"} {
		if _, err := os.Lstat(filepath.Join(root, gone)); err == nil {
			t.Errorf("%s is still there after purge", gone)
		}
	}
}

func fileOf(made []Package, name, arch string) string {
	for _, one := range made {
		if one.Name == name && one.Arch == arch {
			return one.File
		}
	}
	return "no package " + name + " for " + arch
}

func TestCopyrightNamesWhatIsLinked(t *testing.T) {
	made := shared(t)
	_, data := members(t, made[0].File)
	text := contentOf(t, data, "./usr/share/doc/berth/copyright")
	stanzas, err := parseStanzas(text)
	must(t, err)
	found := map[string]string{}
	for _, s := range stanzas {
		found[s["Files"]] = strings.SplitN(s["License"], "\n", 2)[0] + " " + s["Copyright"]
	}
	for files, want := range map[string]string{
		"*":            "Apache-2.0 2026 The Berth Authors",
		"vendor/std/*": "BSD-3-clause 2009 The Go Authors",
		"vendor/github.com/opencontainers/runtime-spec/*": "Apache-2.0 2015 The Linux Foundation.",
	} {
		if found[files] != want {
			t.Errorf("Files: %s says %q, want %q in\n%s", files, found[files], want, text)
		}
	}
	_, data = members(t, made[2].File)
	if text := contentOf(t, data, "./usr/share/doc/berth-archive-keyring/copyright"); strings.Contains(text, "vendor/") {
		t.Errorf("the keyring, which holds no program, names linked modules:\n%s", text)
	}
	sources := contentOf(t, data, "./usr/share/doc/berth-archive-keyring/examples/berth.sources")
	if want := "Types: deb\nURIs: https://example.org/apt\nSuites: stable\nComponents: main\nSigned-By: /usr/share/keyrings/berth-archive-keyring.gpg\n"; sources != want {
		t.Errorf("the example is\n%s\nwant\n%s", sources, want)
	}
}

func contentOf(t *testing.T, files []tarFile, name string) string {
	t.Helper()
	for _, f := range files {
		if f.Name == name {
			return string(f.data)
		}
	}
	t.Fatalf("there is no %s", name)
	return ""
}

func TestLicenceNames(t *testing.T) {
	terms := func(path string) string {
		text, err := os.ReadFile(path)
		must(t, err)
		return string(text)
	}
	if name, err := licenceName(terms("../LICENSE")); err != nil || name != "Apache-2.0" {
		t.Errorf("our own licence is %q %v", name, err)
	}
	for text, want := range map[string]string{
		"Permission is hereby granted, free of\ncharge, to any person":           "Expat",
		"Redistribution and use in source and binary forms, with":                "BSD-2-clause",
		"Redistribution and use in source and binary forms\nNeither the name of": "BSD-3-clause",
	} {
		if name, err := licenceName(text); err != nil || name != want {
			t.Errorf("%q is %q %v, want %s", text, name, err, want)
		}
	}
	if name, err := licenceName("All rights reserved. You may look at it."); err == nil {
		t.Errorf("an unknown licence is %q", name)
	}
}

func TestPackRefuses(t *testing.T) {
	built, err := standins()
	must(t, err)
	changed := built[0]
	changed.SHA256 = strings.Repeat("0", 64)
	swapped := built[0]
	swapped.Arch = "arm64"
	for name, c := range map[string]struct {
		change   func(p *Packing)
		binaries []Certified
		words    []string
	}{
		"a changed binary":      {func(p *Packing) {}, []Certified{changed}, []string{"berth for amd64", "changed since it was certified", "hint: "}},
		"another architecture":  {func(p *Packing) {}, []Certified{swapped}, []string{"berth for arm64", "EM_X86_64"}},
		"a missing binary":      {func(p *Packing) {}, []Certified{{Binary{Command: "berth", Arch: "amd64", Path: "/nonexistent/berth"}}}, []string{"/nonexistent/berth"}},
		"no binary":             {func(p *Packing) {}, nil, []string{"cannot pack berth", "no binary for amd64 arm64"}},
		"no key":                {func(p *Packing) { p.Keyring = nil }, built, []string{"berth-archive-keyring.install line 2", "nothing made archive/"}},
		"a missing file":        {func(p *Packing) { must(t, os.Remove(filepath.Join(p.Repo, debianDir, "50-berth.conf"))) }, built, []string{"berth.install line 6", "50-berth.conf"}},
		"no packaging":          {func(p *Packing) { must(t, os.RemoveAll(filepath.Join(p.Repo, debianDir))) }, built, []string{"control"}},
		"a malformed control":   {func(p *Packing) { appendTo(t, p, "control", "\nPackage: x\n") }, built, []string{`package "x"`, "Architecture is missing"}},
		"a line without target": {func(p *Packing) { appendTo(t, p, "berth.install", "berth.1\n") }, built, []string{"berth.install line 7", "the directory it goes to"}},
		"one file twice":        {func(p *Packing) { appendTo(t, p, "berth.install", "50-berth.conf etc/containers/containers.conf.d\n") }, built, []string{"50-berth.conf"}},
		"a folder in the way":   {func(p *Packing) { p.Out = filepath.Join(p.Repo, debianDir, "control") }, built, []string{"not a directory"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := packing(t)
			p.Repo = t.TempDir()
			must(t, os.CopyFS(filepath.Join(p.Repo, debianDir), os.DirFS("debian")))
			c.change(&p)
			_, err := Pack(p, c.binaries...)
			wantError(t, err, c.words...)
		})
	}
}

func appendTo(t *testing.T, p *Packing, file, text string) {
	t.Helper()
	name := filepath.Join(p.Repo, debianDir, file)
	old, err := os.ReadFile(name)
	must(t, err)
	must(t, os.WriteFile(name, append(old, text...), 0o644))
}

func TestManualPageIsClean(t *testing.T) {
	need(t, "groff")
	cmd := exec.Command("groff", "-mandoc", "-ww", "-Tutf8", "-z", "debian/berth.1")
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("groff: %v\n%s", err, out)
	}
}

// TestManualPageTellsOfEveryVerbAndOption holds the page against the command's own help: each option in the section of its verb,
// or in that of create, which run and plan refer to.
func TestManualPageTellsOfEveryVerbAndOption(t *testing.T) {
	text, err := os.ReadFile("debian/berth.1")
	must(t, err)
	berth := filepath.Join(t.TempDir(), "berth")
	run(t, "..", "go", "build", "-o", berth, "./cmd/berth")
	type options []struct{ Long, Short string }
	var help struct {
		Options options
		Verbs   []struct {
			Name    string
			Options options
		}
	}
	must(t, json.Unmarshal([]byte(run(t, ".", berth, "help", "--json")), &help))
	if len(help.Verbs) < 10 || len(help.Options) < 5 {
		t.Fatalf("the help names %d verbs and %d options", len(help.Verbs), len(help.Options))
	}
	sections := map[string]string{}
	for section := range strings.SplitSeq(string(text), "\n.Ss ") {
		title, body, _ := strings.Cut(section, "\n")
		for name := range strings.SplitSeq(title, " , ") {
			sections[name] = body
		}
	}
	check := func(section string, all options) {
		body, told := sections[section]
		if !told {
			t.Errorf("the page has no section %q", section)
		}
		if strings.Contains(body, "options of\n.Cm create") || strings.Contains(body, "As for\n.Cm create") {
			body += sections["create"]
		}
		for _, o := range all {
			form := `(?m)^\.It (.*, )?(Fl )?-` + o.Long + `( |$)`
			if o.Short != "" {
				form = `(?m)^\.It Fl ` + o.Short + ` , (Fl )?-` + o.Long + `( |$)`
			}
			if o.Long != "help" && !regexp.MustCompile(form).MatchString(body) {
				t.Errorf("the section %s does not tell of -%s --%s", section, o.Short, o.Long)
			}
		}
	}
	check("Options before the verb", help.Options)
	for _, verb := range help.Verbs {
		check(verb.Name, verb.Options)
	}
}

func TestOwnChangelogAndControlAreRead(t *testing.T) {
	if log, err := readChangelog(".."); err != nil || len(log.entries) == 0 {
		t.Errorf("%+v %v", log, err)
	}
	if c, err := readControl(".."); err != nil || c.source != "berth" || len(c.packages) < 2 {
		t.Errorf("%+v %v", c, err)
	}
}
