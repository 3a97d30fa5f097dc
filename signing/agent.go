package signing

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// agent signs through gpg, whose agent holds the secret key (perhaps on a
// smart card): it never enters this process.
type agent struct {
	home        string
	primary     string // fingerprint
	signer      string // fingerprint of the signing part
	made        time.Time
	public      []byte
	passphrase  []byte
	passphrased bool
}

func loadAgent(source Source, now time.Time) (Signer, error) {
	if source.File != "" || source.Env != "" {
		return nil, errors.New("cannot load the signing key: both gpg-agent and another place are named: name one")
	}
	a := &agent{home: source.GnuPGHome}
	var err error
	if a.passphrase, a.passphrased, err = source.passphrase(); err != nil {
		return nil, err
	}
	if err := a.find(source.Agent, now); err != nil {
		return nil, fmt.Errorf("cannot use %s: %w", source, err)
	}
	return a, nil
}

// find exports the public key, audits it, and asks gpg which of its signing
// parts have their secret in the agent's reach.
func (a *agent) find(name string, now time.Time) error {
	listing, err := a.gpg(nil, "--with-colons", "--list-secret-keys", "--", name)
	if err != nil {
		return fmt.Errorf("gpg has no such secret key: import it (gpg --import), or connect the card it is on (%w)", err)
	}
	secrets, primary := secretParts(string(listing))
	if strings.Count("\n"+string(listing), "\nsec:") > 1 {
		return errors.New("gpg has several such keys: name one by its fingerprint")
	}
	exported, err := a.gpg(nil, "--export-options", "export-minimal", "--export", "--", primary)
	if err != nil {
		return err
	}
	if a.public, err = publicPart(exported); err != nil {
		return err
	}
	if err := refuse(Audit(a.public, now)); err != nil {
		return err
	}
	entity, err := openpgp.ReadEntity(packet.NewReader(bytes.NewReader(a.public)))
	if err != nil {
		return err
	}
	a.primary = fingerprint(entity.PrimaryKey)
	for _, k := range signingKeys(entity, now) {
		if f := fingerprint(k.PublicKey); secrets[f] && (a.signer == "" || k.PublicKey.CreationTime.After(a.made)) {
			a.signer, a.made = f, k.PublicKey.CreationTime
		}
	}
	if a.signer == "" {
		return fmt.Errorf("the secret part of key %s is not there: import it, or connect the card it is on", a.primary)
	}
	return nil
}

// secretParts reads gpg's colon listing (doc/DETAILS in GnuPG): field 15 of a
// sec or ssb line is "#" where the secret is missing, and the fpr line after
// it has the fingerprint in field 10.
func secretParts(listing string) (present map[string]bool, primary string) {
	present = make(map[string]bool)
	usable := false
	for line := range strings.Lines(listing) {
		f := strings.Split(line, ":")
		switch {
		case (f[0] == "sec" || f[0] == "ssb") && len(f) > 14:
			usable = f[14] != "#"
		case f[0] == "fpr" && len(f) > 9:
			present[f[9]] = usable
			if primary == "" {
				primary = f[9]
			}
		}
	}
	return present, primary
}

func (a *agent) sign(verb string, data []byte, at time.Time) ([]byte, error) {
	if at.Before(a.made) {
		return nil, fmt.Errorf("cannot sign at %s: key %s was made later, at %s: use a later date or an older key",
			stamp(at), a.primary, stamp(a.made))
	}
	if err := refuse(Audit(a.public, at)); err != nil {
		return nil, err
	}
	out, err := a.gpg(data, "--armor", "--digest-algo", "SHA512", "--no-emit-version", "--no-comments",
		"--local-user", a.signer+"!", "--faked-system-time", fmt.Sprintf("%d!", at.Unix()), verb)
	if err != nil {
		return nil, fmt.Errorf("cannot sign with gpg-agent's key %s: %w", a.primary, err)
	}
	return out, nil
}

func (a *agent) Clearsign(text []byte, at time.Time) ([]byte, error) {
	out, err := a.sign("--clear-sign", text, at)
	if err != nil {
		return nil, err
	}
	if _, _, err := VerifyClearsigned(a.public, out, at); err != nil {
		return nil, fmt.Errorf("cannot sign with gpg-agent's key %s: its signature is not good: %w", a.primary, err)
	}
	return out, nil
}

func (a *agent) Detach(data []byte, at time.Time) ([]byte, error) {
	out, err := a.sign("--detach-sign", data, at)
	if err != nil {
		return nil, err
	}
	if _, err := VerifyDetached(a.public, data, out, at); err != nil {
		return nil, fmt.Errorf("cannot sign with gpg-agent's key %s: its signature is not good: %w", a.primary, err)
	}
	return out, nil
}

func (a *agent) Public() []byte      { return bytes.Clone(a.public) }
func (a *agent) Armored() []byte     { return armorPublic(a.public) }
func (a *agent) Fingerprint() string { return a.primary }

// gpg runs gpg without a terminal. A passphrase, if given, goes over a pipe:
// on the command line every process could read it.
func (a *agent) gpg(input []byte, args ...string) ([]byte, error) {
	base := []string{"--batch", "--no-tty", "--quiet", "--no-greeting"}
	if a.home != "" {
		base = append(base, "--homedir", a.home)
	}
	cmd := exec.Command("gpg")
	if a.passphrased {
		read, write, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		defer read.Close()
		if _, err := write.Write(append(bytes.Clone(a.passphrase), '\n')); err != nil {
			write.Close()
			return nil, err
		}
		write.Close()
		cmd.ExtraFiles = []*os.File{read}
		base = append(base, "--pinentry-mode", "loopback", "--passphrase-fd", "3")
	}
	cmd.Args = append(append([]string{"gpg"}, base...), args...)
	cmd.Stdin = bytes.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if err := cmd.Run(); err != nil {
		return nil, gpgError(err, stderr.String())
	}
	return stdout.Bytes(), nil
}

func gpgError(err error, stderr string) error {
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("gpg is not installed: install gnupg, or give the key in a file or an environment variable")
	case strings.Contains(stderr, "Bad passphrase"):
		return errors.New("the passphrase does not unlock the key: check it for a missing character or a line break")
	}
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	return fmt.Errorf("gpg: %s", strings.TrimPrefix(lines[len(lines)-1], "gpg: "))
}
