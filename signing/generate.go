package signing

import (
	"bytes"
	"fmt"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Generate makes a new key for name <email>, dated at and valid for lifetime
// (0 means without end). It is one Ed25519 primary key that certifies and
// signs, with no encryption subkey: nobody writes secrets to a repository.
//
// A signature can be no older than its key, so a caller who dates signatures
// by a commit must give a time no later than that commit's.
func Generate(name, email string, at time.Time, lifetime time.Duration) (*Key, error) {
	if lifetime < 0 || lifetime > 100*365*24*time.Hour {
		return nil, fmt.Errorf("cannot make a key valid for %s: use 0 (without end) to 100 years", lifetime)
	}
	c := config(at)
	c.Algorithm = packet.PubKeyAlgoEdDSA // algorithm 22; 27 is unknown to GnuPG 2.2 and 2.4
	c.Curve = packet.Curve25519
	c.KeyLifetimeSecs = uint32(lifetime / time.Second)
	entity, err := openpgp.NewEntity(name, "", email, c)
	if err != nil {
		return nil, fmt.Errorf("cannot make a key for %q <%s>: %w", name, email, err)
	}
	entity.Subkeys = nil
	var public bytes.Buffer
	if err := entity.Serialize(&public); err != nil {
		return nil, fmt.Errorf("cannot make a key for %q <%s>: %w", name, email, err)
	}
	return &Key{entity: entity, signer: entity.PrivateKey, public: public.Bytes()}, nil
}
