package release

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// git runs the git command in a work tree. It is asked for machine-readable forms only, in the C locale, and takes no
// optional locks, so that reading leaves even the index as it was.
type git struct{ repo string }

// run returns what git writes; its error is what git says about the failure.
func (g git) run(args ...string) ([]byte, error) { return g.runEnv(nil, args...) }

func (g git) runEnv(env []string, args ...string) ([]byte, error) {
	cmd := exec.Command("git", append([]string{"-C", g.repo,
		"-c", "core.quotePath=false", "-c", "i18n.logOutputEncoding=UTF-8", "-c", "log.showSignature=false"}, args...)...)
	cmd.Env = append(ownEnvironment(), "LC_ALL=C", "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0")
	cmd.Env = append(cmd.Env, env...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return nil, errors.New("git is not installed\nhint: apt install git")
		}
		return nil, fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(said.String()))
	}
	return out.Bytes(), nil
}

// ownEnvironment is the environment without what points git at another repository, as it does inside a git hook.
func ownEnvironment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"}, name)
	})
}

// line is run for an answer of one line.
func (g git) line(args ...string) (string, error) {
	out, err := g.run(args...)
	return strings.TrimSpace(string(out)), err
}

// lines is run for an answer of one item per line.
func (g git) lines(args ...string) ([]string, error) {
	out, err := g.line(args...)
	if err != nil || out == "" {
		return nil, err
	}
	return strings.Split(out, "\n"), nil
}

// usable refuses what cannot answer questions about history: no repository, no commit, a shallow clone.
func (g git) usable() error {
	shallow, err := g.line("rev-parse", "--is-shallow-repository")
	if err != nil {
		return fmt.Errorf("%w\nhint: a release is made from a git clone, not from an unpacked archive", err)
	}
	if shallow == "true" {
		return fmt.Errorf("%s is a shallow clone, so tags and commits are missing\nhint: git fetch --unshallow --tags", g.repo)
	}
	if _, err := g.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}"); err != nil {
		return fmt.Errorf("%s has no commit yet\nhint: git commit", g.repo)
	}
	return nil
}

// head fills in the commit of HEAD.
func (g git) head() (Version, error) {
	out, err := g.line("log", "-1", "--format=%H %ct", "HEAD")
	if err != nil {
		return Version{}, err
	}
	commit, seconds, _ := strings.Cut(out, " ")
	t, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return Version{}, fmt.Errorf("the committer date of %s is %q: %w", commit, seconds, err)
	}
	return Version{Commit: commit, CommitTime: time.Unix(t, 0).UTC()}, nil
}

// versionTags returns the version tags on HEAD and those in its history below. A malformed one is an error on HEAD, where it
// was surely meant for this release; an old one below is history.
func (g git) versionTags() (here, below []versionTag, err error) {
	at, err := g.lines("tag", "--points-at", "HEAD")
	if err != nil {
		return nil, nil, err
	}
	onHead := map[string]bool{}
	for _, name := range at {
		onHead[name] = true
		t, err := parseTag(name)
		if err != nil {
			return nil, nil, err
		}
		if t.name != "" {
			here = append(here, t)
		}
	}
	merged, err := g.lines("tag", "--merged", "HEAD")
	if err != nil {
		return nil, nil, err
	}
	for _, name := range merged {
		if t, err := parseTag(name); err == nil && t.name != "" && !onHead[name] {
			below = append(below, t)
		}
	}
	return here, below, nil
}

// parseTag reads vVERSION. A tag that is no version and looks like none gives an empty name.
func parseTag(name string) (versionTag, error) {
	if !meantAsVersion.MatchString(name) {
		return versionTag{}, nil
	}
	bare, hasV := strings.CutPrefix(name, "v")
	v, err := parseSemVer(bare)
	if err == nil && !hasV {
		err = errors.New("a version tag starts with v")
	}
	if err != nil {
		return versionTag{}, fmt.Errorf("the tag %q on HEAD: %w\nhint: git tag -d %s, and tag again as vMAJOR.MINOR.PATCH, such as v1.2.3",
			name, err, name)
	}
	return versionTag{name, v}, nil
}

// historyExtent returns the newest committer date among HEAD and its ancestors, and how many commits these are.
func (g git) historyExtent() (newest time.Time, count int, err error) {
	dates, err := g.lines("log", "--format=%ct", "HEAD")
	if err != nil {
		return time.Time{}, 0, err
	}
	var top int64
	for _, d := range dates {
		t, err := strconv.ParseInt(d, 10, 64)
		if err != nil {
			return time.Time{}, 0, fmt.Errorf("a committer date is %q: %w", d, err)
		}
		top = max(top, t)
	}
	return time.Unix(top, 0).UTC(), len(dates), nil
}

// dirty returns the paths that differ from HEAD: changed, staged, or neither tracked nor ignored.
func (g git) dirty() ([]string, error) {
	out, err := g.run("status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=none")
	if err != nil {
		return nil, err
	}
	var paths []string
	for entry := range strings.SplitSeq(string(out), "\x00") {
		if len(entry) > 3 {
			paths = append(paths, entry[3:])
		}
	}
	return paths, nil
}

// commitMessage is one commit as the changelog needs it.
type commitMessage struct{ subject, body string }

// messages returns the messages of the commits in from..to without merges, oldest first; from may be empty.
func (g git) messages(from, to string) ([]commitMessage, error) {
	span := to
	if from != "" {
		span = "refs/tags/" + from + ".." + to
	}
	out, err := g.run("log", "-z", "--no-merges", "--topo-order", "--reverse", "--format=%s%n%b", span, "--")
	if err != nil || len(out) == 0 {
		return nil, err
	}
	var all []commitMessage
	for m := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		subject, body, _ := strings.Cut(m, "\n")
		all = append(all, commitMessage{subject, body})
	}
	return all, nil
}
