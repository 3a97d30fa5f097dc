package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestComparisonIsRelativeToTheFirst(t *testing.T) {
	times := func(ms ...int) (all []time.Duration) {
		for _, m := range ms {
			all = append(all, time.Duration(m)*time.Millisecond)
		}
		return all
	}
	var b strings.Builder
	err := Write(&b, []Result{{Contender{"a", ""}, "1", times(8, 10, 30)}, {Contender{"b", ""}, "2", times(20, 25, 26)}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| a | 1 | 10.0 ms | 8.0 ms | 30.0 ms | 1.00 |", "| b | 2 | 25.0 ms | 20.0 ms | 26.0 ms | 2.50 |"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no line %q in\n%s", want, b.String())
		}
	}
}

func TestBundleRunsTrueWithoutTerminal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(`{"ociVersion":"1.3.0","process":{"terminal":true,"args":["sh"],"cwd":"/"}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := withoutTerminal(path, []string{"/bin/true"}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"ociVersion":"1.3.0","process":{"args":["/bin/true"],"cwd":"/","terminal":false}}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if err := os.WriteFile(path, []byte(`{}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := withoutTerminal(path, []string{"/bin/true"}); err == nil {
		t.Error("a configuration without process was accepted")
	}
}

func TestSectionIsReplacedInItsPlace(t *testing.T) {
	var b strings.Builder
	if err := WriteStats(&b, 500, []Sampling{{"table", 70 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond, 11264}}); err != nil {
		t.Fatal(err)
	}
	const first, last = "# Resources\n\n| a |\n", "\n## Another\n\ntext\n"
	once := ReplaceSection(first, StatsHeading, b.String())
	if !strings.HasPrefix(once, first+"\n"+StatsHeading) || !strings.Contains(once, "| table | 70.0 ms | 100.0 ms | 300.0 ms | 11.0 MiB |") {
		t.Errorf("a new section:\n%s", once)
	}
	if again := ReplaceSection(once+last, StatsHeading, b.String()); again != once+last {
		t.Errorf("a section that is there:\n%s", again)
	}
}
