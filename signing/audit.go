package signing

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// year is how far ahead an audit looks: sqv warns that early, and it leaves
// time for a rotation.
const year = 365 * 24 * time.Hour

// Dates from which apt's sqv policy (apt's default-sequoia.config) refuses
// what it accepted before.
var (
	endOfBrainpool = time.Date(2028, 2, 1, 0, 0, 0, 0, time.UTC)
)

// Finding is one thing that is, or within a year will be, wrong with a key.
type Finding struct {
	Fingerprint string // of the primary key, where it can be read
	Problem     string // lower case, no full stop
	Remedy      string
	Fatal       bool      // some apt refuses the key at the time of the audit
	From        time.Time // when it becomes fatal, for one that is not yet
}

// String is the finding in one line: the problem, then the remedy.
func (f Finding) String() string {
	who := "the key"
	if f.Fingerprint != "" {
		who = "key " + f.Fingerprint
	}
	return who + " " + f.Problem + ": " + f.Remedy
}

// Audit says what is wrong with each key of keyring (binary) at now, and what
// will be a year later. It knows the policies of GnuPG 2.2 and later and of
// sqv as Debian 13 and Ubuntu 25.04 configure it. An empty result is a key to
// release with.
func Audit(keyring []byte, now time.Time) []Finding {
	all, err := certificates(keyring)
	if err != nil {
		return []Finding{{Problem: "cannot be read (" + err.Error() + ")", Remedy: "export it again", Fatal: true}}
	}
	var findings []Finding
	for _, certificate := range all {
		findings = append(findings, auditOne(certificate, now)...)
	}
	return findings
}

// refuse turns the fatal findings into one error.
func refuse(findings []Finding) error {
	var fatal []error
	for _, f := range findings {
		if f.Fatal {
			fatal = append(fatal, errors.New(f.String()))
		}
	}
	return errors.Join(fatal...)
}

func auditOne(certificate []byte, now time.Time) []Finding {
	list, err := packets(certificate)
	if err != nil {
		return []Finding{{Problem: "cannot be read (" + err.Error() + ")", Remedy: "export it again", Fatal: true}}
	}
	for _, p := range list {
		if err := versionError(p); err != nil {
			return []Finding{{Problem: err.Error(), Remedy: remedyNewKey, Fatal: true}}
		}
	}
	entity, err := openpgp.ReadEntity(packet.NewReader(bytes.NewReader(certificate)))
	if err != nil {
		return []Finding{{Problem: unreadable(list, err), Remedy: remedyNewKey, Fatal: true}}
	}
	a := audit{entity: entity, now: now}
	a.algorithm(entity.PrimaryKey)
	a.validity()
	a.bindings()
	a.signers()
	return a.findings
}

const remedyNewKey = "make an Ed25519 v4 key (gpg --quick-generate-key NAME ed25519 sign 2y)"

// versionError names a key packet of a version that not every apt reads.
// go-crypto would say "unsupported" of some and accept others.
func versionError(p *packet.OpaquePacket) error {
	switch p.Tag {
	case tagPublicKey, tagPublicSubkey, tagSecretKey, tagSecretSubkey:
	default:
		return nil
	}
	if v := p.Contents[0]; v != 4 {
		return fmt.Errorf("is OpenPGP version %d, which not every apt reads (only 4)", v)
	}
	return nil
}

// unreadable explains why no valid self-signature was found.
func unreadable(list []*packet.OpaquePacket, err error) string {
	for _, p := range list {
		if p.Tag == tagSignature && len(p.Contents) > 3 && p.Contents[0] == 4 && p.Contents[1] >= 0x10 && p.Contents[1] <= 0x13 {
			if name := weakHashID(p.Contents[3]); name != "" {
				return "is bound by " + name + " self-signatures, which apt refuses"
			}
		}
	}
	return "cannot be read (" + strings.TrimPrefix(err.Error(), "openpgp: ") + ")"
}

func weakHashID(id byte) string {
	return map[byte]string{1: "MD5", 2: "SHA-1", 3: "RIPEMD-160"}[id]
}

type audit struct {
	entity   *openpgp.Entity
	now      time.Time
	findings []Finding
}

func (a *audit) fatal(problem, remedy string) { a.from(a.now, problem, remedy) }

// from records a problem that starts at from, if that is within a year.
func (a *audit) from(from time.Time, problem, remedy string) {
	if from.After(a.now.Add(year)) {
		return
	}
	f := Finding{Fingerprint: fingerprint(a.entity.PrimaryKey), Problem: problem, Remedy: remedy, Fatal: !from.After(a.now)}
	if !f.Fatal {
		f.From = from
	}
	a.findings = append(a.findings, f)
}

func (a *audit) algorithm(key *packet.PublicKey) {
	switch key.PubKeyAlgo {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly:
		if bits, err := key.BitLength(); err != nil || bits < 3072 {
			a.fatal(fmt.Sprintf("is RSA of %d bits, too short (3072 or more)", bits), remedyNewKey)
		}
	case packet.PubKeyAlgoEdDSA, packet.PubKeyAlgoECDSA:
		a.curve(key)
	case packet.PubKeyAlgoDSA:
		a.fatal("is DSA, which apt refuses", remedyNewKey)
	case packet.PubKeyAlgoEd25519, packet.PubKeyAlgoEd448:
		a.fatal(fmt.Sprintf("uses algorithm %d, which GnuPG 2.2 and 2.4 do not know", key.PubKeyAlgo), remedyNewKey)
	default:
		a.fatal(fmt.Sprintf("uses algorithm %d, which not every apt verifies", key.PubKeyAlgo), remedyNewKey)
	}
}

func (a *audit) curve(key *packet.PublicKey) {
	curve, err := key.Curve()
	switch {
	case err != nil:
		a.fatal("uses an unknown curve", remedyNewKey)
	case key.PubKeyAlgo == packet.PubKeyAlgoEdDSA && curve != packet.Curve25519:
		a.fatal(fmt.Sprintf("uses curve %s, which GnuPG 2.2 does not know", curve), remedyNewKey)
	case strings.HasPrefix(string(curve), "Brainpool"):
		a.from(endOfBrainpool, "uses a Brainpool curve, which sqv refuses from 2028-02-01", remedyNewKey)
	case curve == packet.CurveSecP256k1:
		a.fatal("uses curve secp256k1, which sqv refuses", remedyNewKey)
	}
}

// validity checks the primary key's dates and revocations.
func (a *audit) validity() {
	key := a.entity.PrimaryKey
	if len(a.entity.Revocations) > 0 {
		a.fatal("is revoked", "sign with the key that replaces it")
	}
	if key.CreationTime.After(a.now) {
		a.fatal("was made in the future, at "+stamp(key.CreationTime), "correct the clock, or wait")
	}
	self, _ := a.entity.PrimarySelfSignature()
	if self == nil {
		a.fatal("has no valid self-signature", "export it again, with its user id")
		return
	}
	if end, limited := expiry(key, self); limited {
		a.expires(end, "", fingerprint(key))
	}
}

func (a *audit) expires(end time.Time, what, fpr string) {
	verb := "expires"
	if !end.After(a.now) {
		verb = "expired"
	}
	a.from(end, fmt.Sprintf("%s%s on %s", what, verb, end.UTC().Format(time.DateOnly)),
		fmt.Sprintf("extend it (gpg --quick-set-expire %s 2y) and ship the keyring anew, or rotate to a new key", fpr))
}

// bindings checks the hashes that tie user ids to the key. go-crypto verifies
// them with SHA-1 too, for old keys' sake; sqv has not since 2026-02-01.
func (a *audit) bindings() {
	for _, identity := range a.entity.Identities {
		if identity.SelfSignature == nil || len(identity.Revocations) > 0 {
			continue
		}
		if weakHash(identity.SelfSignature.Hash) {
			a.fatal(fmt.Sprintf("is bound to %q by a SHA-1 or weaker self-signature, which apt refuses", identity.Name),
				"renew it (gpg --cert-digest-algo SHA512 --quick-set-expire), or make a new key")
			return // one is enough, and map order would make the text vary
		}
	}
}

func weakHash(h crypto.Hash) bool {
	return h == crypto.SHA1 || h == crypto.MD5 || h == crypto.RIPEMD160 || h == crypto.SHA224
}

// signers checks that something can sign now and still can in a year.
func (a *audit) signers() {
	if len(signingKeys(a.entity, a.now)) == 0 && refuse(a.findings) == nil {
		a.fatal("has no part that may sign now", "add a signing subkey (gpg --quick-add-key), or extend the one that expired")
	}
	var latest time.Time
	for _, s := range a.entity.Subkeys {
		if !signingSubkey(&s, a.now) {
			continue
		}
		a.algorithm(s.PublicKey)
		if weakHash(s.Sig.Hash) || s.Sig.EmbeddedSignature != nil && weakHash(s.Sig.EmbeddedSignature.Hash) {
			a.fatal("has a signing subkey bound by SHA-1 or weaker, which apt refuses", "add a new signing subkey (gpg --quick-add-key)")
		}
		end, limited := expiry(s.PublicKey, s.Sig)
		if !limited {
			return
		}
		if end.After(latest) {
			latest = end
		}
	}
	if !latest.IsZero() {
		a.expires(latest, "has a signing subkey that ", fingerprint(a.entity.PrimaryKey))
	}
}

func expiry(key *packet.PublicKey, self *packet.Signature) (time.Time, bool) {
	if self.KeyLifetimeSecs == nil || *self.KeyLifetimeSecs == 0 {
		return time.Time{}, false
	}
	return key.CreationTime.Add(time.Duration(*self.KeyLifetimeSecs) * time.Second), true
}

// signingKeys lists the parts that may sign at now: the primary key if flagged
// so, and valid signing subkeys. Their secret part may be missing.
func signingKeys(entity *openpgp.Entity, now time.Time) []openpgp.Key {
	var keys []openpgp.Key
	self, _ := entity.PrimarySelfSignature()
	if self == nil {
		return nil
	}
	if !self.FlagsValid || self.FlagSign {
		keys = append(keys, openpgp.Key{Entity: entity, PublicKey: entity.PrimaryKey, PrivateKey: entity.PrivateKey, SelfSignature: self})
	}
	for _, s := range entity.Subkeys {
		if signingSubkey(&s, now) {
			keys = append(keys, openpgp.Key{Entity: entity, PublicKey: s.PublicKey, PrivateKey: s.PrivateKey, SelfSignature: s.Sig})
		}
	}
	return keys
}

func signingSubkey(s *openpgp.Subkey, now time.Time) bool {
	return s.Sig != nil && s.Sig.FlagsValid && s.Sig.FlagSign && len(s.Revocations) == 0 &&
		!s.PublicKey.CreationTime.After(now) && !s.PublicKey.KeyExpired(s.Sig, now)
}
