package plan_test

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
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

var update = flag.Bool("update", false, "write the plans that are expected")

// base is the smallest config; a golden file's config.json is merged into it as RFC 7396 says.
const base = `{
	"ociVersion": "1.3.0",
	"root": {"path": "rootfs"},
	"process": {"args": ["/bin/true"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
	"linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]}
}`

// TestCreatePlansAsExpected compares the plan of each file in testdata/create with the one that stands in it. The first words
// of a file say what feature it is about; a line "host: oldest" or "without: FEATURE…" chooses another machine, a line
// "flags: …" sets inputs.
func TestCreatePlansAsExpected(t *testing.T) {
	each(t, "create", func(t *testing.T, a *archive) string {
		s, err := resolve(t, a.file("config.json"), a.host(t))
		var p *plan.Plan
		if err == nil {
			p, err = plan.Create(&s, inputs(&s, a.host(t), a))
		}
		if err != nil {
			return "error: " + err.Error() + "\n"
		}
		checkLowers(t, p)
		return p.String()
	})
}

// TestExecPlansAsExpected does so for further processes of a container.
func TestExecPlansAsExpected(t *testing.T) {
	each(t, "exec", func(t *testing.T, a *archive) string {
		process, err := spec.ParseProcess(string(a.file("process.json")))
		if err != nil {
			t.Fatal(err)
		}
		resolved, err := spec.ResolveProcess(process)
		if err != nil {
			t.Fatal(err)
		}
		in := plan.ExecInputs{Inputs: plan.Inputs{ID: "c1", Host: a.host(t), Grantable: ^uint64(0)}, Kinds: a.kinds(t), Session: a.setting("session")}
		if f := a.setting("tasks"); f != "" {
			in.Tasks = strings.Fields(f)
		}
		p := plan.Join(&resolved, in)
		checkLowers(t, p)
		return p.String()
	})
}

// TestHookPlansAsExpected does so for hooks in the container's namespaces.
func TestHookPlansAsExpected(t *testing.T) {
	each(t, "hook", func(t *testing.T, a *archive) string {
		var h spec.Hook
		if err := json.Unmarshal(a.file("hook.json"), &h); err != nil {
			t.Fatal(err)
		}
		p := plan.JoinHook(&h, plan.ExecInputs{Inputs: plan.Inputs{ID: "c1", Host: a.host(t)}, Kinds: a.kinds(t)})
		checkLowers(t, p)
		return p.String()
	})
}

// TestMountsPlansAsExpected does so for mounts that come and go.
func TestMountsPlansAsExpected(t *testing.T) {
	each(t, "mounts", func(t *testing.T, a *archive) string {
		s, err := resolve(t, a.file("mounts.json"), a.host(t))
		if err != nil {
			t.Fatal(err)
		}
		in := plan.ExecInputs{Inputs: plan.Inputs{ID: "c1", Host: a.host(t), Sources: map[int]plan.Source{0: {Dir: true}}}, Kinds: a.kinds(t)}
		var away []string
		for _, m := range s.Mounts {
			away = append([]string{m.Destination}, away...)
		}
		text := ""
		for _, p := range []*plan.Plan{plan.AddMounts(s.Mounts, s.Linux.MountLabel, in), plan.RemoveMounts(away, in)} {
			checkLowers(t, p)
			text += p.String()
		}
		return text
	})
}

// each runs a test for each file of a folder, and compares or, with -update, writes its plan.
func each(t *testing.T, folder string, planOf func(*testing.T, *archive) string) {
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files in %s: %v", folder, err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			parsed, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			a := &archive{parsed}
			got := planOf(t, a)
			if *update {
				a.replace("plan", got)
				if err := os.WriteFile(name, txtar.Format(parsed), 0644); err != nil {
					t.Fatal(err)
				}
			}
			if want := string(a.file("plan")); got != want {
				t.Errorf("the plan is\n%s\nexpected\n%s", got, want)
			}
		})
	}
}

// archive is one golden file.
type archive struct{ *txtar.Archive }

func (a *archive) file(name string) []byte {
	for _, f := range a.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

func (a *archive) replace(name, text string) {
	for i := range a.Files {
		if a.Files[i].Name == name {
			a.Files[i].Data = []byte(text)
			return
		}
	}
	a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(text)})
}

// setting reads a "name: value" line of the file's head.
func (a *archive) setting(name string) string {
	for line := range strings.Lines(string(a.Comment)) {
		if v, ok := strings.CutPrefix(line, name+": "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func (a *archive) host(t *testing.T) host.Host {
	h := host.Modern()
	if a.setting("host") == "oldest" {
		h = host.Oldest()
	}
	h.LSM = host.LSM{Apparmor: a.setting("lsm") == "apparmor", Selinux: a.setting("lsm") == "selinux"}
	h, err := h.Without(strings.Fields(a.setting("without"))...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (a *archive) kinds(t *testing.T) (list []spec.Kind) {
	for _, name := range strings.Fields(a.setting("namespaces")) {
		k, ok := spec.KindOf(name)
		if !ok {
			t.Fatalf("no namespace is called %q", name)
		}
		list = append(list, k)
	}
	return list
}

// resolve merges a fragment into the base. Its error is the refusal of a config that reads well.
func resolve(t *testing.T, fragment []byte, h host.Host) (spec.Spec, error) {
	t.Helper()
	var whole, patch map[string]any
	for text, into := range map[string]*map[string]any{base: &whole, string(fragment): &patch} {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if err := d.Decode(into); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(merge(whole, patch))
	if err != nil {
		t.Fatal(err)
	}
	raw, unknown, err := spec.Parse(string(text))
	if err != nil || len(unknown) > 0 {
		t.Fatalf("unknown %q: %v", unknown, err)
	}
	if err := spec.Refusal(spec.Validate(raw, h)); err != nil {
		return spec.Spec{}, err
	}
	return spec.Resolve(raw, "/bundle")
}

// merge is RFC 7396.
func merge(to, patch map[string]any) map[string]any {
	to = maps.Clone(to)
	for k, v := range patch {
		inner, isObject := v.(map[string]any)
		was, wasObject := to[k].(map[string]any)
		switch {
		case v == nil:
			delete(to, k)
		case isObject && wasObject:
			to[k] = merge(was, inner)
		default:
			to[k] = v
		}
	}
	return to
}

// inputs stands in for the look at the disk: a source whose name has a dot is a file, any other a folder.
func inputs(s *spec.Spec, h host.Host, a *archive) plan.Inputs {
	in := plan.Inputs{ID: "c1", Host: h, Sources: map[int]plan.Source{}, CgroupViews: map[int][]plan.View{}, Grantable: ^uint64(0)}
	for _, m := range s.Mounts {
		if m.IsBind {
			in.Sources[m.Index] = plan.Source{Dir: !strings.Contains(path.Base(m.Source), ".")}
		}
		if m.Type == "cgroup" {
			in.CgroupViews[m.Index] = views(m)
		}
	}
	if s.Linux.Seccomp != nil {
		in.Filter, in.Listener = make([]byte, 5*8), s.Linux.Seccomp.ListenerPath != ""
	}
	if a == nil {
		return in
	}
	in.Home = a.setting("home")
	if tasks := a.setting("tasks"); tasks != "" {
		in.Tasks = strings.Fields(tasks)
	}
	for _, f := range strings.Fields(a.setting("flags")) {
		switch f {
		case "at-once":
			in.AtOnce = true
		case "no-pivot":
			in.NoPivot = true
		case "no-new-keyring":
			in.NoNewKeyring = true
		case "listen-fds":
			in.ListenFDs, in.Preserve = 2, 2
		}
	}
	return in
}

// views is a cgroup mount as a machine with version 1 shows it: a tmpfs, a hierarchy and a link.
func views(m spec.Mount) []plan.View {
	var list []plan.View
	for _, v := range []plan.View{{}, {Link: ""}, {Link: "cpu,cpuacct"}} {
		v.Mount = m
		list = append(list, v)
	}
	list[0].Type, list[0].Source = "tmpfs", "tmpfs"
	list[1].IsBind, list[1].Type, list[1].Source, list[1].Destination = true, "bind", "/sys/fs/cgroup/cpu,cpuacct/c1", m.Destination+"/cpu,cpuacct"
	list[2].Destination = m.Destination + "/cpu"
	return list
}

// checkLowers wants every plan to have a program.
func checkLowers(t *testing.T, p *plan.Plan) {
	t.Helper()
	prog, err := program.Lower(p)
	if err != nil {
		t.Fatalf("no program for the plan: %v", err)
	}
	if prog.Len() == 0 || prog.Image.Size() == 0 {
		t.Fatal("the program is empty")
	}
}
