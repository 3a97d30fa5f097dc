package peers

import (
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/berth-oci/berth/conformance/vm"
)

func TestFetchedPeerRunsByCommandAndByPath(t *testing.T) {
	peer, err := Fetched(context.Background(), "crun", "sid")
	if vm.IsUnavailable(err) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range [][]string{peer.Command, {peer.Path}} {
		out, err := exec.Command(line[0], append(line[1:], "--version")...).Output()
		if err != nil || !strings.HasPrefix(string(out), "crun version ") || !strings.Contains(string(out), peer.Version) {
			t.Errorf("%q --version: %v, printed %q, and the peer is %q", line, err, out, peer.Version)
		}
	}
	t.Log(peer.Version)
}

func TestInstalledPeerThatIsNotThere(t *testing.T) {
	if p, err := Installed(context.Background(), "no-such-runtime"); err == nil {
		t.Errorf("found %+v", p)
	}
}
