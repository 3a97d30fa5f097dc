package release

import (
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/berth-oci/berth/aptrepo"
)

// risingVersions is in ascending order; each is below all that follow.
var risingVersions = []string{
	"0~~", "0~~a", "0~", "0", "0.0.1~git20261122.9.gfff-1", "0.0.1~git20261122.10.gabc-1", "0.0.1~git20261123.11.g000-1", "0.0.1~rc.1-1",
	"0.0.1-0", "0.0.1-1~bpo", "0.0.1-1", "0.0.1-1+b1", "0.0.1-1.1", "0.0.1-2", "0.0.1a-1", "0.0.1+x-1", "0.0.1.1-1", "0.0.9", "0.0.10", "1.0~rc1", "1.0", "1.0a",
	"1.0+git", "1.0.0", "1.00001", "99999999999999999999999999", "1:0", "2:0~a", "10:0",
}

func TestCompareVersionsOrders(t *testing.T) {
	for i, a := range risingVersions {
		for j, b := range risingVersions {
			if got, want := sign(aptrepo.CompareVersions(a, b)), sign(i-j); got != want {
				t.Errorf("CompareVersions(%s, %s) is %d, want %d", a, b, got, want)
			}
		}
	}
	for _, pair := range [][2]string{{"1.0", "1.0-0"}, {"0:1.0", "1.0"}, {"1.01", "1.1"}, {"1.0-00", "1.0"}, {"1.", "1.0"}} {
		if got := aptrepo.CompareVersions(pair[0], pair[1]); got != 0 {
			t.Errorf("CompareVersions(%s, %s) is %d, want 0", pair[0], pair[1], got)
		}
	}
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

// randomVersion is made of the characters at which orders differ.
func randomVersion(r *rand.Rand) string {
	pick := func(alphabet string, n int) string {
		var b strings.Builder
		for range r.IntN(n) {
			b.WriteByte(alphabet[r.IntN(len(alphabet))])
		}
		return b.String()
	}
	v := string("0123456789"[r.IntN(10)]) + pick("0019aZ~~.+-", 7)
	if r.IntN(3) == 0 {
		v += "-" + string("019a~+."[r.IntN(7)]) + pick("019a~+.", 4)
	}
	if r.IntN(4) == 0 {
		v = string("012"[r.IntN(3)]) + ":" + v
	}
	return strings.TrimRight(v, "-")
}

func TestCompareVersionsIsATotalOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		a, b, c := randomVersion(r), randomVersion(r), randomVersion(r)
		ab, ba := sign(aptrepo.CompareVersions(a, b)), sign(aptrepo.CompareVersions(b, a))
		if aptrepo.CompareVersions(a, a) != 0 || ab != -ba {
			t.Fatalf("%s and %s: %d one way, %d the other", a, b, ab, ba)
		}
		if s := []string{a, b, c}; ab <= 0 && aptrepo.CompareVersions(b, c) <= 0 && aptrepo.CompareVersions(a, c) > 0 {
			t.Fatalf("not transitive: %q", s)
		}
	}
}

func TestCompareVersionsAgreesWithDpkg(t *testing.T) {
	if _, err := exec.LookPath("dpkg"); err != nil {
		t.Skip("dpkg is not installed")
	}
	r := rand.New(rand.NewPCG(3, 4))
	pairs := [][2]string{}
	for i := range risingVersions[1:] {
		pairs = append(pairs, [2]string{risingVersions[i], risingVersions[i+1]})
	}
	for range 300 {
		pairs = append(pairs, [2]string{randomVersion(r), randomVersion(r)})
	}
	for _, p := range pairs {
		relation := map[int]string{-1: "lt", 0: "eq", 1: "gt"}[sign(aptrepo.CompareVersions(p[0], p[1]))]
		if out, err := exec.Command("dpkg", "--compare-versions", p[0], relation, p[1]).CombinedOutput(); err != nil {
			t.Errorf("dpkg denies %s %s %s: %v %s", p[0], relation, p[1], err, out)
		}
	}
}

func TestCheckDebianVersion(t *testing.T) {
	for _, v := range risingVersions {
		if err := CheckDebianVersion(v); err != nil {
			t.Errorf("%s: %v", v, err)
		}
	}
	bad := []string{"", "a", "-1", "1-", ":1", "x:1", "1_2", "1 2", "1.0-ü", "~1", "1-1/2", "99999999999:1"}
	for _, v := range bad {
		if CheckDebianVersion(v) == nil {
			t.Errorf("%q is accepted", v)
		}
	}
	if !slices.IsSortedFunc(risingVersions, aptrepo.CompareVersions) {
		t.Error("the list of rising versions does not rise")
	}
}
