package seccomp

import "testing"

// libseccomp's tables are made by hand from the kernel's and have been right for years.
func TestNumbersAreLibseccomps(t *testing.T) {
	l := openLibrary(t)
	if len(l.numbers) < 400 {
		t.Fatalf("libseccomp names only %d calls", len(l.numbers))
	}
	for name, want := range l.numbers {
		row := find(name)
		if row < 0 {
			t.Errorf("%s is missing", name)
			continue
		}
		for a, n := range want {
			if arch(a) == x86 && n < 0 && n > -300 { // multiplexed: libseccomp adds the direct number by itself
				if mux := int32(rows[row].mux); mux != -n%100+(-n/100-1)*100 {
					t.Errorf("%s is multiplexed as %d, libseccomp says %d", name, mux, -n)
				}
				continue
			}
			if got := rows[row].numbers[a]; got != n && (got >= 0 || n >= 0) {
				t.Errorf("%s is %d on %s, libseccomp says %d", name, got, kinds[a].word, n)
			}
		}
	}
}

func TestEveryCallIsFoundByItsName(t *testing.T) {
	for i := range rows {
		if got := find(rows[i].name); got != i {
			t.Errorf("%s is found at %d, not %d", rows[i].name, got, i)
		}
	}
	for _, name := range []string{"", "no_such_call", "READ", "read ", "x"} {
		if find(name) >= 0 {
			t.Errorf("%q is found", name)
		}
	}
}

func TestNumbersAreInOrderAndUnique(t *testing.T) {
	for a := range archs {
		if len(byNumber[a]) < 300 {
			t.Errorf("%s has only %d calls", kinds[a].word, len(byNumber[a]))
		}
		for i, row := range byNumber[a][1:] {
			if before := byNumber[a][i]; rows[before].numbers[a] >= rows[row].numbers[a] {
				t.Errorf("on %s %s comes before %s", kinds[a].word, rows[before].name, rows[row].name)
			}
		}
	}
}
