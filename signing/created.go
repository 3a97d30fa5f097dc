package signing

import (
	"bytes"
	"fmt"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
)

// Created returns when the youngest key of a keyring (binary), subkeys included, was made. No signature may be dated
// before the key that makes it, so a caller who dates signatures by something older takes this time instead.
func Created(keyring []byte) (time.Time, error) {
	entities, err := openpgp.ReadKeyRing(bytes.NewReader(keyring))
	if err != nil {
		return time.Time{}, fmt.Errorf("cannot read the keyring: %w", err)
	}
	var youngest time.Time
	for _, e := range entities {
		if e.PrimaryKey.CreationTime.After(youngest) {
			youngest = e.PrimaryKey.CreationTime
		}
		for _, sub := range e.Subkeys {
			if sub.PublicKey.CreationTime.After(youngest) {
				youngest = sub.PublicKey.CreationTime
			}
		}
	}
	return youngest.UTC(), nil
}
