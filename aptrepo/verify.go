package aptrepo

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/berth-oci/berth/signing"
)

// Check is what to verify a repository against.
type Check struct {
	Codename string
	Keyring  []byte // what the client trusts, binary or armored
	Now      time.Time

	// IndicesOnly leaves out the packages themselves.
	IndicesOnly bool
}

// Report is what a verification saw.
type Report struct {
	Release  *Release
	SignedBy []string // fingerprints of the keyring's keys
	Packages []Package
	Files    int   // files read
	Bytes    int64 // and their size

	// Warnings are what works today and will not for long, or not everywhere.
	Warnings []string
}

// clockSkew is how far ahead of the client's clock apt lets Date be
// (Acquire::Max-FutureTime).
const clockSkew = 10 * time.Second

// Verify reads the repository at src as apt does, believing nothing but
// c.Keyring: the signature of InRelease, every index by the hash that Release
// gives, every package by the hash that its index gives. The error holds each
// fault found.
func Verify(src Source, c Check) (*Report, error) {
	v := &verification{src: src, check: c, report: &Report{}}
	if err := v.run(); err != nil {
		return v.report, fmt.Errorf("cannot verify the repository at %s: %w", src, err)
	}
	return v.report, nil
}

type verification struct {
	src    Source
	check  Check
	report *Report
}

func (v *verification) run() error {
	if err := v.signature(); err != nil {
		return err
	}
	err := errors.Join(v.dates(), v.detached(), v.indices())
	if err == nil && !v.check.IndicesOnly {
		err = v.pool()
	}
	v.keys()
	return err
}

func (v *verification) read(path string) ([]byte, error) {
	data, err := readAll(v.src, path)
	if err == nil {
		v.report.Files++
		v.report.Bytes += int64(len(data))
	}
	return data, err
}

func (v *verification) path(name string) string { return "dists/" + v.check.Codename + "/" + name }

func (v *verification) signature() error {
	message, err := v.read(v.path("InRelease"))
	if err != nil {
		return err
	}
	text, by, err := signing.VerifyClearsigned(v.check.Keyring, message, v.check.Now)
	if err != nil {
		return fmt.Errorf("%s: %w", v.path("InRelease"), err)
	}
	v.report.SignedBy = by
	v.report.Release, err = ParseRelease(text)
	return err
}

func (v *verification) dates() error {
	r := v.report.Release
	if r.Codename != v.check.Codename && r.Suite != v.check.Codename {
		return fmt.Errorf("%s is for %s (%s), not for %s", v.path("InRelease"), r.Codename, r.Suite, v.check.Codename)
	}
	if r.Date.After(v.check.Now.Add(clockSkew)) {
		return fmt.Errorf("%s is dated %s, in the future: apt refuses it until then", v.path("InRelease"), r.Date.Format(time.RFC3339))
	}
	switch {
	case r.ValidUntil.IsZero():
		v.warn("Release has no Valid-Until: an attacker on the network can hold updates back for ever")
	case !r.ValidUntil.After(v.check.Now):
		return fmt.Errorf("%s expired on %s: sign it anew", v.path("InRelease"), r.ValidUntil.Format(time.RFC3339))
	case r.ValidUntil.Sub(v.check.Now) < r.ValidUntil.Sub(r.Date)/4:
		v.warn("Release expires on " + r.ValidUntil.Format(time.RFC3339) + ": sign it anew soon")
	}
	return nil
}

func (v *verification) warn(text string) { v.report.Warnings = append(v.report.Warnings, text) }

// detached checks the pair that old clients read instead of InRelease. A
// repository may leave it out; a wrong one would lead them astray.
func (v *verification) detached() error {
	text, err := v.read(v.path("Release"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	other, err := ParseRelease(text)
	if err != nil {
		return err
	}
	if other.Date.After(v.report.Release.Date) {
		v.warn("Release is newer than InRelease: a publish was cut short, run it again")
		return nil
	}
	signature, err := v.read(v.path("Release.gpg"))
	if err != nil {
		return err
	}
	if _, err := signing.VerifyDetached(v.check.Keyring, text, signature, v.check.Now); err != nil {
		return fmt.Errorf("%s: %w", v.path("Release.gpg"), err)
	}
	if !slices.Equal(other.Sums, v.report.Release.Sums) {
		return fmt.Errorf("%s lists other files than InRelease", v.path("Release"))
	}
	return nil
}

// indices reads every file that Release lists, under its hash as apt asks for
// it. A plain path may lag behind InRelease for a moment, so only its absence
// from everywhere is a fault; the uncompressed form may be missing.
func (v *verification) indices() error {
	var faults []error
	plain := make(map[string][]byte)
	for _, s := range v.report.Release.Sums {
		data, err := v.index(s)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		if data == nil {
			continue
		}
		name, suffix := stripSuffix(s.Path)
		text, err := expand(suffix, data)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", v.path(s.Path), err))
		} else if known, ok := plain[name]; ok && !bytes.Equal(known, text) {
			faults = append(faults, fmt.Errorf("%s unpacks to other bytes than its other forms", v.path(s.Path)))
		} else {
			plain[name] = text
		}
	}
	return errors.Join(append(faults, v.listed(plain))...)
}

func stripSuffix(path string) (name, suffix string) {
	for _, suffix := range []string{".gz", ".xz"} {
		if name, found := strings.CutSuffix(path, suffix); found {
			return name, suffix
		}
	}
	return path, ""
}

// index reads one listed file; nil if it is an uncompressed form not served.
func (v *verification) index(s Sum) ([]byte, error) {
	data, err := v.read(v.path(s.byHash()))
	if errors.Is(err, fs.ErrNotExist) {
		if data, err = v.read(v.path(s.Path)); err == nil {
			v.warn(v.path(s.byHash()) + " is missing: clients between two publishes get hash mismatches")
		}
	}
	if _, suffix := stripSuffix(s.Path); errors.Is(err, fs.ErrNotExist) && suffix == "" {
		return nil, nil
	}
	if err == nil {
		err = s.matches(data)
	}
	return data, err
}

// listed parses the indices and checks that each component and architecture
// has one, with the sum of its uncompressed form.
func (v *verification) listed(plain map[string][]byte) error {
	for _, component := range v.report.Release.Components {
		for _, arch := range v.report.Release.Architectures {
			path := component + "/binary-" + arch + "/Packages"
			text, found := plain[path]
			sum, summed := v.report.Release.sum(path)
			if !found || !summed {
				return fmt.Errorf("%s is not listed or not there", v.path(path))
			}
			if err := sum.matches(text); err != nil {
				return err
			}
			packages, err := parsePackages(text, component)
			if err != nil {
				return fmt.Errorf("%s: %w", v.path(path), err)
			}
			v.report.Packages = merge(v.report.Packages, packages)
		}
	}
	slices.SortFunc(v.report.Packages, order)
	return nil
}

func (v *verification) pool() error {
	var faults []error
	for _, p := range v.report.Packages {
		if err := v.pkg(p); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", p.Filename, err))
		}
	}
	return errors.Join(faults...)
}

func (v *verification) pkg(p Package) error {
	r, err := v.src.Open(p.Filename)
	if err != nil {
		return err
	}
	defer r.Close()
	sum, size, err := digest(r)
	if err != nil {
		return err
	}
	v.report.Files++
	v.report.Bytes += size
	if size != p.Size || sum != p.SHA256 {
		return fmt.Errorf("its size or SHA256 differs from the index (%d bytes, the index says %d)", size, p.Size)
	}
	return nil
}

// keys passes on what will go wrong with the keys within a year.
func (v *verification) keys() {
	raw, err := signing.Dearmor(v.check.Keyring)
	if err != nil {
		return
	}
	for _, f := range signing.Audit(raw, v.check.Now) {
		v.warn(f.String())
	}
}
