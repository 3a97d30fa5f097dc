package signing

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

var clearsignStart = []byte("-----BEGIN PGP SIGNED MESSAGE-----\n")

// VerifyClearsigned checks a cleartext message (an InRelease file) as apt does
// and returns the signed text, with its last newline, and the fingerprints of
// the keys of keyring that signed it. It is as strict as apt: nothing may
// stand before or after the message, at least one signature must be good at
// now, and none by a key of keyring may be bad.
func VerifyClearsigned(keyring, message []byte, now time.Time) (text []byte, by []string, err error) {
	if !bytes.HasPrefix(message, clearsignStart) {
		return nil, nil, errors.New("cannot verify the signature: not a cleartext signed message, or something stands before it")
	}
	block, rest := clearsign.Decode(message)
	if block == nil {
		return nil, nil, errors.New("cannot verify the signature: the cleartext message is broken")
	}
	if len(bytes.TrimSpace(rest)) != 0 {
		return nil, nil, errors.New("cannot verify the signature: unsigned text stands after the message")
	}
	signatures, err := io.ReadAll(block.ArmoredSignature.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot verify the signature: broken armor: %w", err)
	}
	by, err = verify(keyring, block.Bytes, signatures, now)
	if err != nil {
		return nil, nil, err
	}
	return append(bytes.TrimSuffix(block.Plaintext, []byte("\n")), '\n'), by, nil
}

// VerifyDetached checks a detached signature (a Release.gpg file), armored or
// binary, of data, and returns the fingerprints of the keys of keyring that
// made it. Its strictness is that of [VerifyClearsigned].
func VerifyDetached(keyring, data, signature []byte, now time.Time) (by []string, err error) {
	if bytes.HasPrefix(bytes.TrimSpace(signature), []byte("-----BEGIN ")) {
		block, err := armor.Decode(bytes.NewReader(signature))
		if err != nil {
			return nil, fmt.Errorf("cannot verify the signature: broken armor: %w", err)
		}
		if block.Type != openpgp.SignatureType {
			return nil, fmt.Errorf("cannot verify the signature: the armor holds a %s", block.Type)
		}
		if signature, err = io.ReadAll(block.Body); err != nil {
			return nil, fmt.Errorf("cannot verify the signature: broken armor: %w", err)
		}
	}
	return verify(keyring, data, signature, now)
}

// verify checks each signature packet by itself: go-crypto stops at the first
// that it knows the key of.
func verify(keyring, data, signatures []byte, now time.Time) ([]string, error) {
	keys, err := readKeyring(keyring)
	if err != nil {
		return nil, err
	}
	list, err := packets(signatures)
	if err != nil {
		return nil, errors.New("cannot verify the signature: it is broken")
	}
	var by, unknown []string
	for _, p := range list {
		issuer, known, err := verifyOne(keys, data, p, now)
		switch {
		case err != nil:
			return nil, err
		case known:
			by = append(by, issuer)
		default:
			unknown = append(unknown, issuer)
		}
	}
	if len(by) == 0 {
		return nil, fmt.Errorf("cannot verify the signature: none is by a key of the keyring (made by %v)", unknown)
	}
	return by, nil
}

func verifyOne(keys openpgp.EntityList, data []byte, p *packet.OpaquePacket, now time.Time) (issuer string, known bool, err error) {
	parsed, err := p.Parse()
	if err != nil {
		return "", false, fmt.Errorf("cannot verify the signature: %w", err)
	}
	sig, ok := parsed.(*packet.Signature)
	if !ok || sig.IssuerKeyId == nil {
		return "", false, errors.New("cannot verify the signature: it names no key")
	}
	if len(keys.KeysById(*sig.IssuerKeyId)) == 0 {
		return fmt.Sprintf("%016X", *sig.IssuerKeyId), false, nil
	}
	if weakHash(sig.Hash) {
		return "", true, fmt.Errorf("cannot accept the signature by key %016X: it uses SHA-1 or weaker", *sig.IssuerKeyId)
	}
	if sig.CreationTime.After(now) {
		return "", true, fmt.Errorf("the signature by key %016X was made in the future, at %s: correct the clock, or wait", *sig.IssuerKeyId, stamp(sig.CreationTime))
	}
	_, entity, err := openpgp.VerifyDetachedSignature(keys, bytes.NewReader(data), bytes.NewReader(serialize([]*packet.OpaquePacket{p})), config(now))
	if err != nil {
		return "", true, fmt.Errorf("bad signature by key %016X: %w", *sig.IssuerKeyId, err)
	}
	return fingerprint(entity.PrimaryKey), true, nil
}

func readKeyring(keyring []byte) (openpgp.EntityList, error) {
	raw, err := dearmor(keyring)
	if err != nil {
		return nil, fmt.Errorf("cannot read the keyring: %w", err)
	}
	list, err := openpgp.ReadKeyRing(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("cannot read the keyring: %w", err)
	}
	return list, nil
}

// Fingerprints lists the primary keys of a keyring, armored or binary, in the
// order they stand there.
func Fingerprints(keyring []byte) ([]string, error) {
	list, err := readKeyring(keyring)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, e := range list {
		all = append(all, fingerprint(e.PrimaryKey))
	}
	return all, nil
}
