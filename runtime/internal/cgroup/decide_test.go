package cgroup

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

var rewrite = flag.Bool("update", false, "rewrite the golden files")

// worlds are hosts as their /proc files show them.
func worlds(t *testing.T) map[string]Host {
	t.Helper()
	out := map[string]Host{}
	for _, name := range []string{"v1", "hybrid", "v2", "nested"} {
		mounts, err := os.ReadFile("testdata/" + name + ".mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		own, err := os.ReadFile("testdata/" + name + ".cgroup")
		if err != nil {
			t.Fatal(err)
		}
		h := Parse(mounts, own)
		for i := range h.Hierarchies {
			if h.Hierarchies[i].Version == 2 {
				controllers, err := os.ReadFile("testdata/" + name + ".controllers")
				if err != nil {
					t.Fatal(err)
				}
				h.Hierarchies[i].Controllers = strings.Fields(string(controllers))
			}
		}
		out[name] = h
	}
	return out
}

// golden compares got with testdata/NAME, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (run with -update to accept):\n%s", file, got)
	}
}

func TestLayoutsPrintWhatIsDone(t *testing.T) {
	configs, err := filepath.Glob("testdata/*.json")
	if err != nil || len(configs) == 0 {
		t.Fatalf("no configs: %v", err)
	}
	for _, file := range configs {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var c struct {
			CgroupsPath string
			Systemd     bool
			Rootless    bool
			Resources   *specs.LinuxResources
			Annotations map[string]string
		}
		if err := json.Unmarshal(b, &c); err != nil {
			t.Fatal(err)
		}
		out := ""
		for _, world := range []string{"v1", "hybrid", "v2", "nested"} {
			h := worlds(t)[world]
			h.Rootless = c.Rootless
			l, err := Decide(Request{ID: "box", CgroupsPath: c.CgroupsPath, Systemd: c.Systemd, Resources: c.Resources, Annotations: c.Annotations, Host: h})
			got := l.String()
			for _, w := range l.Warnings {
				got += "warning: " + w + "\n"
			}
			if err != nil {
				got = "error: " + err.Error() + "\n"
			}
			out += "# " + world + "\n" + got
		}
		golden(t, strings.TrimSuffix(filepath.Base(file), ".json")+".golden", out)
	}
}
