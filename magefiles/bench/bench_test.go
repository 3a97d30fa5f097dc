package bench

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestComparisonIsRelativeToEachPeer(t *testing.T) {
	times := func(ms ...int) (all []time.Duration) {
		for _, m := range ms {
			all = append(all, time.Duration(m)*time.Millisecond)
		}
		return all
	}
	c := Comparison{
		Contenders: []Contender{{"a", "", "a 1"}, {"b", "", "b 2"}, {"c", "", "c 3"}},
		Rows:       []Row{{"run", 3, [][]time.Duration{times(8, 10, 30), times(20, 25, 26), times(39, 40, 90)}}},
		Figures:    []Figure{{"size", []int64{4096, 8192, -1}}},
	}
	var b strings.Builder
	if err := c.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"a (a 1), b (b 2), c (c 3)", "|  | rounds | a | b | c | a / b | a / c |\n| --- | --- | --- | --- | --- | --- | --- |\n",
		"| run | 3 | 10.0 ms | 25.0 ms | 40.0 ms | 0.40 | 0.25 |", "|  | a | b | c |\n| --- | --- | --- | --- |\n| size | 4 KiB | 8 KiB | none |",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestSetMakesWhatIsMissingBelowWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	if err := os.WriteFile(path, []byte(`{"process":{"terminal":true},"linux":{"x":1}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	err := edit(dir, func(config map[string]any) error {
		return errors.Join(set(config, false, "process", "terminal"), set(config, 4096, "linux", "resources", "memory", "limit"))
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"linux":{"resources":{"memory":{"limit":4096}},"x":1},"process":{"terminal":false}}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if err := edit(dir, func(config map[string]any) error { return set(config, 1, "windows", "x") }); err == nil {
		t.Error("a configuration without the first name was accepted")
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
