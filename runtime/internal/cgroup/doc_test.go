package cgroup

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEffectsAreShownByTestsThatExist keeps the names in docs/resources.md true.
func TestEffectsAreShownByTestsThatExist(t *testing.T) {
	const root = "../../../"
	document, err := os.ReadFile(root + "docs/resources.md")
	if err != nil {
		t.Skip("only beside the documents")
	}
	_, effects, _ := strings.Cut(string(document), "\n## Effects\n")
	known := ""
	for _, dir := range []string{"runtime/internal/cgroup", "runtime/container", "cmd/berth", "cmd/berth/testdata/script"} {
		files, err := filepath.Glob(root + dir + "/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			known += "`" + filepath.Base(name) + "`\n"
			if strings.HasSuffix(name, "_test.go") {
				text, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				known += string(text)
			}
		}
	}
	names := regexp.MustCompile("`(Test[A-Za-z]+|[a-z-]+\\.txtar)`").FindAllString(effects, -1)
	if len(names) < 10 {
		t.Errorf("only %d tests are named", len(names))
	}
	for _, name := range names {
		if bare := strings.Trim(name, "`"); !strings.Contains(known, "func "+bare+"(") && !strings.Contains(known, name+"\n") {
			t.Errorf("%s is not there", bare)
		}
	}
}
