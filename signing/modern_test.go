package signing_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/berth-oci/berth/signing"
)

func TestKeysTooNewForOldClientsAreRefused(t *testing.T) {
	tests := []struct {
		name   string
		config packet.Config
		want   string
	}{
		{"algorithm 27", packet.Config{Algorithm: packet.PubKeyAlgoEd25519}, "algorithm 27"},
		{"version 6", packet.Config{Algorithm: packet.PubKeyAlgoEd25519, V6Keys: true}, "version 6"},
		{"ed448", packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Curve: packet.Curve448}, "GnuPG 2.2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.config.Time = func() time.Time { return made }
			entity, err := openpgp.NewEntity("N", "", "n@example.org", &test.config)
			if err != nil {
				t.Fatal(err)
			}
			var secret bytes.Buffer
			if err := entity.SerializePrivateWithoutSigning(&secret, nil); err != nil {
				t.Fatal(err)
			}
			_, err = signing.Load(signing.Source{File: write(t, "k.gpg", secret.Bytes())}, signed)
			mustFail(t, err, test.want, "ed25519 sign")
		})
	}
}

func TestVersion3KeysAreRefusedByName(t *testing.T) {
	// A version 3 public key packet: tag 6, new format, version 3, time, validity, RSA, then an MPI.
	v3 := []byte{0xc6, 12, 3, 0, 0, 0, 1, 0, 0, 1, 0, 8, 0xff, 0}
	f := signing.Audit(v3, signed)
	if len(f) != 1 || !f[0].Fatal {
		t.Fatalf("findings = %v", f)
	}
	mustFail(t, errorString(f[0].String()), "version 3")
}

type errorString string

func (e errorString) Error() string { return string(e) }
