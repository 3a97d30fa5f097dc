package signing

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
)

// Source says where a secret key is, and what unlocks it. Exactly one of File,
// Env and Agent is set.
type Source struct {
	File  string // path of an exported secret key, armored or binary
	Env   string // name of a variable that holds one: armored, or base64 of either form
	Agent string // fingerprint, key id or user id of a key that gpg-agent holds

	// Key picks one key, by fingerprint or its tail, out of a File or Env that
	// holds several.
	Key string

	// GnuPGHome is gpg's home directory, for Agent; empty means gpg's default.
	GnuPGHome string

	// At most one of these unlocks the key. A trailing newline in the file is
	// not part of the passphrase.
	Passphrase     string
	PassphraseFile string // path
	PassphraseEnv  string // name of a variable
}

// ParseSource reads the short form that command lines and settings use:
// file:PATH, env:NAME, agent:KEY, or a bare path. The first two may end in
// #FINGERPRINT to pick one key of several.
func ParseSource(text string) (Source, error) {
	kind, rest, found := strings.Cut(text, ":")
	if !found || strings.Contains(kind, "/") {
		kind, rest = "file", text
	}
	if kind == "agent" {
		return Source{Agent: rest}, emptySource(text, rest)
	}
	rest, key, _ := strings.Cut(rest, "#")
	switch kind {
	case "file":
		return Source{File: rest, Key: key}, emptySource(text, rest)
	case "env":
		return Source{Env: rest, Key: key}, emptySource(text, rest)
	}
	return Source{}, fmt.Errorf("cannot read key source %q: unknown kind %q: use file:PATH, env:NAME or agent:KEY", text, kind)
}

func emptySource(text, rest string) error {
	if rest == "" {
		return fmt.Errorf("cannot read key source %q: nothing after the kind: use file:PATH, env:NAME or agent:KEY", text)
	}
	return nil
}

// String names the source in messages; it never shows a secret.
func (s Source) String() string {
	switch {
	case s.File != "":
		return "key file " + s.File
	case s.Env != "":
		return "environment variable " + s.Env
	case s.Agent != "":
		return "gpg-agent's key " + s.Agent
	}
	return "no key"
}

// read returns the bytes of the key as they were given.
func (s Source) read() ([]byte, error) {
	switch {
	case s.File != "" && s.Env != "":
		return nil, errors.New("cannot load the signing key: both a file and an environment variable are named: name one")
	case s.File != "":
		data, err := os.ReadFile(s.File)
		if err != nil {
			return nil, fmt.Errorf("cannot load the signing key: %w", err)
		}
		return data, nil
	case s.Env != "":
		value := os.Getenv(s.Env)
		if value == "" {
			return nil, fmt.Errorf("cannot load the signing key: environment variable %s is not set or empty: set it to the output of gpg --armor --export-secret-keys KEY", s.Env)
		}
		return []byte(value), nil
	}
	return nil, errors.New("cannot load the signing key: none was named: give a key file, an environment variable or gpg-agent's key")
}

// passphrase returns what unlocks the key, and whether anything was given.
func (s Source) passphrase() ([]byte, bool, error) {
	switch {
	case s.PassphraseFile != "":
		data, err := os.ReadFile(s.PassphraseFile)
		if err != nil {
			return nil, false, fmt.Errorf("cannot read the passphrase: %w", err)
		}
		return bytes.TrimRight(data, "\r\n"), true, nil
	case s.PassphraseEnv != "":
		value, set := os.LookupEnv(s.PassphraseEnv)
		if !set {
			return nil, false, fmt.Errorf("cannot read the passphrase: environment variable %s is not set", s.PassphraseEnv)
		}
		return []byte(value), true, nil
	}
	return []byte(s.Passphrase), s.Passphrase != "", nil
}

// ReadPassphrase returns the passphrase that the source names, or "" for none.
func (s Source) ReadPassphrase() (string, error) {
	passphrase, _, err := s.passphrase()
	return string(passphrase), err
}

// dearmor returns the packets of a key given in armor, in binary, or as base64
// of either (environment variables cannot hold binary, and some CI systems
// flatten lines).
func dearmor(data []byte) ([]byte, error) {
	trimmed := bytes.TrimSpace(data)
	if bytes.HasPrefix(trimmed, []byte("-----BEGIN ")) {
		return dearmorBlock(trimmed)
	}
	if len(data) > 0 && data[0]&0x80 != 0 {
		return data, nil // every OpenPGP packet starts with the high bit set (RFC 9580, section 4.2)
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(trimmed)), ""))
	if err != nil || len(decoded) == 0 {
		return nil, errors.New("not an OpenPGP key: it is neither armored, nor binary, nor base64 of those")
	}
	if decoded[0]&0x80 == 0 {
		return dearmorBlock(bytes.TrimSpace(decoded))
	}
	return decoded, nil
}

func dearmorBlock(data []byte) ([]byte, error) {
	block, err := armor.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("broken armor: %w", err)
	}
	if block.Type != openpgp.PrivateKeyType && block.Type != openpgp.PublicKeyType {
		return nil, fmt.Errorf("the armor holds a %s, not a key", block.Type)
	}
	var out bytes.Buffer
	if _, err := out.ReadFrom(block.Body); err != nil {
		return nil, fmt.Errorf("broken armor: %w", err)
	}
	return out.Bytes(), nil
}
