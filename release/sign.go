package release

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/berth-oci/berth/signing"
)

// signer is a key that has proven, before anything was built, that it can sign.
type signer struct {
	signing.Signer
	Throwaway bool // made here because none was given
}

// throwawayLife is how long a key lives that nobody asked for: long enough to try upgrades, too short to rely on.
const throwawayLife = 90 * 24 * time.Hour

// readyToSign loads the key and asks whether the repository can go on with it.
func (r *work) readyToSign(v Version) error {
	if err := r.loadKey(v); err != nil {
		return err
	}
	_, err := r.current()
	return err
}

// loadKey finds the key that the environment names, unlocks it and lets it sign once. A release so stops before its first
// long stage where the key is missing, locked, expired or of a kind that some apt refuses.
func (r *work) loadKey(v Version) error {
	source, given, err := r.keySource()
	if err != nil {
		return err
	}
	if !given && r.Official {
		return fmt.Errorf("cannot sign an official release: no signing key was given\nhint: set %[1]sKEY (the key's text), %[1]sKEY_FILE or %[1]sKEY_GPG (a fingerprint)", r.Config.KeyEnv)
	}
	if !given {
		return r.throwaway(v)
	}
	s, err := signing.Load(source, r.Now)
	if err != nil {
		return err
	}
	if _, err := s.Detach([]byte(v.Commit), r.Now); err != nil {
		return err
	}
	for _, f := range signing.Audit(s.Public(), r.Now) {
		r.tell.warn("the signing " + f.String() + fromWhen(f))
	}
	r.signer = signer{Signer: s}
	r.tell.fact("key", fmt.Sprintf("%s, from the %s", s.Fingerprint(), source))
	return nil
}

func fromWhen(f signing.Finding) string {
	if f.From.IsZero() {
		return ""
	}
	return " (from " + f.From.Format(time.DateOnly) + ")"
}

// keySource reads the variables that name the key: its text, a file, or a key of gpg-agent's; at most one of them.
func (r *work) keySource() (signing.Source, bool, error) {
	name := func(suffix string) string { return r.Config.KeyEnv + suffix }
	var source signing.Source
	var set []string
	for suffix, field := range map[string]*string{"KEY": &source.Env, "KEY_FILE": &source.File, "KEY_GPG": &source.Agent} {
		if value := os.Getenv(name(suffix)); value != "" {
			*field = value
			set = append(set, name(suffix))
		}
	}
	if source.Env != "" {
		source.Env = name("KEY")
	}
	if len(set) > 1 {
		slices.Sort(set)
		return source, false, fmt.Errorf("cannot load the signing key: %s are all set\nhint: unset all but one", strings.Join(set, " and "))
	}
	if os.Getenv(name("PASSPHRASE")) != "" {
		source.PassphraseEnv = name("PASSPHRASE")
	} else {
		source.PassphraseFile = os.Getenv(name("PASSPHRASE_FILE"))
	}
	return source, len(set) == 1, nil
}

// throwaway takes the key of the last release here that had none of its own, or makes one. It is kept, for its owner
// alone to read, so that the next snapshot is an upgrade of this one.
func (r *work) throwaway(v Version) error {
	path := filepath.Join(r.Dist, throwawayName)
	key, err := signing.LoadKey(signing.Source{File: path}, r.Now)
	switch {
	case err == nil:
	case r.dry:
		r.tell.warn("NO SIGNING KEY WAS GIVEN: a throwaway key would be made, and the repository marked unofficial.")
		return nil
	default: // missing or expired: nobody was told to trust it, so it may be replaced
		if key, err = r.makeThrowaway(path, v); err != nil {
			return err
		}
	}
	r.signer = signer{Signer: key, Throwaway: true}
	r.tell.warn(fmt.Sprintf("NO SIGNING KEY WAS GIVEN: this release is signed with the throwaway key %s.\n"+
		"The repository is marked unofficial. Do not publish it. To sign for real, set %sKEY (the key's text),\n"+
		"%sKEY_FILE or %sKEY_GPG (a fingerprint).", key.Fingerprint(), r.Config.KeyEnv, r.Config.KeyEnv, r.Config.KeyEnv))
	return nil
}

// makeThrowaway dates the key by the commit, since no signature may be older than its key.
func (r *work) makeThrowaway(path string, v Version) (*signing.Key, error) {
	born := v.CommitTime
	if born.After(r.Now) || r.Now.Sub(born) > throwawayLife/2 {
		born = r.Now
	}
	key, err := signing.Generate(r.Config.Name+" throwaway key", "throwaway@invalid", born, throwawayLife)
	if err != nil {
		return nil, err
	}
	secret, err := key.Secret("")
	if err != nil {
		return nil, err
	}
	if err := replaceFile(path, secret, 0o600); err != nil {
		return nil, fmt.Errorf("cannot keep the throwaway key: %w%s", err, remedy(err))
	}
	return key, nil
}

// signingTime is the date of a version's signatures: that of its commit, so that a second release of it gives the same
// bytes, or the key's birth where the key is younger.
func (r *work) signingTime(v Version) (time.Time, error) {
	born, err := signing.Created(r.signer.Public())
	if err != nil {
		return time.Time{}, err
	}
	at := v.CommitTime
	if born.After(at) {
		at = born
	}
	return at, nil
}

// sign writes the sums of everything a release attaches, and signs them. The packages carry no signature of their own: apt
// looks at none, and the repository's covers them.
func (r *work) sign(p Packed) (Signed, error) {
	if err := r.forget(p.Version, "sign"); err != nil {
		return Signed{}, err
	}
	r.tell.doing("sign", "signing")
	sums, err := r.sums(p)
	if err != nil {
		return Signed{}, err
	}
	at, err := r.signingTime(p.Version)
	if err != nil {
		return Signed{}, err
	}
	signature, err := r.signer.Detach(sums, at)
	if err != nil {
		return Signed{}, err
	}
	s := Signed{Packed: p, Sums: filepath.Join(r.folder(p.Version), sumsName), signer: r.signer}
	s.Signature = s.Sums + ".asc"
	if err := r.writeFile("sign", s.Sums, sums); err != nil {
		return Signed{}, err
	}
	if err := r.writeFile("sign", s.Signature, signature); err != nil {
		return Signed{}, err
	}
	return s, r.save(p.Version, "sign", r.signer.Fingerprint(), s.Sums, s.Signature)
}

// sums is the text that sha256sum --check reads, sorted by name.
func (r *work) sums(p Packed) ([]byte, error) {
	var lines []string
	for _, path := range r.attached(p) {
		sum, _, err := sumFile(path)
		if err != nil {
			return nil, fmt.Errorf("cannot sum what is released: %w", err)
		}
		lines = append(lines, sum+"  "+filepath.Base(path)+"\n")
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[64:], b[64:]) })
	return []byte(strings.Join(lines, "")), nil
}

// attached are the files of a version that its users download one by one.
func (r *work) attached(p Packed) []string {
	var paths []string
	for _, c := range p.Certified {
		paths = append(paths, c.Path)
	}
	for _, c := range p.Certificates {
		paths = append(paths, c.Path)
	}
	for _, pkg := range p.Packages {
		paths = append(paths, pkg.File)
	}
	return append(paths, filepath.Join(r.folder(p.Version), changelogName), filepath.Join(r.folder(p.Version), notesName))
}

// loadSigned reads back what the stage sign left. The signature itself is proven, not only its file's sum.
func (r *work) loadSigned(w Written) (Signed, error) {
	packed, err := r.loadPacked(w)
	if err != nil {
		return Signed{}, err
	}
	var fingerprint string
	if err := r.load(w.Version, "sign", &fingerprint); err != nil {
		return Signed{}, err
	}
	s := Signed{Packed: packed, Sums: filepath.Join(r.folder(w.Version), sumsName), signer: r.signer}
	s.Signature = s.Sums + ".asc"
	sums, err1 := os.ReadFile(s.Sums)
	signature, err2 := os.ReadFile(s.Signature)
	if err := errors.Join(err1, err2); err != nil {
		return Signed{}, fmt.Errorf("cannot go on from the stage sign: %w", err)
	}
	if _, err := signing.VerifyDetached(r.signer.Public(), sums, signature, r.Now); err != nil {
		return Signed{}, fmt.Errorf("cannot go on from the stage sign: the sums are not signed by key %s: %w\nhint: run that stage again, with the same key",
			r.signer.Fingerprint(), err)
	}
	return s, nil
}
