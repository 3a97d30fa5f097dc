package release

import (
	"bytes"
	"cmp"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/mod/module"
)

// copyright is the machine-readable copyright file (DEP-5): release/debian/copyright, and for a package with binaries the
// licence of Go's own library and of each module that the linker put in, which is what the binaries say themselves.
func copyright(src sources, own map[string][]byte) ([]byte, error) {
	text, err := src.read("copyright")
	if err != nil {
		return nil, err
	}
	if len(own) == 0 {
		return text, nil
	}
	golang, err := src.read("copyright.golang")
	if err != nil {
		return nil, err
	}
	linked, err := linkedModules(own)
	if err != nil {
		return nil, err
	}
	text = append(append(bytes.TrimRight(text, "\n"), "\n\n"...), golang...)
	for _, m := range linked {
		paragraph, err := moduleParagraph(src.dir, m)
		if err != nil {
			return nil, fmt.Errorf("licence of the module %s %s: %w", m.Path, m.Version, err)
		}
		text = append(append(bytes.TrimRight(text, "\n"), "\n\n"...), paragraph...)
	}
	return text, nil
}

// linkedModules are the modules in the binaries besides the project's own, by path.
func linkedModules(own map[string][]byte) ([]module.Version, error) {
	seen := map[module.Version]bool{}
	for command, data := range own {
		info, err := buildinfo.Read(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("build information of %s: %w", command, err)
		}
		for _, dep := range info.Deps {
			seen[effective(dep)] = true
		}
	}
	var all []module.Version
	for m := range seen {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b module.Version) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Version, b.Version))
	})
	return all, nil
}

// effective is the module that was really used, where another replaces it.
func effective(m *debug.Module) module.Version {
	for m.Replace != nil {
		m = m.Replace
	}
	return module.Version{Path: m.Path, Version: m.Version}
}

// licenceFile matches the names under which a module keeps its terms.
var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)([-.].*)?$`)

var noticeFile = regexp.MustCompile(`(?i)^notice([-.].*)?$`)

// moduleParagraph is the Files paragraph of one module.
func moduleParagraph(dir string, m module.Version) ([]byte, error) {
	source, err := moduleDir(dir, m)
	if err != nil {
		return nil, err
	}
	terms, err := readMatching(source, licenceFile)
	if err != nil {
		return nil, err
	}
	if terms == "" {
		return nil, fmt.Errorf("no licence file in %s\nhint: do without the module: it may not be passed on", source)
	}
	notice, err := readMatching(source, noticeFile)
	if err != nil {
		return nil, err
	}
	name, err := licenceName(terms)
	if err != nil {
		return nil, fmt.Errorf("%w in %s\nhint: teach licenceName to know it, if it may be passed on", err, source)
	}
	return formatParagraph(m, name, terms, notice), nil
}

// formatParagraph writes a Files paragraph. The patterns are those of a vendor directory, though none is shipped: Debian names
// linked code so.
func formatParagraph(m module.Version, name, terms, notice string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Files: vendor/%s/*\nCopyright: %s\n", m.Path, strings.Join(holders(m, terms), "\n           "))
	if notice != "" {
		fmt.Fprintf(&b, "Comment: Its notice says:\n .\n%s", folded(notice))
	}
	if name == "Apache-2.0" { // its text is in the file's own paragraph
		fmt.Fprintf(&b, "License: %s\n", name)
	} else {
		fmt.Fprintf(&b, "License: %s\n%s", name, folded(terms))
	}
	return b.Bytes()
}

// folded writes text as the continuation of a field.
func folded(text string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if line = strings.TrimRight(strings.ReplaceAll(line, "\t", "        "), " \r\f"); strings.TrimSpace(line) == "" {
			line = "."
		}
		b.WriteString(" " + line + "\n")
	}
	return b.String()
}

// moduleDir is where the module cache has the module.
func moduleDir(dir string, m module.Version) (string, error) {
	if m.Version == "" || m.Version == "(devel)" {
		return "", errors.New("it was replaced by a folder, whose licence cannot be told from the binary")
	}
	cmd := exec.Command("go", "env", "GOMODCACHE")
	cmd.Dir = dir
	cache, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMODCACHE: %w", err)
	}
	path, err := module.EscapePath(m.Path)
	if err != nil {
		return "", err
	}
	version, err := module.EscapeVersion(m.Version)
	if err != nil {
		return "", err
	}
	found := filepath.Join(strings.TrimSpace(string(cache)), filepath.FromSlash(path)+"@"+version)
	if _, err := os.Stat(found); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is not in the module cache\nhint: go mod download", m)
	}
	return found, nil
}

// readMatching returns the files at the top of dir whose names match, one after another.
func readMatching(dir string, name *regexp.Regexp) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var all []string
	for _, e := range entries {
		if !e.Type().IsRegular() || !name.MatchString(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", err
		}
		all = append(all, strings.TrimSpace(strings.ToValidUTF8(string(text), "\uFFFD")))
	}
	return strings.Join(all, "\n\n"), nil
}

// licenceForms are words of each licence that no other has, first match first, with the names that DEP-5 gives them.
var licenceForms = []struct {
	name  string
	words []string
}{
	{"Apache-2.0", []string{"Apache License", "Version 2.0"}},
	{"MPL-2.0", []string{"Mozilla Public License", "2.0"}},
	{"BSD-3-clause", []string{"Redistribution and use in source and binary forms", "Neither the name"}},
	{"BSD-3-clause", []string{"Redistribution and use in source and binary forms", "may not be used to endorse"}},
	{"BSD-2-clause", []string{"Redistribution and use in source and binary forms"}},
	{"ISC", []string{"Permission to use, copy, modify, and", "distribute this software for any purpose with or without fee"}},
	{"Expat", []string{"Permission is hereby granted, free of charge"}},
	{"CC0-1.0", []string{"CC0 1.0 Universal"}},
}

// licenceName recognizes the terms under which software may be passed on.
func licenceName(terms string) (string, error) {
	flat := strings.Join(strings.Fields(terms), " ")
	for _, form := range licenceForms {
		if !slices.ContainsFunc(form.words, func(w string) bool { return !strings.Contains(flat, w) }) {
			return form.name, nil
		}
	}
	return "", errors.New("an unknown licence")
}

// holderForm is a line that says who holds a copyright, not one that speaks about notices or shows a template.
var holderForm = regexp.MustCompile(`(?im)^\s*(?:[*#/]+\s*)?copyright\s+((?:\(c\)|©)?\s*.*[0-9]{4}.*?|(?:\(c\)|©)\s*\S.*?)\s*$`)

// holders are who hold the copyright of a module, as its terms say.
func holders(m module.Version, terms string) []string {
	var all []string
	for _, match := range holderForm.FindAllStringSubmatch(terms, -1) {
		holder := strings.TrimSpace(strings.NewReplacer("(c)", "", "(C)", "", "©", "").Replace(match[1]))
		holder = strings.TrimSuffix(strings.Join(strings.Fields(holder), " "), ". All rights reserved.")
		holder = strings.TrimSuffix(holder, " All rights reserved.")
		if !strings.ContainsAny(holder, "[{<") && !slices.Contains(all, holder) {
			all = append(all, holder)
		}
	}
	if len(all) == 0 {
		all = []string{"the authors of " + m.Path}
	}
	return all
}
