package signing

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Key is a secret key in this process's memory. It is a [Signer].
type Key struct {
	entity *openpgp.Entity
	signer *packet.PrivateKey // the primary key, or the newest usable signing subkey
	public []byte
}

// LoadKey is [Load] for a key in a file or an environment variable.
func LoadKey(source Source, now time.Time) (*Key, error) {
	data, err := source.read()
	if err != nil {
		return nil, err
	}
	passphrase, given, err := source.passphrase()
	if err != nil {
		return nil, err
	}
	key, err := parseKey(data, source.Key, now)
	if err == nil {
		err = key.unlock(passphrase, given)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot use %s: %w", source, err)
	}
	return key, nil
}

func parseKey(data []byte, pick string, now time.Time) (*Key, error) {
	raw, err := dearmor(data)
	if err != nil {
		return nil, err
	}
	certificate, err := pickCertificate(raw, pick)
	if err != nil {
		return nil, err
	}
	public, err := publicPart(certificate)
	if err != nil {
		return nil, err
	}
	if err := refuse(Audit(public, now)); err != nil {
		return nil, err
	}
	entity, err := openpgp.ReadEntity(packet.NewReader(bytes.NewReader(certificate)))
	if err != nil {
		return nil, fmt.Errorf("not a usable key: %w", err)
	}
	signer, err := pickSigner(entity, now)
	if err != nil {
		return nil, err
	}
	return &Key{entity: entity, signer: signer, public: public}, nil
}

// pickSigner prefers the newest signing subkey whose secret part is here, as
// gpg does, so that the primary key can stay offline.
func pickSigner(entity *openpgp.Entity, now time.Time) (*packet.PrivateKey, error) {
	var best *packet.PrivateKey
	missing := false
	for _, candidate := range signingKeys(entity, now) {
		secret := candidate.PrivateKey
		if secret == nil || secret.Dummy() {
			missing = true
			continue
		}
		if best == nil || secret.IsSubkey && secret.CreationTime.After(best.CreationTime) {
			best = secret
		}
	}
	switch {
	case best != nil:
		return best, nil
	case missing:
		return nil, fmt.Errorf("key %s has no secret part here, only the public one: export it with gpg --export-secret-keys (not --export)", fingerprint(entity.PrimaryKey))
	}
	return nil, fmt.Errorf("key %s cannot make signatures: add a signing subkey or use another key", fingerprint(entity.PrimaryKey))
}

func (k *Key) unlock(passphrase []byte, given bool) error {
	if !k.signer.Encrypted {
		return nil
	}
	if !given {
		return fmt.Errorf("key %s is locked: give its passphrase in a file or an environment variable", k.Fingerprint())
	}
	if err := k.signer.Decrypt(passphrase); err != nil {
		return fmt.Errorf("the passphrase does not unlock key %s: check it for a missing character or a line break", k.Fingerprint())
	}
	return nil
}

// usable refuses a time that clients would hold against the signature: gpgv
// rejects one made before its key, or after the key's end.
func (k *Key) usable(at time.Time) error {
	if at.Before(k.signer.CreationTime) {
		return fmt.Errorf("cannot sign at %s: key %s was made later, at %s: use a later date or an older key",
			stamp(at), k.Fingerprint(), stamp(k.signer.CreationTime))
	}
	return refuse(Audit(k.public, at))
}

// Clearsign implements [Signer].
func (k *Key) Clearsign(text []byte, at time.Time) ([]byte, error) {
	if err := k.usable(at); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w, err := clearsign.Encode(&out, k.signer, config(at))
	if err != nil {
		return nil, fmt.Errorf("cannot sign with key %s: %w", k.Fingerprint(), err)
	}
	if _, err := w.Write(bytes.TrimSuffix(text, []byte("\n"))); err != nil {
		return nil, fmt.Errorf("cannot sign with key %s: %w", k.Fingerprint(), err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("cannot sign with key %s: %w", k.Fingerprint(), err)
	}
	return append(bytes.TrimRight(out.Bytes(), "\n"), '\n'), nil
}

// Detach implements [Signer].
func (k *Key) Detach(data []byte, at time.Time) ([]byte, error) {
	if err := k.usable(at); err != nil {
		return nil, err
	}
	c := config(at)
	c.SigningKeyId = k.signer.KeyId
	var out bytes.Buffer
	if err := openpgp.DetachSign(&out, k.entity, bytes.NewReader(data), c); err != nil {
		return nil, fmt.Errorf("cannot sign with key %s: %w", k.Fingerprint(), err)
	}
	return enarmor(openpgp.SignatureType, out.Bytes())
}

// Public implements [Signer].
func (k *Key) Public() []byte { return bytes.Clone(k.public) }

// Armored implements [Signer].
func (k *Key) Armored() []byte { return armorPublic(k.public) }

// Fingerprint implements [Signer].
func (k *Key) Fingerprint() string { return fingerprint(k.entity.PrimaryKey) }

// Secret returns the secret key in armor, locked with passphrase unless that
// is empty. The caller keeps it where only the owner can read it.
func (k *Key) Secret(passphrase string) ([]byte, error) {
	if k.signer.Encrypted {
		return nil, errors.New("cannot write the secret key: it is locked")
	}
	if passphrase != "" {
		if err := k.entity.EncryptPrivateKeys([]byte(passphrase), config(k.signer.CreationTime)); err != nil {
			return nil, fmt.Errorf("cannot lock the secret key: %w", err)
		}
		defer k.entity.DecryptPrivateKeys([]byte(passphrase))
	}
	var out bytes.Buffer
	if err := k.entity.SerializePrivateWithoutSigning(&out, nil); err != nil {
		return nil, fmt.Errorf("cannot write the secret key: %w", err)
	}
	return enarmor(openpgp.PrivateKeyType, out.Bytes())
}

// fingerprint writes a key's fingerprint as gpg does, without the spaces.
func fingerprint(key *packet.PublicKey) string {
	return strings.ToUpper(fmt.Sprintf("%x", key.Fingerprint))
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
