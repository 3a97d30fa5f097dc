package spec

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"testing"

	"github.com/berth-oci/berth/runtime/internal/host"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; got\n%s", file, got)
	}
}

func TestExampleIsValidAndGolden(t *testing.T) {
	user := host.Modern()
	user.EUID, user.Rootless = 1000, true
	for _, c := range []struct {
		file     string
		rootless bool
		h        host.Host
	}{{"testdata/example/config.json", false, host.Modern()}, {"testdata/rootless/config.json", true, user}} {
		s := Example(c.rootless, 1000, 1000)
		text, err := json.MarshalIndent(s, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, c.file, append(text, '\n'))
		back, unknown, err := Parse(string(text))
		if err != nil || len(unknown) > 0 || !reflect.DeepEqual(back, s) {
			t.Errorf("the example does not come back as it went: %v, %v", unknown, err)
		}
		if found := Validate(s, c.h); len(found) > 0 {
			t.Errorf("%s: %v", c.file, found)
		}
	}
}
