package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/berth-oci/berth"

// policy is who may import what of this module, and of the few outside packages that are guarded. An importer is bound
// by every line that names it, directly or through "..." (a folder and all below it); it may import what any of these
// lines lists. What no line names may import nothing of the module. Tests are bound like the code beside them; a line
// that starts with "test" allows more to tests alone.
//
// The shape is that of Go's own go/build/deps_test.go.
const policy = `
magefiles/...            : magefiles/... release/... conformance/... aptrepo/... signing/...
release/...              : release/... conformance/... aptrepo/... signing/...
aptrepo/...              : aptrepo/... signing
signing/...              : signing/...
conformance/...          : conformance/...

cmd/berth                : runtime/container
cmd/conform              : conformance/...
cmd/aptrepo              : aptrepo/... signing/...

runtime/container        : runtime/internal/...
runtime/internal/kernel  :
runtime/internal/spec    : runtime/internal/host
runtime/internal/plan    : runtime/internal/spec runtime/internal/host runtime/internal/seccomp runtime/internal/cgroup
runtime/internal/seccomp : runtime/internal/spec runtime/internal/kernel
runtime/internal/host    : runtime/internal/kernel
runtime/internal/program : runtime/internal/...
runtime/internal/stub    : runtime/internal/...
runtime/internal/launch  : runtime/internal/...
runtime/internal/cgroup  : runtime/internal/...
runtime/internal/cgroup/dbus : runtime/internal/kernel
runtime/internal/store   : runtime/internal/...
runtime/internal/hook    : runtime/internal/...
runtime/internal/console : runtime/internal/...
runtime/internal/lsm     : runtime/internal/...
runtime/internal/idmap   : runtime/internal/...
runtime/internal/netdev  : runtime/internal/...
runtime/internal/resctrl : runtime/internal/spec

test cmd/...             : conformance/... runtime/...
test runtime/...         : runtime/... conformance/...
`

// doors are the guarded outside packages and the folders that alone may import them. In the runtime the kernel has one
// door; the programs that only drive runtimes from outside need system calls of their own.
const doors = `
golang.org/x/sys/unix                  : runtime/internal/kernel runtime/internal/stub conformance/... cmd/conform release/... aptrepo/...
github.com/goreleaser/nfpm             : release/...
github.com/ProtonMail/go-crypto        : signing/...
github.com/opencontainers/runtime-spec : runtime/... conformance/... cmd/...
github.com/magefile/mage               : magefiles/...
unsafe                                 : runtime/internal/kernel runtime/internal/stub runtime/internal/seccomp runtime/internal/launch runtime/internal/host conformance/... cmd/conform
`

// heavy must never be linked into the runtime command, which starts once per container and has about a millisecond for it.
var heavy = []string{"net/http", "crypto/tls", "text/template", "html/template", "os/user", "os/exec", "regexp", "go/ast",
	"github.com/ProtonMail/go-crypto/openpgp", "github.com/goreleaser/nfpm/v2"}

type rule struct {
	importer string
	test     bool
	allowed  []string
}

func parseRules(text string) ([]rule, error) {
	var rules []rule
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		left, right, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("cannot read policy line %q: no colon", line)
		}
		name, test := strings.CutPrefix(strings.TrimSpace(left), "test ")
		rules = append(rules, rule{strings.TrimSpace(name), test, strings.Fields(right)})
	}
	return rules, nil
}

// covers reports whether the pattern ("a/b" or "a/...") names the folder.
func covers(pattern, folder string) bool {
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return folder == tree || strings.HasPrefix(folder, tree+"/")
	}
	return pattern == folder
}

func anyCovers(patterns []string, folder string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return covers(p, folder) })
}

// edge is one import statement of one file. Files of every architecture and build tag count.
type edge struct {
	file, folder, imports string
}

func (e edge) inTest() bool { return strings.HasSuffix(e.file, "_test.go") }

func allowed(rules []rule, e edge) bool {
	target, inside := strings.CutPrefix(e.imports, module+"/")
	if !inside || target == e.folder {
		return true
	}
	for _, r := range rules {
		if (!r.test || e.inTest()) && covers(r.importer, e.folder) && anyCovers(r.allowed, target) {
			return true
		}
	}
	return false
}

// throughDoor reports whether the import is of no guarded package, or made from one of its doors. Tests may do as they like.
func throughDoor(rules []rule, e edge) bool {
	for _, r := range rules {
		guarded := e.imports == r.importer || strings.HasPrefix(e.imports, r.importer+"/")
		if guarded && !e.inTest() && !anyCovers(r.allowed, e.folder) {
			return false
		}
	}
	return true
}

func TestEveryImportFollowsThePolicy(t *testing.T) {
	rules, err := parseRules(policy)
	if err != nil {
		t.Fatal(err)
	}
	edges := moduleEdges(t)
	for _, e := range edges {
		if !allowed(rules, e) {
			t.Errorf("%s: %s may not import %s; the policy in magefiles/deps_test.go says why, or needs a new line", e.file, e.folder, e.imports)
		}
	}
}

func TestGuardedPackagesAreImportedThroughTheirDoorsOnly(t *testing.T) {
	rules, err := parseRules(doors)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range moduleEdges(t) {
		if !throughDoor(rules, e) {
			t.Errorf("%s: %s may not import %s", e.file, e.folder, e.imports)
		}
	}
}

// The policy itself is proven: each of these imports would break the house and must be refused.
func TestPolicyRefusesForbiddenImports(t *testing.T) {
	rules, _ := parseRules(policy)
	guards, _ := parseRules(doors)
	for _, e := range []edge{
		{"conformance/x.go", "conformance", module + "/runtime/container"},
		{"conformance/x_test.go", "conformance", module + "/runtime/internal/spec"},
		{"runtime/internal/spec/x.go", "runtime/internal/spec", module + "/runtime/internal/kernel"},
		{"runtime/internal/plan/x.go", "runtime/internal/plan", module + "/runtime/internal/kernel"},
		{"runtime/container/x.go", "runtime/container", module + "/release"},
		{"cmd/berth/x.go", "cmd/berth", module + "/runtime/internal/plan"},
		{"cmd/berth/x.go", "cmd/berth", module + "/conformance"},
		{"aptrepo/x.go", "aptrepo", module + "/release"},
		{"signing/x.go", "signing", module + "/aptrepo"},
		{"release/x.go", "release", module + "/magefiles/gate"},
		{"somewhere/new.go", "somewhere", module + "/signing"},
	} {
		if allowed(rules, e) {
			t.Errorf("%s may import %s", e.folder, e.imports)
		}
	}
	for _, e := range []edge{
		{"runtime/container/x.go", "runtime/container", "golang.org/x/sys/unix"},
		{"runtime/internal/plan/x.go", "runtime/internal/plan", "unsafe"},
		{"aptrepo/x.go", "aptrepo", "github.com/ProtonMail/go-crypto/openpgp"},
	} {
		if throughDoor(guards, e) {
			t.Errorf("%s may import %s", e.folder, e.imports)
		}
	}
}

func TestRuntimeCommandLinksNothingHeavy(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		for _, pkg := range linked(t, arch, "./cmd/berth") {
			if slices.Contains(heavy, pkg) {
				t.Errorf("%s: cmd/berth links %s, which costs start-up time or size; go list -deps tells through whom", arch, pkg)
			}
		}
	}
	if !slices.Contains(linked(t, "amd64", "./magefiles/gate"), "os/exec") {
		t.Error("the list of linked packages is not complete: magefiles/gate runs commands and os/exec is not listed")
	}
}

func linked(t *testing.T, arch, pkg string) []string {
	t.Helper()
	if _, err := os.Stat(filepath.Join("..", pkg)); err != nil {
		t.Skipf("%s is not there yet", pkg)
	}
	cmd := exec.Command("go", "list", "-deps", pkg)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cannot list what %s links: %v", pkg, err)
	}
	return strings.Fields(string(out))
}

// Another project can use these folders as they are: nothing in them knows this project's name, but for the one file
// that configures the release.
func TestReusablePackagesDoNotKnowTheProjectsName(t *testing.T) {
	exempt := []string{"release/config.go"}
	checked := 0
	eachGoFile(t, func(file string) {
		folder, _, _ := strings.Cut(file, "/")
		if !slices.Contains([]string{"release", "aptrepo", "signing", "conformance"}, folder) ||
			slices.Contains(exempt, file) || strings.HasSuffix(file, "_test.go") {
			return
		}
		checked++
		src, err := os.ReadFile(filepath.Join("..", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range mentions(file, src, "berth") {
			t.Errorf("%s: the project's name belongs in release/config.go", at)
		}
	})
	if checked == 0 {
		t.Skip("none of the reusable folders is there yet")
	}
}

func TestNameIsFoundInCodeAndCommentsButNotInImports(t *testing.T) {
	src := "package x\n\nimport \"" + module + "/signing\"\n\nconst a = \"/var/lib/Berth\"\n\n// of berth\nvar Unberthed = signing.X\n"
	got := mentions("x.go", []byte(src), "berth")
	want := []string{"x.go:5", "x.go:7", "x.go:8"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// mentions returns "file:line" of every token, comments included, that holds the word in any case, import paths of this
// module aside.
func mentions(file string, src []byte, word string) []string {
	var at []string
	var s scanner.Scanner
	set := token.NewFileSet()
	f := set.AddFile(file, set.Base(), len(src))
	s.Init(f, src, nil, scanner.ScanComments)
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			return at
		}
		if p, err := strconv.Unquote(lit); err == nil && strings.HasPrefix(p, module+"/") {
			continue
		}
		if strings.Contains(strings.ToLower(lit), word) {
			at = append(at, fmt.Sprintf("%s:%d", file, f.Line(pos)))
		}
	}
}

func moduleEdges(t *testing.T) []edge {
	t.Helper()
	var edges []edge
	eachGoFile(t, func(file string) {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", file), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			edges = append(edges, edge{file, path.Dir(file), importPath(t, spec)})
		}
	})
	if len(edges) == 0 {
		t.Fatal("no import was found: the policy was not checked")
	}
	return edges
}

func importPath(t *testing.T, spec *ast.ImportSpec) string {
	t.Helper()
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// eachGoFile calls visit with the path, relative to the module's root, of every Go file of the module.
func eachGoFile(t *testing.T, visit func(file string)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(".."), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != "." && (d.Name() == "testdata" || d.Name() == "dist" || strings.HasPrefix(d.Name(), ".")) {
			return fs.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(p, ".go") {
			visit(p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
