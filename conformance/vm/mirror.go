package vm

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// debianSuites are the names under which Debian's archive keeps complete suites. Other archives that the host may use
// name theirs otherwise or share them without holding kernels; the first source that names one of these is taken.
var debianSuites = []string{
	"bullseye", "bookworm", "trixie", "forky", "duke", "sid",
	"oldoldstable", "oldstable", "stable", "testing", "unstable",
}

// mirror returns the URI of a Debian archive: that of the environment, or that which the host itself uses.
func mirror() (string, error) {
	if uri := os.Getenv(MirrorVariable); uri != "" {
		return uri, nil
	}
	paths := []string{"/etc/apt/sources.list"}
	for _, ext := range []string{"*.sources", "*.list"} {
		more, _ := filepath.Glob("/etc/apt/sources.list.d/" + ext)
		paths = append(paths, more...)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if uri := mirrorIn(string(text), strings.HasSuffix(path, ".sources")); uri != "" {
			return uri, nil
		}
	}
	return "", &Unavailable{
		What:   "packages of Debian",
		Err:    errors.New("no apt source of this machine names a Debian archive"),
		Remedy: "set " + MirrorVariable + " to the URI of one",
	}
}

// mirrorIn reads one file of apt sources, in either format of sources.list(5).
func mirrorIn(text string, deb822 bool) string {
	if !deb822 {
		for line := range strings.Lines(text) {
			if uri := mirrorOfLine(line); uri != "" {
				return uri
			}
		}
		return ""
	}
	for stanza := range strings.SplitSeq(text, "\n\n") {
		if uri := mirrorOfStanza(stanza); uri != "" {
			return uri
		}
	}
	return ""
}

func mirrorOfLine(line string) string {
	f := strings.Fields(line)
	if len(f) < 4 || f[0] != "deb" {
		return ""
	}
	f = f[1:]
	if strings.HasPrefix(f[0], "[") {
		end := slices.IndexFunc(f, func(s string) bool { return strings.HasSuffix(s, "]") })
		f = f[end+1:]
	}
	if len(f) >= 3 && slices.Contains(debianSuites, f[1]) && slices.Contains(f[2:], "main") {
		return f[0]
	}
	return ""
}

func mirrorOfStanza(stanza string) string {
	fields := map[string][]string{}
	for line := range strings.Lines(stanza) {
		name, value, ok := strings.Cut(line, ":")
		if ok && !strings.HasPrefix(line, "#") {
			fields[strings.ToLower(name)] = strings.Fields(value)
		}
	}
	known := slices.ContainsFunc(fields["suites"], func(s string) bool { return slices.Contains(debianSuites, s) })
	disabled := slices.Contains(fields["enabled"], "no")
	if known && !disabled && slices.Contains(fields["types"], "deb") && slices.Contains(fields["components"], "main") && len(fields["uris"]) > 0 {
		return fields["uris"][0]
	}
	return ""
}
