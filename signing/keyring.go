package signing

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Packet tags (RFC 9580, section 5) that begin, or belong in, a certificate.
const (
	tagSignature    = 2
	tagSecretKey    = 5
	tagPublicKey    = 6
	tagSecretSubkey = 7
	tagUserID       = 13
	tagPublicSubkey = 14
	tagUserAttr     = 17
)

// packets splits data without interpreting it, so that keys go-crypto cannot
// parse (v3, for one) can still be named in an error.
func packets(data []byte) ([]*packet.OpaquePacket, error) {
	var list []*packet.OpaquePacket
	reader := packet.NewOpaqueReader(bytes.NewReader(data))
	for {
		p, err := reader.Next()
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("not an OpenPGP key: %w", err)
		}
		if len(p.Contents) == 0 {
			return nil, errors.New("not an OpenPGP key: it holds an empty packet")
		}
		list = append(list, p)
	}
}

func serialize(list []*packet.OpaquePacket) []byte {
	var out bytes.Buffer
	for _, p := range list {
		_ = p.Serialize(&out) // a bytes.Buffer takes every write
	}
	return out.Bytes()
}

// certificates splits a keyring into one piece per primary key.
func certificates(data []byte) ([][]byte, error) {
	list, err := packets(data)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	start := -1
	for i, p := range list {
		if p.Tag != tagSecretKey && p.Tag != tagPublicKey {
			continue
		}
		if start >= 0 {
			out = append(out, serialize(list[start:i]))
		}
		start = i
	}
	if start < 0 {
		return nil, errors.New("not an OpenPGP key: it holds no key packet")
	}
	return append(out, serialize(list[start:])), nil
}

func pickCertificate(data []byte, pick string) ([]byte, error) {
	all, err := certificates(data)
	if err != nil {
		return nil, err
	}
	if pick == "" {
		if len(all) > 1 {
			return nil, fmt.Errorf("it holds %d keys: say which by its fingerprint", len(all))
		}
		return all[0], nil
	}
	wanted := strings.ToUpper(strings.TrimPrefix(strings.ReplaceAll(pick, " ", ""), "0x"))
	for _, one := range all {
		public, err := publicPart(one)
		if err != nil {
			continue
		}
		if entity, err := openpgp.ReadEntity(packet.NewReader(bytes.NewReader(public))); err == nil &&
			strings.HasSuffix(fingerprint(entity.PrimaryKey), wanted) {
			return one, nil
		}
	}
	return nil, fmt.Errorf("it holds no key %s", pick)
}

// publicPart rewrites a certificate without its secrets. The packets keep
// their order, which openpgp.Entity (a map of identities) would not: a keyring
// must have the same bytes every time.
func publicPart(certificate []byte) ([]byte, error) {
	list, err := packets(certificate)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, p := range list {
		switch p.Tag {
		case tagSecretKey, tagSecretSubkey:
			if err := publicKeyOf(p, &out); err != nil {
				return nil, err
			}
		case tagPublicKey, tagPublicSubkey, tagUserID, tagUserAttr, tagSignature:
			_ = p.Serialize(&out)
		}
	}
	return out.Bytes(), nil
}

func publicKeyOf(p *packet.OpaquePacket, out io.Writer) error {
	if err := versionError(p); err != nil {
		return fmt.Errorf("the key %w: %s", err, remedyNewKey)
	}
	parsed, err := p.Parse()
	if err != nil {
		return fmt.Errorf("not a usable key: %w", err)
	}
	secret, ok := parsed.(*packet.PrivateKey)
	if !ok {
		return errors.New("not a usable key: a secret key packet holds none")
	}
	return secret.PublicKey.Serialize(out)
}

func enarmor(kind string, data []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := armor.Encode(&out, kind, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot write armor: %w", err)
	}
	if _, err := w.Write(data); err != nil {
		return nil, fmt.Errorf("cannot write armor: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("cannot write armor: %w", err)
	}
	return append(bytes.TrimRight(out.Bytes(), "\n"), '\n'), nil
}

func armorPublic(keyring []byte) []byte {
	out, err := enarmor(openpgp.PublicKeyType, keyring)
	if err != nil {
		panic(err) // a bytes.Buffer takes every write
	}
	return out
}

// Dearmor returns the binary form of a keyring given in armor or already in
// binary.
func Dearmor(keyring []byte) ([]byte, error) {
	raw, err := dearmor(keyring)
	if err != nil {
		return nil, fmt.Errorf("cannot read the keyring: %w", err)
	}
	return raw, nil
}
