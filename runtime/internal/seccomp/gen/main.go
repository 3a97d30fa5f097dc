// Gen writes table.go of package seccomp: the numbers that Linux gives its system calls.
//
// The sources are generated from the kernel themselves: golang.org/x/sys's zsysnum files for the architectures that Go
// has, and linux-libc-dev's headers for x32 and for the calls behind socketcall(2) and ipc(2).
package main

import (
	"bytes"
	"fmt"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func main() {
	text, err := generate()
	if err == nil {
		err = os.WriteFile("table.go", text, 0644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// The order of the columns is that of the architectures in arch.go.
const (
	x8664 = iota
	x86
	x32
	arm64
	arm
	columns
)

// x32Bit marks an x32 call. Numbers from x32First on are x32's own; every later call has x86-64's number (the kernel's
// arch/x86/entry/syscalls/syscall_64.tbl), except those that the same file has for x86-64 only.
const (
	x32Bit   = 0x40000000
	x32First = 512
)

var notX32 = []string{"map_shadow_stack", "uprobe", "uretprobe"}

// armPrivate are the calls that 32-bit ARM alone has, from its base on (arch/arm/include/uapi/asm/unistd.h).
var armPrivate = []string{"breakpoint", "cacheflush", "usr26", "usr32", "set_tls", "get_tls"}

const armPrivateBase = 0xf0000

// noCall are numbers that the headers name and no call has.
var noCall = regexp.MustCompile(`^(SYSCALL_MASK|(UNUSED|RESERVED)\d+)$`)

type row struct {
	name    string
	numbers [columns]int
	mux     int
}

type table map[string]*row

func (t table) at(name string) *row {
	if t[name] == nil {
		t[name] = &row{name: name, numbers: [columns]int{-1, -1, -1, -1, -1}}
	}
	return t[name]
}

// sources are the folders that generate reads.
type sources struct{ sys, include string }

func find() (s sources, err error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	if err != nil {
		return s, fmt.Errorf("cannot find golang.org/x/sys: %w", err)
	}
	s.sys, s.include = strings.TrimSpace(string(out)), "/usr/include"
	_, err = os.Stat(filepath.Join(s.include, "x86_64-linux-gnu/asm/unistd_x32.h"))
	return s, err
}

func generate() ([]byte, error) {
	s, err := find()
	if err != nil {
		return nil, err
	}
	t := table{}
	if err := t.readAll(s); err != nil {
		return nil, err
	}
	return format.Source(t.print())
}

func (t table) readAll(s sources) error {
	files, err := filepath.Glob(filepath.Join(s.sys, "unix/zsysnum_linux_*.go"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no zsysnum files in %s: %w", s.sys, err)
	}
	column := map[string]int{"amd64": x8664, "386": x86, "arm64": arm64, "arm": arm}
	for _, f := range files {
		arch := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(f), "zsysnum_linux_"), ".go")
		to, ours := column[arch]
		if err := read(f, `\bSYS_(\w+)\s*=\s*(\d+)`, func(name string, n int) {
			if noCall.MatchString(name) {
				return
			}
			// Calls of other architectures get a row too, so that a profile may name them without a warning.
			r := t.at(strings.ToLower(name))
			if ours {
				r.numbers[to] = n
			}
		}); err != nil {
			return err
		}
	}
	if err := t.readX32(s); err != nil {
		return err
	}
	for i, name := range armPrivate {
		t.at(name).numbers[arm] = armPrivateBase + 1 + i
	}
	return t.readMultiplexed(s)
}

func (t table) readX32(s sources) error {
	newest := 0
	err := read(filepath.Join(s.include, "x86_64-linux-gnu/asm/unistd_x32.h"), `#define __NR_(\w+) \(__X32_SYSCALL_BIT \+ (\d+)\)`, func(name string, n int) {
		t.at(name).numbers[x32] = x32Bit | n
		if n < x32First {
			newest = max(newest, n)
		}
	})
	for name, r := range t {
		if n := r.numbers[x8664]; n > newest && !slices.Contains(notX32, name) {
			r.numbers[x32] = x32Bit | n
		}
	}
	return err
}

// readMultiplexed reads which call a number in socketcall's and ipc's first argument means; ipc's are put 100 higher.
func (t table) readMultiplexed(s sources) error {
	err := read(filepath.Join(s.include, "linux/net.h"), `(?m)^#define SYS_(\w+)\s+(\d+)\s`, func(name string, n int) {
		t.at(strings.ToLower(name)).mux = n
	})
	if err != nil {
		return err
	}
	return read(filepath.Join(s.include, "linux/ipc.h"), `(?m)^#define ((?:SEM|MSG|SHM)[A-Z]+)\s+(\d+)\s`, func(name string, n int) {
		t.at(strings.ToLower(name)).mux = 100 + n
	})
}

func read(file, pattern string, found func(name string, n int)) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	matches := regexp.MustCompile(pattern).FindAllSubmatch(text, -1)
	if len(matches) == 0 {
		return fmt.Errorf("%s: there is nothing like %s", file, pattern)
	}
	for _, m := range matches {
		n, err := strconv.Atoi(string(m[2]))
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		found(string(m[1]), n)
	}
	return nil
}

// hash is that of lookup.go.
func hash(name string) uint32 {
	h := uint32(2166136261)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return h
}

const slots = 2048

func (t table) print() []byte {
	var rows []*row
	for _, r := range t {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b *row) int { return strings.Compare(a.name, b.name) })
	var b, tail bytes.Buffer
	fmt.Fprintf(&b, "// Code generated by go run ./gen; DO NOT EDIT.\n\npackage seccomp\n\n")
	fmt.Fprintf(&b, "// rows are the system calls by name, with their number on each architecture, -1 where it has none.\nvar rows = [%d]row{\n", len(rows))
	for _, r := range rows {
		n := r.numbers
		fmt.Fprintf(&b, "{%q, [archs]int32{%d, %d, %d, %d, %d}, %d},\n", r.name, n[0], n[1], n[2], n[3], n[4], r.mux)
	}
	fmt.Fprintf(&b, "}\n\n// byNumber are the rows that an architecture has, in the order of their numbers.\nvar byNumber = [archs][]uint16{\n")
	for a := range columns {
		fmt.Fprintf(&b, "{%s},\n", list(order(rows, a)))
	}
	for _, name := range []string{"socketcall", "ipc"} {
		i := slices.IndexFunc(rows, func(r *row) bool { return r.name == name })
		fmt.Fprintf(&tail, "const row%s = %d\n", strings.ToUpper(name[:1])+name[1:], i)
	}
	var table [slots]int
	for i, r := range rows {
		at := hash(r.name) % slots
		for table[at] != 0 {
			at = (at + 1) % slots
		}
		table[at] = i + 1
	}
	fmt.Fprintf(&b, "}\n\n// slots is an open hash table of one more than the index of a row.\nvar slots = [%d]uint16{%s}\n", slots, list(table[:]))
	fmt.Fprintf(&b, "\n// The rows of x86's multiplexed calls.\n%s", tail.Bytes())
	return b.Bytes()
}

func order(rows []*row, arch int) (l []int) {
	for i, r := range rows {
		if r.numbers[arch] >= 0 {
			l = append(l, i)
		}
	}
	slices.SortStableFunc(l, func(a, b int) int { return rows[a].numbers[arch] - rows[b].numbers[arch] })
	return l
}

func list(numbers []int) string {
	var b strings.Builder
	for i, n := range numbers {
		if i%32 == 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%d, ", n)
	}
	b.WriteString("\n")
	return b.String()
}
