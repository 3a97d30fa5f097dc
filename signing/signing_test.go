package signing_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-oci/berth/signing"
)

var (
	made    = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	signed  = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	release = []byte("Origin: Example\nSuite: stable\n- dashed\n")
)

func generate(t *testing.T, name string, lifetime time.Duration) *signing.Key {
	t.Helper()
	k, err := signing.Generate(name, "key@example.org", made, lifetime)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// secretFile writes k's secret part to a file and returns its path.
func secretFile(t *testing.T, k *signing.Key, passphrase string) string {
	t.Helper()
	secret, err := k.Secret(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "secret.asc", secret)
}

func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustFail(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one that says %q", want)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func TestSignaturesAreDeterministicAndVerify(t *testing.T) {
	key := generate(t, "A", 0)
	loaded, err := signing.Load(signing.Source{File: secretFile(t, key, "")}, signed)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(loaded.Public(), key.Public()) || loaded.Fingerprint() != key.Fingerprint() {
		t.Error("the loaded key is not the generated one")
	}
	for name, sign := range map[string]func(signing.Signer) ([]byte, error){
		"clearsign": func(s signing.Signer) ([]byte, error) { return s.Clearsign(release, signed) },
		"detach":    func(s signing.Signer) ([]byte, error) { return s.Detach(release, signed) },
	} {
		one, err := sign(key)
		if err != nil {
			t.Fatal(err)
		}
		two, err := sign(loaded)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(one, two) {
			t.Errorf("%s: the same key, text and time gave different bytes", name)
		}
	}
	message, _ := key.Clearsign(release, signed)
	text, by, err := signing.VerifyClearsigned(key.Armored(), message, signed)
	if err != nil || !bytes.Equal(text, release) || len(by) != 1 || by[0] != key.Fingerprint() {
		t.Errorf("VerifyClearsigned = %q, %v, %v", text, by, err)
	}
	detached, _ := key.Detach(release, signed)
	if by, err := signing.VerifyDetached(key.Public(), release, detached, signed); err != nil || len(by) != 1 {
		t.Errorf("VerifyDetached = %v, %v", by, err)
	}
}

func TestEveryFlippedByteOfAMessageIsRefusedOrHarmless(t *testing.T) {
	key := generate(t, "A", 0)
	message, err := key.Clearsign(release, signed)
	if err != nil {
		t.Fatal(err)
	}
	start := bytes.Index(message, []byte("\n\n")) + 2
	end := bytes.Index(message, []byte("\n-----BEGIN PGP SIGNATURE"))
	for i := start; i < end; i++ {
		flipped := bytes.Clone(message)
		flipped[i] ^= 1
		text, _, err := signing.VerifyClearsigned(key.Public(), flipped, signed)
		if err == nil && !bytes.Equal(text, release) {
			t.Fatalf("byte %d of the text flipped, and the signature is still good over %q", i, text)
		}
	}
	mustFail(t, second(signing.VerifyClearsigned(key.Public(), append([]byte("x\n"), message...), signed)), "stands before")
	mustFail(t, second(signing.VerifyClearsigned(key.Public(), append(bytes.Clone(message), "x\n"...), signed)), "after the message")
	mustFail(t, second(signing.VerifyClearsigned(generate(t, "B", 0).Public(), message, signed)), "none is by a key of the keyring")
}

func second(_ []byte, _ []string, err error) error { return err }

func TestJoinedSignaturesVerifyWithEitherKey(t *testing.T) {
	old, young := generate(t, "Old", 0), generate(t, "New", 0)
	both, err := signing.Join(old, young)
	if err != nil {
		t.Fatal(err)
	}
	message, err := both.Clearsign(release, signed)
	if err != nil {
		t.Fatal(err)
	}
	detached, err := both.Detach(release, signed)
	if err != nil {
		t.Fatal(err)
	}
	for _, keyring := range [][]byte{old.Public(), young.Public(), both.Armored()} {
		text, _, err := signing.VerifyClearsigned(keyring, message, signed)
		if err != nil || !bytes.Equal(text, release) {
			t.Errorf("clearsigned: %q, %v", text, err)
		}
		if _, err := signing.VerifyDetached(keyring, release, detached, signed); err != nil {
			t.Errorf("detached: %v", err)
		}
	}
	if list, err := signing.Fingerprints(both.Public()); err != nil || strings.Join(list, ",") != both.Fingerprint() {
		t.Errorf("Fingerprints = %v, %v; want %s", list, err, both.Fingerprint())
	}
	_, err = signing.Join(old, old)
	mustFail(t, err, "twice")
}

func TestKeysLoadFromEveryPlace(t *testing.T) {
	key := generate(t, "A", 0)
	armored, err := key.Secret("")
	if err != nil {
		t.Fatal(err)
	}
	binary, err := signing.Dearmor(armored)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("K_ARMORED", string(armored))
	t.Setenv("K_B64", base64.StdEncoding.EncodeToString(binary))
	t.Setenv("K_B64_ARMORED", base64.StdEncoding.EncodeToString(armored))
	for _, text := range []string{write(t, "k.asc", armored), "file:" + write(t, "k.gpg", binary),
		"env:K_ARMORED", "env:K_B64", "env:K_B64_ARMORED", "env:K_ARMORED#" + key.Fingerprint()[24:]} {
		source, err := signing.ParseSource(text)
		if err != nil {
			t.Fatal(err)
		}
		loaded, err := signing.Load(source, signed)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if loaded.Fingerprint() != key.Fingerprint() {
			t.Errorf("%s: another key", text)
		}
	}
}

func TestAKeyringOfSeveralNeedsAChoice(t *testing.T) {
	a, b := generate(t, "A", 0), generate(t, "B", 0)
	both := bytes.Join([][]byte{rawSecret(t, a), rawSecret(t, b)}, nil)
	path := write(t, "both.gpg", both)
	_, err := signing.Load(signing.Source{File: path}, signed)
	mustFail(t, err, "2 keys", "fingerprint")
	s, err := signing.Load(signing.Source{File: path, Key: b.Fingerprint()}, signed)
	if err != nil || s.Fingerprint() != b.Fingerprint() {
		t.Errorf("Load = %v, %v", s, err)
	}
	_, err = signing.Load(signing.Source{File: path, Key: "0000"}, signed)
	mustFail(t, err, "no key 0000")
}

func rawSecret(t *testing.T, k *signing.Key) []byte {
	t.Helper()
	armored, err := k.Secret("")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := signing.Dearmor(armored)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestPassphrases(t *testing.T) {
	key := generate(t, "A", 0)
	path := secretFile(t, key, "open sesame")
	if _, err := key.Clearsign(release, signed); err != nil {
		t.Errorf("writing a locked copy locked the key itself: %v", err)
	}
	t.Setenv("PASS", "open sesame")
	for _, s := range []signing.Source{
		{File: path, Passphrase: "open sesame"},
		{File: path, PassphraseFile: write(t, "pass", []byte("open sesame\n"))},
		{File: path, PassphraseEnv: "PASS"},
	} {
		loaded, err := signing.Load(s, signed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := loaded.Clearsign(release, signed); err != nil {
			t.Error(err)
		}
	}
	_, err := signing.Load(signing.Source{File: path}, signed)
	mustFail(t, err, "locked", "give its passphrase")
	_, err = signing.Load(signing.Source{File: path, Passphrase: "wrong"}, signed)
	mustFail(t, err, "does not unlock")
	_, err = signing.Load(signing.Source{File: path, PassphraseEnv: "UNSET_PASS"}, signed)
	mustFail(t, err, "UNSET_PASS is not set")
}

func TestUnusableKeysAreRefusedEarlyWithTheRemedy(t *testing.T) {
	key := generate(t, "A", 90*24*time.Hour)
	path := secretFile(t, key, "")
	_, err := signing.Load(signing.Source{File: path}, made.AddDate(1, 0, 0))
	mustFail(t, err, "expired on 2026-04-02", "--quick-set-expire", key.Fingerprint())
	_, err = signing.Load(signing.Source{File: path}, made.AddDate(-1, 0, 0))
	mustFail(t, err, "made in the future")
	_, err = key.Clearsign(release, made.Add(-time.Second))
	mustFail(t, err, "was made later")
	_, err = key.Detach(release, made.AddDate(1, 0, 0))
	mustFail(t, err, "expired")

	_, err = signing.Load(signing.Source{File: write(t, "pub.gpg", key.Public())}, signed)
	mustFail(t, err, "no secret part", "--export-secret-keys")
	_, err = signing.Load(signing.Source{File: write(t, "junk", []byte("hello, world"))}, signed)
	mustFail(t, err, "not an OpenPGP key")
	_, err = signing.Load(signing.Source{File: filepath.Join(t.TempDir(), "none")}, signed)
	mustFail(t, err, "no such file")
	_, err = signing.Load(signing.Source{Env: "UNSET_KEY"}, signed)
	mustFail(t, err, "UNSET_KEY is not set", "--export-secret-keys")
	_, err = signing.Load(signing.Source{}, signed)
	mustFail(t, err, "none was named")
	_, err = signing.Load(signing.Source{File: path, Env: "X"}, signed)
	mustFail(t, err, "name one")
}

func TestAuditLooksAYearAhead(t *testing.T) {
	if f := signing.Audit(generate(t, "A", 0).Public(), signed); len(f) != 0 {
		t.Errorf("a fresh key without end has findings: %v", f)
	}
	if f := signing.Audit(generate(t, "A", 3*365*24*time.Hour).Public(), signed); len(f) != 0 {
		t.Errorf("a key with years left has findings: %v", f)
	}
	f := signing.Audit(generate(t, "A", 300*24*time.Hour).Public(), signed)
	if len(f) != 1 || f[0].Fatal || !strings.Contains(f[0].String(), "expires on 2026-10-29") || f[0].From.IsZero() {
		t.Errorf("findings of a key that ends within the year: %v", f)
	}
}

func TestParseSourceRefusesNonsense(t *testing.T) {
	for _, text := range []string{"", "file:", "env:", "agent:", "card:x"} {
		if s, err := signing.ParseSource(text); err == nil {
			t.Errorf("ParseSource(%q) = %v, no error", text, s)
		}
	}
	s, err := signing.ParseSource("agent:ABCD")
	if err != nil || s.Agent != "ABCD" {
		t.Errorf("ParseSource = %v, %v", s, err)
	}
}
