package container

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestAttacksAreDocumented keeps docs/attacks.md true: the tests it names exist, and the attack tests here are named.
func TestAttacksAreDocumented(t *testing.T) {
	const root = "../.."
	page, err := os.ReadFile(filepath.Join(root, "docs/attacks.md"))
	if os.IsNotExist(err) {
		t.Skip("the documentation is not beside the test")
	}
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, m := range regexp.MustCompile(`(?:([a-z/]+):)?(Test[A-Z][A-Za-z0-9]+)`).FindAllStringSubmatch(string(page), -1) {
		folder := m[1]
		if folder == "" {
			folder = "runtime/container"
			named = append(named, m[2])
		}
		if !slices.Contains(testsIn(t, filepath.Join(root, folder)), m[2]) {
			t.Errorf("docs/attacks.md names %s of %s, which does not exist", m[2], folder)
		}
	}
	for _, name := range testsIn(t, ".") {
		if strings.HasPrefix(name, "TestAttack") && name != "TestAttacksAreDocumented" && !slices.Contains(named, name) {
			t.Errorf("docs/attacks.md does not name %s", name)
		}
	}
}

func testsIn(t *testing.T, folder string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(b), -1) {
			names = append(names, m[1])
		}
	}
	return names
}
