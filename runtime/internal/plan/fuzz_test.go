package plan_test

import (
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/berth-oci/berth/runtime/internal/host"
	"github.com/berth-oci/berth/runtime/internal/plan"
	"github.com/berth-oci/berth/runtime/internal/program"
	"github.com/berth-oci/berth/runtime/internal/spec"
)

// FuzzCreate makes plans and programs of any config that is accepted: none may panic, none may name a path that is not
// absolute and cleaned, so that each is resolved below the root, and each plan must have a program.
func FuzzCreate(f *testing.F) {
	for _, text := range seeds(f) {
		f.Add(text, false)
		f.Add(text, true)
	}
	f.Fuzz(func(t *testing.T, config string, old bool) {
		h := host.Modern()
		if old {
			h = host.Oldest()
		}
		raw, _, err := spec.Parse(config)
		if err != nil || spec.Refusal(spec.Validate(raw, h)) != nil {
			return
		}
		s, err := spec.Resolve(raw, "/bundle")
		if err != nil {
			t.Fatalf("a config without findings does not resolve: %v", err)
		}
		p, err := plan.Create(&s, inputs(&s, h, nil))
		if err != nil {
			return
		}
		checkPaths(t, p)
		checkOrder(t, p)
		prog, err := program.Lower(p)
		if err != nil {
			t.Fatalf("no program for the plan: %v", err)
		}
		if most := bound(config); prog.Image.Size() > most {
			t.Errorf("the program of %d bytes of config has %d bytes, more than %d", len(config), prog.Image.Size(), most)
		}
	})
}

// seeds are the whole configs of the golden files, and the example.
func seeds(f *testing.F) (list []string) {
	files, err := filepath.Glob("testdata/create/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatalf("no golden files: %v", err)
	}
	for _, name := range files {
		a, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		var whole, patch map[string]any
		for text, into := range map[string]*map[string]any{base: &whole, string((&archive{a}).file("config.json")): &patch} {
			if err := json.Unmarshal([]byte(text), into); err != nil {
				f.Fatal(err)
			}
		}
		list = append(list, marshal(f, merge(whole, patch)))
	}
	return append(list, marshal(f, spec.Example(false, 0, 0)), marshal(f, spec.Example(true, 1000, 1000)))
}

func marshal(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// bound is the size that a config's program may have: the fixed part, and for each part of a path a dozen operations with
// the path's beginning, which makes deep paths dear. A path is no longer than PATH_MAX.
func bound(config string) int {
	const fixed, perSlash = 64 << 10, 8 << 10
	return fixed + 4096*8 + len(config)*64 + strings.Count(config, "/")*perSlash
}

// checkPaths wants every path in the container absolute and cleaned.
func checkPaths(t *testing.T, p *plan.Plan) {
	t.Helper()
	for _, step := range p.Steps {
		for _, name := range pathsOf(step) {
			if !strings.HasPrefix(name, "/") || path.Clean(name) != name || strings.Contains(name, "\x00") {
				t.Errorf("step %q: the path %q is not absolute and cleaned", step, name)
			}
		}
	}
}

// pathsOf are the paths of a step that lie in the container.
func pathsOf(step plan.Step) []string {
	switch s := step.(type) {
	case plan.MountFS:
		return []string{s.Destination}
	case plan.Bind:
		return []string{s.Destination}
	case plan.Remount:
		return []string{s.Destination}
	case plan.Device:
		return []string{s.Path}
	case plan.Symlink:
		return []string{s.Path}
	case plan.Mask:
		return []string{s.Path}
	case plan.Protect:
		return []string{s.Path}
	case plan.MakeCwd:
		return []string{s.Path}
	case plan.Chdir:
		return []string{s.Path}
	}
	return nil
}

// checkOrder wants what every plan must keep to, whatever the config says: descriptors are closed first; what needs the
// host's proc comes before the root changes; privileges go before the program; the program is last.
func checkOrder(t *testing.T, p *plan.Plan) {
	t.Helper()
	at := map[string]int{}
	for i, step := range p.Steps {
		name := fmt.Sprintf("%T", step)
		if b, ok := step.(plan.Barrier); ok {
			name = "barrier " + string(b.Name)
		}
		at[name] = i
	}
	if _, ok := p.Steps[0].(plan.Harden); !ok {
		t.Errorf("the first step is %q", p.Steps[0])
	}
	last := len(p.Steps) - 1
	for _, pair := range [][2]string{
		{"plan.Sysctl", "plan.OpenRoot"}, {"plan.Label", "plan.OpenRoot"}, {"plan.MountFS", "plan.Pivot"}, {"plan.Bind", "plan.Pivot"},
		{"plan.Device", "plan.Pivot"}, {"plan.Mask", "plan.Pivot"}, {"plan.Pivot", "plan.LimitCapabilities"},
		{"plan.LimitCapabilities", "plan.SetUser"}, {"plan.SetUser", "plan.SetCapabilities"}, {"plan.SetUser", "barrier ready"},
		{"barrier hooks", "plan.Pivot"}, {"barrier ready", "plan.AwaitStart"}, {"plan.AwaitStart", "plan.Exec"},
		{"plan.SetCapabilities", "plan.Exec"}, {"plan.Seccomp", "plan.Exec"},
	} {
		first, hasFirst := at[pair[0]]
		second, hasSecond := at[pair[1]]
		if hasFirst && hasSecond && first > second {
			t.Errorf("%s comes after %s", pair[0], pair[1])
		}
	}
	if i, ok := at["plan.Exec"]; ok && i != last {
		t.Errorf("step %q comes after the program", p.Steps[last])
	}
}

// TestOversizeConfigsStayBounded: thousands of everything make a program that grows no faster than the config.
func TestOversizeConfigsStayBounded(t *testing.T) {
	const many = 2000
	repeat := func(format string) string {
		parts := make([]string, many)
		for i := range parts {
			parts[i] = fmt.Sprintf(format, i)
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	for name, fragment := range map[string]string{
		"mounts":      `{"mounts": ` + repeat(`{"destination": "/m/%d", "source": "tmpfs", "type": "tmpfs"}`) + `}`,
		"masked":      `{"linux": {"maskedPaths": ` + repeat(`"/m/%d"`) + `}}`,
		"args":        `{"process": {"args": ` + repeat(`"argument %d"`) + `}}`,
		"environment": `{"process": {"env": ` + repeat(`"A%d=b"`) + `}}`,
		"groups":      `{"process": {"user": {"additionalGids": ` + repeat(`%d`) + `}}}`,
		"path":        `{"process": {"args": ["x"], "env": ["PATH=` + strings.Repeat("/a:", many) + `"]}}`,
		"deep":        `{"mounts": [{"destination": "` + strings.Repeat("/d", many) + `", "source": "tmpfs", "type": "tmpfs"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			s, err := resolve(t, []byte(fragment), host.Modern())
			if err != nil {
				t.Fatal(err)
			}
			p, err := plan.Create(&s, inputs(&s, host.Modern(), nil))
			if err != nil {
				t.Fatal(err)
			}
			prog, err := program.Lower(p)
			if err != nil {
				t.Fatal(err)
			}
			if most := bound(fragment); prog.Image.Size() > most {
				t.Errorf("%d bytes of config make a program of %d bytes, more than %d", len(fragment), prog.Image.Size(), most)
			}
		})
	}
}
