package engines

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestOCIArchiveNamesWhatItHolds(t *testing.T) {
	layer := []byte("a layer")
	data, err := ociArchive(layer)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		if sum, ok := strings.CutPrefix(h.Name, "blobs/sha256/"); ok && sum != fmt.Sprintf("%x", sha256.Sum256(files[h.Name])) {
			t.Errorf("%s holds other bytes than its name says", h.Name)
		}
	}
	var index, manifest struct {
		Manifests, Layers []struct{ Digest string }
	}
	follow := func(name string, into any) {
		if err := json.Unmarshal(files[name], into); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	follow("index.json", &index)
	follow("blobs/"+strings.Replace(index.Manifests[0].Digest, ":", "/", 1), &manifest)
	if got := files["blobs/"+strings.Replace(manifest.Layers[0].Digest, ":", "/", 1)]; !bytes.Equal(got, layer) {
		t.Errorf("the manifest leads to %q, not to the layer", got)
	}
}

func TestStepFailsOnAnyDifference(t *testing.T) {
	step := Step{Code: 3, Want: "yes", Never: "no!"}
	for _, c := range []struct {
		code int
		out  string
		good bool
	}{{3, "yes", true}, {0, "yes", false}, {3, "", false}, {3, "yes no!", false}} {
		if problem := step.judge(c.code, c.out); (problem == "") != c.good {
			t.Errorf("status %d, output %q: problem %q", c.code, c.out, problem)
		}
	}
}

func TestUnknownEngineIsNoAbsence(t *testing.T) {
	var absent *Absent
	if _, err := Start(context.Background(), "nosuch", "/bin/true"); err == nil || errors.As(err, &absent) && absent.What != "root's privileges" {
		t.Errorf("starting an unknown engine gave %v", err)
	}
}
