package gate

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// reportCoverage prints the coverage of every package in the order of their import paths. That it cannot be measured is no
// reason to fail a run whose tests pass.
func (g Gate) reportCoverage(ctx context.Context, dir string) {
	profile, err := g.mergeProfiles(ctx, dir)
	if err != nil {
		fmt.Fprintf(g.Out, "coverage not measured: %v\n", err)
		return
	}
	perPackage := profile.byPackage()
	fmt.Fprintln(g.Out, "\ncoverage (tests and the commands they ran, together):")
	var all share
	for _, pkg := range sortedKeys(perPackage) {
		s := perPackage[pkg]
		all.covered, all.total = all.covered+s.covered, all.total+s.total
		fmt.Fprintf(g.Out, "  %5.1f%%  %s\n", s.percent(), pkg)
	}
	fmt.Fprintf(g.Out, "  %5.1f%%  in all\n", all.percent())
}

// share is a number of statements and how many of them ran.
type share struct{ covered, total int }

func (s share) percent() float64 {
	if s.total == 0 {
		return 100
	}
	return 100 * float64(s.covered) / float64(s.total)
}

// profile maps a block of code ("file:line.col,line.col") to its statements and whether any run reached it.
type profile map[string]block

type block struct {
	statements int
	reached    bool
}

// mergeProfiles joins the counters that test binaries and commands left behind. The same block may be listed once per
// kind of build; it counts as reached where any of them reached it.
func (g Gate) mergeProfiles(ctx context.Context, dir string) (profile, error) {
	text := filepath.Join(dir, "profile.txt")
	merged := profile{}
	for _, kind := range []string{"unit", "binary"} {
		in := filepath.Join(dir, kind)
		if left, err := os.ReadDir(in); err != nil || len(left) == 0 {
			continue
		}
		if err := g.goRun(ctx, "tool", "covdata", "textfmt", "-i="+in, "-o="+text); err != nil {
			return nil, err
		}
		if err := merged.readFile(text); err != nil {
			return nil, err
		}
	}
	return merged, nil
}

func (p profile) readFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("cannot read the coverage profile: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		p.add(lines.Text())
	}
	return lines.Err()
}

// add takes one line "file:3.1,5.2 STATEMENTS COUNT"; the mode line and anything else is no block.
func (p profile) add(line string) {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return
	}
	statements, err1 := strconv.Atoi(fields[1])
	count, err2 := strconv.Atoi(fields[2])
	if err1 != nil || err2 != nil {
		return
	}
	p[fields[0]] = block{statements, p[fields[0]].reached || count > 0}
}

func (p profile) byPackage() map[string]share {
	packages := map[string]share{}
	for place, b := range p {
		file, _, _ := cutLast(place, ":")
		pkg := filepath.Dir(file)
		s := packages[pkg]
		s.total += b.statements
		if b.reached {
			s.covered += b.statements
		}
		packages[pkg] = s
	}
	return packages
}
