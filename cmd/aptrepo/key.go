package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/berth-oci/berth/signing"
)

func defineKeyGenerate(f *flags) {
	f.StringVar(&f.name, "name", "", "`NAME` of the owner, such as \"Example Archive Signing Key\"")
	f.StringVar(&f.email, "email", "", "`ADDRESS` of the owner")
	f.IntVar(&f.days, "days", 3*365, "`N` days that the key is valid, 0 for without end (default: 1095)")
	f.StringVar(&f.date, "date", "", "`DATE` of the key, RFC 3339 or @SECONDS (default: now)")
	f.StringVar(&f.passphraseFile, "passphrase-file", "", "`FILE` with a passphrase to lock the key with")
	f.StringVar(&f.passphraseEnv, "passphrase-env", "", "environment variable `NAME` with a passphrase to lock the key with")
	f.StringVar(&f.to, "out", "", "new `FILE` to write the secret key to, readable by its owner alone (default: standard output)")
}

func (a *app) keyGenerate(f *flags, operands []string) error {
	if len(operands) != 0 || f.name == "" || f.email == "" {
		return usage("key generate needs --name and --email, and takes no argument")
	}
	at := a.now
	var err error
	if f.date != "" {
		if at, err = parseTime(f.date); err != nil {
			return err
		}
	}
	key, err := signing.Generate(f.name, f.email, at, time.Duration(f.days)*24*time.Hour)
	if err != nil {
		return err
	}
	passphrase, err := signing.Source{PassphraseFile: f.passphraseFile, PassphraseEnv: f.passphraseEnv}.ReadPassphrase()
	if err != nil {
		return err
	}
	secret, err := key.Secret(passphrase)
	if err != nil {
		return err
	}
	if f.to == "" {
		_, err = a.stdout.Write(secret)
		return err
	}
	if err := writeSecret(f.to, secret); err != nil {
		return fmt.Errorf("cannot write the secret key: %w", err)
	}
	fmt.Fprintln(a.stdout, key.Fingerprint())
	return nil
}

// writeSecret never replaces a file: it might be another key.
func writeSecret(path string, secret []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(secret)
	return errors.Join(err, file.Sync(), file.Close())
}

func defineKeyAudit(f *flags) {
	f.StringVar(&f.date, "now", "", "`DATE` to audit for, RFC 3339 or @SECONDS (default: now); the year after it counts too")
}

// keyAudit reads public and secret keys alike; it needs no passphrase.
func (a *app) keyAudit(f *flags, operands []string) error {
	if len(operands) != 1 {
		return usage("key audit takes one file")
	}
	now := a.now
	var err error
	if f.date != "" {
		if now, err = parseTime(f.date); err != nil {
			return err
		}
	}
	data, err := os.ReadFile(operands[0])
	if err != nil {
		return fmt.Errorf("cannot audit the key: %w", err)
	}
	raw, err := signing.Dearmor(data)
	if err != nil {
		return err
	}
	return a.printFindings(signing.Audit(raw, now))
}

func (a *app) printFindings(findings []signing.Finding) error {
	fatal := false
	for _, finding := range findings {
		level := "warning"
		if finding.Fatal {
			level, fatal = "error", true
		}
		fmt.Fprintf(a.stdout, "%s: %s\n", level, finding)
	}
	if fatal {
		return errors.New("cannot use the key: some apt refuses it")
	}
	if len(findings) == 0 {
		fmt.Fprintln(a.stdout, "good now and for a year")
	}
	return nil
}

func defineKeyShow(f *flags) {
	f.StringVar(&f.passphraseFile, "passphrase-file", "", "`FILE` that holds the key's passphrase")
	f.StringVar(&f.passphraseEnv, "passphrase-env", "", "environment variable `NAME` that holds the key's passphrase")
	f.BoolVar(&f.binary, "binary", false, "print the binary keyring, not armor")
}

func (a *app) keyShow(f *flags, operands []string) error {
	if len(operands) != 1 {
		return usage("key show takes one key: file:PATH, env:NAME or agent:FINGERPRINT")
	}
	f.keys = list(operands)
	s, err := a.signer(f, a.now)
	if err != nil {
		return err
	}
	if f.binary {
		_, err = a.stdout.Write(s.Public())
		return err
	}
	fmt.Fprintf(a.stdout, "%s\n%s", s.Fingerprint(), s.Armored())
	return nil
}
