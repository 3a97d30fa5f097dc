package release

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/berth-oci/berth/aptrepo"
)

// The site is a branch of the repository's origin that a static host serves. It is fetched before a release, so that this continues
// what is published, and pushed after it. Between the two lies what may take long and runs much code; only the push needs a right
// to write, so it can be done elsewhere, on what the release left in Dist.
const (
	siteRemote = "origin"
	siteBase   = ".site"       // in Dist: the commit that was fetched, empty where there was none
	siteIndex  = ".site-index" // in Dist while a commit is made
	siteMark   = ".nojekyll"   // tells the host to serve the files as they are
)

// FetchSite lays what is published where a release will look for it. That nothing is published yet is no error.
func (p Pipeline) FetchSite() error {
	r, err := p.begin()
	if err != nil {
		return err
	}
	defer r.end()
	if err := r.fetchSite(); err != nil {
		return fmt.Errorf("cannot fetch what is published: %w", err)
	}
	return nil
}

func (r *work) fetchSite() error {
	if _, err := os.Lstat(r.aptFolder()); err == nil {
		return fmt.Errorf("%s is there already\nhint: remove it, or use another folder with -dist=FOLDER", r.aptFolder())
	}
	commit, err := r.siteHead()
	if err != nil {
		return err
	}
	if commit != "" {
		if err := r.exportSite(commit); err != nil {
			return err
		}
	}
	r.tell.fact("site", "fetched: "+orElse(commit, "nothing is published yet"))
	return replaceFile(filepath.Join(r.Dist, siteBase), []byte(commit+"\n"), 0o644)
}

// siteHead fetches the branch and returns its commit, "" where there is none.
func (r *work) siteHead() (string, error) {
	ref := "refs/heads/" + r.Config.Site
	found, err := git{r.Repo}.line("ls-remote", siteRemote, ref)
	if err != nil || found == "" {
		return "", err
	}
	commit, _, _ := strings.Cut(found, "\t")
	_, err = git{r.Repo}.run("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", siteRemote, ref)
	return commit, err
}

// exportSite writes the files of a commit, all of them or none.
func (r *work) exportSite(commit string) error {
	dir, err := os.MkdirTemp(r.Dist, siteBase+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := exportCommit(r.Repo, commit, dir); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	return os.Rename(dir, r.aptFolder())
}

// PushSite makes what a release published in Dist the next commit of the branch. It refuses a repository that does not read back
// as apt reads it, and a branch that is no longer as FetchSite found it. A second push of the same is no push.
func (p Pipeline) PushSite() error {
	r, err := p.begin()
	if err != nil {
		return err
	}
	defer r.end()
	if err := r.pushSite(); err != nil {
		return fmt.Errorf("cannot push what is published: %w", err)
	}
	return nil
}

func (r *work) pushSite() error {
	text, err := os.ReadFile(filepath.Join(r.Dist, siteBase))
	if err != nil {
		return fmt.Errorf("%w\nhint: a release that is to be pushed begins with what is published: fetch that first", err)
	}
	base := strings.TrimSpace(string(text))
	if err := r.siteReadsBack(); err != nil {
		return err
	}
	v, err := r.version()
	if err != nil {
		return err
	}
	tree, err := r.siteTree()
	if err != nil {
		return err
	}
	head, err := r.siteHead()
	if err != nil {
		return err
	}
	if head != "" {
		there, err := git{r.Repo}.line("rev-parse", head+"^{tree}")
		if err != nil {
			return err
		}
		if there == tree {
			r.tell.fact("site", "pushed already: "+head)
			return nil
		}
	}
	if head != base {
		return fmt.Errorf("the branch %s is at %q and was at %q when this release began: another one was published meanwhile\n"+
			"hint: begin again with what is published now", r.Config.Site, head, base)
	}
	return r.pushTree(v, tree, base)
}

// siteReadsBack trusts the keyring that is published with the repository: what is shown is that nothing was lost or changed on the
// way here. Who signed it was proven by the release.
func (r *work) siteReadsBack() error {
	config := r.repository()
	keyring, err := os.ReadFile(filepath.Join(r.aptFolder(), config.Keyring()))
	if err != nil {
		return err
	}
	_, err = aptrepo.Verify(aptrepo.Directory(r.aptFolder()), aptrepo.Check{Codename: r.Config.Codename, Keyring: keyring, Now: r.Now})
	return err
}

// siteTree writes the files into git's store, through an index of their own, and returns the tree's name.
func (r *work) siteTree() (string, error) {
	dir, err := git{r.Repo}.line("rev-parse", "--absolute-git-dir")
	if err != nil {
		return "", err
	}
	index := filepath.Join(r.Dist, siteIndex)
	defer os.Remove(index)
	if err := os.Remove(index); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	env := []string{"GIT_DIR=" + dir, "GIT_WORK_TREE=" + r.aptFolder(), "GIT_INDEX_FILE=" + index}
	in := git{r.aptFolder()}
	if _, err := in.runEnv(env, "-c", "core.autocrlf=false", "add", "--all", "--force", "."); err != nil {
		return "", err
	}
	empty, err := in.runEnv(env, "hash-object", "-w", "--stdin")
	if err != nil {
		return "", err
	}
	if _, err := in.runEnv(env, "update-index", "--add", "--cacheinfo", "100644,"+strings.TrimSpace(string(empty))+","+siteMark); err != nil {
		return "", err
	}
	tree, err := in.runEnv(env, "write-tree")
	return strings.TrimSpace(string(tree)), err
}

// pushTree commits in the name of the packages' maintainer. Git refuses the push where the branch is not at base any more.
func (r *work) pushTree(v Version, tree, base string) error {
	control, err := readControl(r.Repo)
	if err != nil {
		return err
	}
	who := control.maintainer
	args := []string{"commit-tree", "-m", "apt: publish " + v.SemVer, tree}
	if base != "" {
		args = append(args, "-p", base)
	}
	commit, err := git{r.Repo}.runEnv([]string{"GIT_AUTHOR_NAME=" + who.Name, "GIT_AUTHOR_EMAIL=" + who.Address,
		"GIT_COMMITTER_NAME=" + who.Name, "GIT_COMMITTER_EMAIL=" + who.Address}, args...)
	if err != nil {
		return err
	}
	name := strings.TrimSpace(string(commit))
	if _, err := (git{r.Repo}).run("push", "--quiet", siteRemote, name+":refs/heads/"+r.Config.Site); err != nil {
		return err
	}
	r.tell.fact("site", "pushed: "+name)
	return nil
}

// Attach gives the files of the version to its release on GitHub, which it makes where it is not there, by the command gh. They
// must be what the release signed.
func (p Pipeline) Attach(ctx context.Context) error {
	r, err := p.begin()
	if err != nil {
		return err
	}
	defer r.end()
	if err := r.attach(ctx); err != nil {
		return fmt.Errorf("cannot attach the files: %w", err)
	}
	return nil
}

func (r *work) attach(ctx context.Context) error {
	v, err := r.version()
	if err != nil {
		return err
	}
	if v.Tag == "" {
		return fmt.Errorf("%s is a snapshot: only a tagged version has a release to attach them to", v.SemVer)
	}
	files, err := r.summed(v)
	if err != nil {
		return err
	}
	gh := func(args ...string) error {
		cmd := exec.CommandContext(ctx, "gh", append([]string{"release"}, args...)...)
		cmd.Dir = r.Repo
		_, err := output(cmd)
		return err
	}
	if gh("view", v.Tag) == nil {
		err = gh(append([]string{"upload", v.Tag, "--clobber"}, files...)...)
	} else {
		notes := filepath.Join(r.folder(v), notesName)
		err = gh(append([]string{"create", v.Tag, "--verify-tag", "--title", v.Tag, "--notes-file", notes}, files...)...)
	}
	if err == nil {
		r.tell.fact("attach", fmt.Sprintf("%d files to %s", len(files), v.Tag))
	}
	return err
}

// summed are the files that SHA256SUMS names, each as it says, and that file with its signature.
func (r *work) summed(v Version) ([]string, error) {
	sums := filepath.Join(r.folder(v), sumsName)
	text, err := os.ReadFile(sums)
	if err != nil {
		return nil, err
	}
	files := []string{sums, sums + ".asc"}
	for line := range strings.Lines(string(text)) {
		want, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		path := filepath.Join(r.folder(v), filepath.Base(name))
		sum, _, err := sumFile(path)
		if err != nil {
			return nil, err
		}
		if sum != want {
			return nil, fmt.Errorf("%s has changed since it was signed: its SHA-256 is %s, not %s", name, sum, want)
		}
		files = append(files, path)
	}
	slices.Sort(files)
	return files, nil
}
