package spec

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestParseReadsWhatEncodingJSONReads(t *testing.T) {
	files, err := filepath.Glob("testdata/*/config.json")
	if err != nil || len(files) < 2 {
		t.Fatalf("testdata holds %d configs (%v)", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sameAsEncodingJSON(t, file, string(text))
	}
}

// sameAsEncodingJSON is the reader's promise: what it accepts, it understands as the standard library does.
func sameAsEncodingJSON(t *testing.T, name, text string) {
	t.Helper()
	got, unknown, err := Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if len(unknown) > 0 {
		t.Fatalf("%s: unknown members %v", name, unknown)
	}
	var want specs.Spec
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatalf("%s: encoding/json refuses what Parse accepts: %v", name, err)
	}
	if !reflect.DeepEqual(*got, want) {
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(want)
		t.Errorf("%s: Parse reads\n%s\nencoding/json reads\n%s", name, a, b)
	}
}

// Every field of runtime-spec's types that is not another platform's must be one the reader knows: a value with all of them
// set goes out through encoding/json and comes back through Parse.
func TestParseKnowsEveryFieldOfTheSpecification(t *testing.T) {
	var full specs.Spec
	fill(reflect.ValueOf(&full).Elem(), 1)
	text, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	got, unknown, err := Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(unknown) != 0 {
		t.Errorf("the reader does not know %v", unknown)
	}
	if !reflect.DeepEqual(*got, full) {
		a, _ := json.MarshalIndent(got, "", " ")
		b, _ := json.MarshalIndent(full, "", " ")
		t.Errorf("read\n%s\nwrote\n%s", a, b)
	}
}

// fill sets every field that belongs to Linux to something that is not its zero value.
func fill(v reflect.Value, n int) int {
	switch v.Kind() {
	case reflect.String:
		v.SetString("s" + strings.Repeat("x", n%7))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(n))
	case reflect.Uint, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(n))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			n = fill(v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		e := reflect.New(v.Type().Elem()).Elem()
		n = fill(e, n)
		v.SetMapIndex(reflect.ValueOf("k"), e)
	case reflect.Struct:
		for i := range v.NumField() {
			if p := v.Type().Field(i).Tag.Get("platform"); p == "" || strings.Contains(p, "linux") {
				n = fill(v.Field(i), n)
			}
		}
	}
	return n + 1
}

func minimal(insert string) string {
	return `{"ociVersion":"1.3.0","root":{"path":"r"}` + insert + `}`
}

func TestParseNamesTheJSONPath(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{}`, `ociVersion: is missing, and the specification requires it`},
		{`{"ociVersion":"1.0.0"}`, `root: is missing`},
		{minimal(`,"root":{"path":"x"}`), `root: is given twice`},
		{minimal(`,"process":{"cwd":"/","args":["a",1]}`), `process.args[1]: is a number, must be a string`},
		{minimal(`,"process":{"cwd":"/","args":["a",null]}`), `process.args[1]: is null, must be a string`},
		{minimal(`,"process":{"cwd":"/","args":"sh"}`), `process.args: is a string, must be an array of strings`},
		{minimal(`,"process":{"cwd":"/","env":["A=\u0000"]}`), `process.env[0]: holds a NUL byte`},
		{minimal(`,"process":{}`), `process.cwd: is missing`},
		{minimal(`,"process":{"cwd":"/","user":{"uid":-1}}`), `process.user.uid: is -1, must not be negative`},
		{minimal(`,"process":{"cwd":"/","user":{"uid":4294967296}}`), `process.user.uid: is 4294967296, out of range: at most 4294967295`},
		{minimal(`,"process":{"cwd":"/","user":{"uid":1.5}}`), `process.user.uid: is 1.5, must be a whole number`},
		{minimal(`,"process":{"cwd":"/","user":{"uid":"0"}}`), `process.user.uid: is a string, must be a whole number`},
		{minimal(`,"process":{"cwd":"/","oomScoreAdj":99999999999999999999}`), `process.oomScoreAdj: is 99999999999999999999, out of range`},
		{minimal(`,"process":{"cwd":"/","rlimits":[{"type":"RLIMIT_CORE","soft":1}]}`), `process.rlimits[0].hard: is missing`},
		{minimal(`,"mounts":[{}]`), `mounts[0].destination: is missing`},
		{minimal(`,"mounts":[null]`), `mounts[0]: is null, must be an object`},
		{minimal(`,"linux":{"sysctl":{"a b\n":1}}`), `linux.sysctl["a b\n"]: is a number, must be a string`},
		{minimal(`,"linux":{"sysctl":{"\u0000":"1"}}`), `has a NUL byte in its name`},
		{minimal(`,"linux":{"sysctl":{"a":"1","\u0061":"2"}}`), `linux.sysctl.a: is given twice`},
		{minimal(`,"linux":{"seccomp":{"defaultAction":"x","syscalls":[{"names":["a"],"action":"y","args":[{"index":0}]}]}}`), `linux.seccomp.syscalls[0].args[0].value: is missing`},
		{minimal(`,"hooks":{"poststop":[{"path":"/x","timeout":true}]}`), `hooks.poststop[0].timeout: is a boolean, must be a whole number`},
		{minimal(`,"annotations":["a"]`), `annotations: is an array, must be an object`},
		{minimal(``) + `x`, `invalid JSON: found 'x' after the end`},
		{minimal(`,`), `where a key must be`},
		{minimal(`,"process":{"cwd":"/`), `a string does not end`},
		{minimal(`,"hostname":"` + "\xff" + `"`), `a string is not UTF-8`},
		{minimal(`,"hostname":"\ud800"`), `broken \u escape`},
		{minimal(`,"hostname":"` + "\n" + `"`), `control character 0x0a in a string`},
		{minimal(`,"process":{"cwd":"/","user":{"uid":01}}`), `invalid JSON`},
		{`[]`, `is an array, must be an object`},
		{``, `found the end of the file where an object must be`},
		{minimal(`,"x":` + strings.Repeat("[", 200) + strings.Repeat("]", 200)), `is nested deeper than 128 levels`},
	} {
		_, _, err := Parse(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Parse(%.120s) = %v, want …%s…", c.text, err, c.want)
		}
	}
}

func TestParseIgnoresUnknownMembersAndOtherPlatforms(t *testing.T) {
	s, unknown, err := Parse(minimal(`,"future":{"a":[1,-2.5e3,true,false,null,{"b":"\u0000"}]},"windows":{"layerFolders":[]},"process":{"cwd":"/","commandLine":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"future", "windows", "process.commandLine"}; !reflect.DeepEqual(unknown, want) {
		t.Errorf("unknown = %v, want %v", unknown, want)
	}
	if s.Windows != nil || s.Process.CommandLine != "" {
		t.Error("another platform's property was read")
	}
}

func TestParseTreatsNullAsAbsent(t *testing.T) {
	s, _, err := Parse(minimal(`,"process":null,"linux":{"seccomp":null,"maskedPaths":null,"sysctl":null,"cgroupsPath":null},"hostname":null,"mounts":null`))
	if err != nil {
		t.Fatal(err)
	}
	if s.Process != nil || s.Mounts != nil || s.Linux.Seccomp != nil || s.Linux.MaskedPaths != nil || s.Linux.Sysctl != nil {
		t.Errorf("null left a value: %+v", s)
	}
}

func TestLoadNamesTheFileAndRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config.json")
	check := func(want string) {
		t.Helper()
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
			t.Errorf("Load = %v, want %q and the file's name", err, want)
		}
	}
	check("no such file or directory")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	check("not a regular file")
	os.Remove(file)
	os.WriteFile(file, []byte(`{"ociVersion":1}`), 0o600)
	check("ociVersion: is a number, must be a string")
	os.WriteFile(file, nil, 0o600)
	if err := os.Truncate(file, MaxConfig+1); err != nil {
		t.Fatal(err)
	}
	check("16777217 bytes are more than the 16777216 that are accepted")
	os.WriteFile(file, []byte(minimal("")), 0o600)
	if _, err := Load(dir); err != nil {
		t.Error(err)
	}
}

// ATTACKS family 16: whatever fits in the file is either read whole or refused, within bounded memory.
func TestOversizeConfigsAreBounded(t *testing.T) {
	repeat := func(s string, n int) string { return strings.TrimSuffix(strings.Repeat(s+",", n), ",") }
	fit := func(s string) int { return (MaxConfig - 200) / (len(s) + 1) }
	for _, c := range []struct{ name, text, want string }{
		{"100,000 mounts", minimal(`,"mounts":[` + repeat(`{"destination":"/a"}`, 100_000) + `]`), ""},
		{"100,001 mounts", minimal(`,"mounts":[` + repeat(`{"destination":"/a"}`, 100_001) + `]`), "mounts[100000]: is more than the 100000 entries"},
		{"a million env entries", minimal(`,"process":{"cwd":"/","env":[` + repeat(`""`, 1_000_000) + `]}`), ""},
		{"empty mounts", minimal(`,"mounts":[` + repeat(`{}`, fit(`{}`)) + `]`), "mounts[0].destination: is missing"},
		{"empty strings", minimal(`,"process":{"cwd":"/","args":[` + repeat(`""`, fit(`""`)) + `]}`), "more than 1048576 values"},
		{"many seccomp args", minimal(`,"linux":{"seccomp":{"defaultAction":"a","syscalls":[` + repeat(`{"names":[],"action":"","args":[`+repeat(`{"index":0,"value":0,"op":""}`, 10)+`]}`, 40_000) + `]}}`), "more than 1048576 values"},
		{"unknown arrays", minimal(`,"x":[` + repeat(`[]`, fit(`[]`)) + `]`), "more than 1048576 values"},
		{"deep", minimal(`,"x":` + strings.Repeat(`{"a":`, 3_000_000)), "deeper than 128 levels"},
		{"one long string", minimal(`,"hostname":"` + strings.Repeat("a", MaxConfig-100) + `"`), ""},
		{"one long escaped string", minimal(`,"hostname":"` + strings.Repeat(`\n`, MaxConfig/2-100) + `"`), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _, err := Parse(c.text)
			runtime.ReadMemStats(&after)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %.300v, want %q", err, c.want)
			}
			if spent := after.TotalAlloc - before.TotalAlloc; spent > 256<<20 {
				t.Errorf("reading %d bytes allocated %d", len(c.text), spent)
			}
		})
	}
	var keys strings.Builder
	for i := range 200_000 {
		keys.WriteString(`"` + strings.Repeat("k", 1+i%3) + string(rune('a'+i%26)) + json.Number(itoa(i)).String() + `":"",`)
	}
	if _, _, err := Parse(minimal(`,"annotations":{` + strings.TrimSuffix(keys.String(), ",") + `}`)); err != nil {
		t.Error(err)
	}
}

func itoa(i int) string {
	b, _ := json.Marshal(i)
	return string(b)
}

func FuzzLoad(f *testing.F) {
	for _, c := range validateCases { // small ones: whole configs make a fuzzer slow
		if len(c.add) < 1000 {
			f.Add(minimal(c.add))
		}
	}
	f.Add(minimal(`,"process":{"cwd":"/","user":{"uid":-0},"args":["\ud83d\ude00"]}`))
	f.Fuzz(func(t *testing.T, text string) {
		_, unknown, err := Parse(text)
		if err != nil || len(unknown) > 0 || strings.HasPrefix(text, "\ufeff") {
			return
		}
		sameAsEncodingJSON(t, "fuzz", text)
	})
}

func BenchmarkParseDocker(b *testing.B) {
	text, err := os.ReadFile("testdata/docker/config.json")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Parse(string(text)); err != nil {
			b.Fatal(err)
		}
	}
}
