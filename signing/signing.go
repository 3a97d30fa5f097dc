// Package signing makes and checks the OpenPGP signatures that apt trusts.
//
// The parties: a publisher holds a secret key (in a file, in an environment
// variable, or behind gpg-agent) and signs a repository's Release file with
// it. A client holds the public keyring, installed by the keyring package or
// downloaded once, and believes nothing else: not the server, not the network.
// So everything here serves one promise, that a signature made today verifies
// on every apt in use today and a year from now:
//
//   - keys are OpenPGP v4; new ones are Ed25519 as EdDSALegacy (algorithm 22),
//     the only form that GnuPG 2.2, GnuPG 2.4 and Sequoia's sqv all read;
//   - signatures use SHA-512 and are deterministic: the same key, text and time
//     give the same bytes, so that two builds of one commit do not differ;
//   - a key that some apt would refuse is refused here first, by [Load], with
//     the remedy in the error. See [Audit].
package signing

import (
	"crypto"
	"errors"
	"fmt"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Signer signs for one key, or for several at once (see [Join]).
type Signer interface {
	// Clearsign returns text as an OpenPGP cleartext message (an InRelease
	// file), dated at. The last newline of text is not part of what is
	// signed, as in gpg's own messages.
	Clearsign(text []byte, at time.Time) ([]byte, error)

	// Detach returns an armored detached signature of data (a Release.gpg
	// file), dated at.
	Detach(data []byte, at time.Time) ([]byte, error)

	// Public returns the certificates that verify these signatures, as a
	// binary keyring: the form that Signed-By takes in a file named *.gpg.
	Public() []byte

	// Armored returns the same certificates in armor, one block: the form
	// that Signed-By takes in a file named *.asc or within a .sources file.
	Armored() []byte

	// Fingerprint returns the primary key's fingerprint in upper-case hex
	// without spaces; of several keys, those separated by commas.
	Fingerprint() string
}

// Load finds the secret key that source names, unlocks it, and audits it at
// now. It fails, naming the remedy, for a key that any supported apt would
// refuse at now; what will only go wrong within the year after is left to
// [Audit], which reports it as a warning.
func Load(source Source, now time.Time) (Signer, error) {
	if source.Agent != "" {
		return loadAgent(source, now)
	}
	return LoadKey(source, now)
}

// Join returns a Signer that signs with each of signers, in order: the old and
// the new key, for the weeks of a rotation in which clients may hold either.
func Join(signers ...Signer) (Signer, error) {
	switch len(signers) {
	case 0:
		return nil, errors.New("cannot sign: no key was given")
	case 1:
		return signers[0], nil
	}
	seen := make(map[string]bool)
	for _, s := range signers {
		if seen[s.Fingerprint()] {
			return nil, fmt.Errorf("cannot sign twice with key %s: name each key once", s.Fingerprint())
		}
		seen[s.Fingerprint()] = true
	}
	return joined(signers), nil
}

// config is how every signature here is made. The salt notation that go-crypto
// adds by default would make each signature different.
func config(at time.Time) *packet.Config {
	salted := false
	return &packet.Config{
		DefaultHash:                           crypto.SHA512,
		Time:                                  func() time.Time { return at },
		NonDeterministicSignaturesViaNotation: &salted,
	}
}
