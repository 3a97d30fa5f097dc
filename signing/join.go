package signing

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
)

// joined signs with several signers of any kind and puts their signatures into
// one message: gpgv and sqv accept it when they trust any one of the keys.
type joined []Signer

var signatureLine = []byte("\n-----BEGIN PGP SIGNATURE-----")

func (j joined) Clearsign(text []byte, at time.Time) ([]byte, error) {
	var head []byte
	var signatures bytes.Buffer
	for _, s := range j {
		message, err := s.Clearsign(text, at)
		if err != nil {
			return nil, err
		}
		before, block, found := cutLast(message, signatureLine)
		if !found || head != nil && !bytes.Equal(head, before) {
			return nil, fmt.Errorf("cannot sign with several keys: key %s signed another text than the first", s.Fingerprint())
		}
		head = before
		if err := addSignatures(&signatures, block); err != nil {
			return nil, err
		}
	}
	block, err := enarmor(openpgp.SignatureType, signatures.Bytes())
	if err != nil {
		return nil, err
	}
	return append(append(bytes.Clone(head), '\n'), block...), nil
}

func cutLast(data, sep []byte) (before, after []byte, found bool) {
	i := bytes.LastIndex(data, sep)
	if i < 0 {
		return nil, nil, false
	}
	return data[:i], data[i+1:], true
}

func addSignatures(out *bytes.Buffer, armored []byte) error {
	block, err := armor.Decode(bytes.NewReader(armored))
	if err != nil {
		return fmt.Errorf("cannot sign with several keys: %w", err)
	}
	if block.Type != openpgp.SignatureType {
		return errors.New("cannot sign with several keys: one of them made no signature")
	}
	_, err = io.Copy(out, block.Body)
	return err
}

func (j joined) Detach(data []byte, at time.Time) ([]byte, error) {
	var signatures bytes.Buffer
	for _, s := range j {
		block, err := s.Detach(data, at)
		if err != nil {
			return nil, err
		}
		if err := addSignatures(&signatures, block); err != nil {
			return nil, err
		}
	}
	return enarmor(openpgp.SignatureType, signatures.Bytes())
}

func (j joined) Public() []byte {
	var out []byte
	for _, s := range j {
		out = append(out, s.Public()...)
	}
	return out
}

func (j joined) Armored() []byte { return armorPublic(j.Public()) }

func (j joined) Fingerprint() string {
	var all []string
	for _, s := range j {
		all = append(all, s.Fingerprint())
	}
	return strings.Join(all, ",")
}
