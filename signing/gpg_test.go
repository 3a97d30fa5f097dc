package signing_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-oci/berth/signing"
)

// gpgHome is a throwaway GnuPG home directory. Its path is short: agent
// sockets have at most 107 bytes.
type gpgHome string

func newGPG(t *testing.T) gpgHome {
	t.Helper()
	if _, err := exec.LookPath("gpg"); err != nil {
		t.Skip("gpg is not installed")
	}
	dir, err := os.MkdirTemp("", "gpg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", dir, "--kill", "all").Run()
		os.RemoveAll(dir)
	})
	return gpgHome(dir)
}

func (h gpgHome) run(t *testing.T, input []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("gpg", append([]string{"--homedir", string(h), "--batch", "--quiet", "--no-tty",
		"--pinentry-mode", "loopback", "--passphrase", ""}, args...)...)
	cmd.Stdin = bytes.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("gpg %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.Bytes()
}

// quick makes a key in h and returns its exported secret part.
func (h gpgHome) quick(t *testing.T, args ...string) []byte {
	t.Helper()
	h.run(t, nil, args...)
	return h.run(t, nil, "--export-secret-keys")
}

func TestGnuPGAcceptsOurKeysAndSignatures(t *testing.T) {
	h := newGPG(t)
	a, b := generate(t, "A", 0), generate(t, "B", 0)
	both, err := signing.Join(a, b)
	if err != nil {
		t.Fatal(err)
	}
	keyring := write(t, "ring.gpg", both.Public())
	message, err := both.Clearsign(release, signed)
	if err != nil {
		t.Fatal(err)
	}
	detached, err := both.Detach(release, signed)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("gpgv", "--keyring", keyring, "--status-fd", "1", write(t, "InRelease", message)).CombinedOutput()
	if err != nil || strings.Count(string(out), "GOODSIG") != 2 {
		t.Errorf("gpgv InRelease: %v\n%s", err, out)
	}
	out, err = exec.Command("gpgv", "--keyring", keyring, "--status-fd", "1", write(t, "Release.gpg", detached), write(t, "Release", release)).CombinedOutput()
	if err != nil || strings.Count(string(out), "GOODSIG") != 2 {
		t.Errorf("gpgv Release.gpg: %v\n%s", err, out)
	}
	h.run(t, a.Armored(), "--import")
	secret, err := a.Secret("pw")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("gpg", "--homedir", string(h), "--batch", "--pinentry-mode", "loopback", "--passphrase", "pw", "--import")
	cmd.Stdin = bytes.NewReader(secret)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "secret keys imported: 1") {
		t.Errorf("gpg --import of our locked secret key: %v\n%s", err, out)
	}
}

func TestWeakKeysOfGnuPGAreRefusedWithTheReason(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"rsa2048", []string{"--quick-gen-key", "R <r@example.org>", "rsa2048", "sign", "0"}, "RSA of 2048 bits"},
		{"dsa", []string{"--quick-gen-key", "D <d@example.org>", "dsa2048", "sign", "0"}, "DSA"},
		{"sha1", []string{"--cert-digest-algo", "SHA1", "--quick-gen-key", "S <s@example.org>", "ed25519", "sign", "0"}, "SHA-1"},
		{"secp256k1", []string{"--quick-gen-key", "K <k@example.org>", "secp256k1", "sign", "0"}, "secp256k1"},
		{"certify only", []string{"--quick-gen-key", "C <c@example.org>", "ed25519", "cert", "0"}, "no part that may sign"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, "k.gpg", newGPG(t).quick(t, test.args...))
			_, err := signing.Load(signing.Source{File: path}, time.Now())
			mustFail(t, err, test.want, path)
		})
	}
}

func TestBrainpoolIsAWarningAYearAheadAndThenRefused(t *testing.T) {
	raw := newGPG(t).quick(t, "--faked-system-time", "20260101T000000!", "--quick-gen-key", "B <b@example.org>", "brainpoolP256r1", "sign", "0")
	path := write(t, "k.gpg", raw)
	s, err := signing.Load(signing.Source{File: path}, time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	if f := signing.Audit(s.Public(), time.Date(2027, 6, 1, 0, 0, 0, 0, time.UTC)); len(f) != 1 || f[0].Fatal {
		t.Errorf("in 2027: %v", f)
	}
	_, err = signing.Load(signing.Source{File: path}, time.Date(2028, 6, 1, 0, 0, 0, 0, time.UTC))
	mustFail(t, err, "Brainpool", "2028-02-01")
}

func TestRevokedAndStrippedKeysAreRefused(t *testing.T) {
	h := newGPG(t)
	h.run(t, nil, "--quick-gen-key", "R <r@example.org>", "ed25519", "cert,sign", "0")
	fpr := firstFingerprint(t, h)
	h.run(t, nil, "--quick-add-key", fpr, "ed25519", "sign", "0")

	t.Run("offline primary key signs with its subkey", func(t *testing.T) {
		path := write(t, "sub.gpg", h.run(t, nil, "--export-secret-subkeys"))
		s, err := signing.Load(signing.Source{File: path}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(time.Second)
		message, err := s.Clearsign(release, at)
		if err != nil {
			t.Fatal(err)
		}
		if _, by, err := signing.VerifyClearsigned(s.Public(), message, at); err != nil || by[0] != fpr {
			t.Errorf("verify = %v, %v", by, err)
		}
	})
	certificate, err := os.ReadFile(filepath.Join(string(h), "openpgp-revocs.d", fpr+".rev"))
	if err != nil {
		t.Fatal(err)
	}
	h.run(t, bytes.Replace(certificate, []byte(":-----BEGIN"), []byte("-----BEGIN"), 1), "--import")
	path := write(t, "revoked.gpg", h.run(t, nil, "--export-secret-keys"))
	_, err = signing.Load(signing.Source{File: path}, time.Now())
	mustFail(t, err, "revoked", "key that replaces it")
}

func firstFingerprint(t *testing.T, h gpgHome) string {
	t.Helper()
	for line := range strings.Lines(string(h.run(t, nil, "--with-colons", "--list-secret-keys"))) {
		if f := strings.Split(line, ":"); f[0] == "fpr" {
			return f[9]
		}
	}
	t.Fatal("no key")
	return ""
}

func TestTheAgentSignsWithTheSameBytesAsTheKeyItself(t *testing.T) {
	h := newGPG(t)
	key := generate(t, "A", 0)
	secret, err := key.Secret("")
	if err != nil {
		t.Fatal(err)
	}
	h.run(t, secret, "--import")
	s, err := signing.Load(signing.Source{Agent: key.Fingerprint(), GnuPGHome: string(h)}, signed)
	if err != nil {
		t.Fatal(err)
	}
	one, err := s.Clearsign(release, signed)
	if err != nil {
		t.Fatal(err)
	}
	two, err := s.Clearsign(release, signed)
	if err != nil || !bytes.Equal(one, two) {
		t.Errorf("two messages differ (%v)", err)
	}
	text, by, err := signing.VerifyClearsigned(key.Public(), one, signed)
	if err != nil || !bytes.Equal(text, release) || by[0] != key.Fingerprint() {
		t.Errorf("verify = %q, %v, %v", text, by, err)
	}
	both, err := signing.Join(s, generate(t, "B", 0))
	if err != nil {
		t.Fatal(err)
	}
	message, err := both.Clearsign(release, signed)
	if err != nil {
		t.Fatal(err)
	}
	if _, by, err := signing.VerifyClearsigned(both.Public(), message, signed); err != nil || len(by) != 2 {
		t.Errorf("agent and file together: %v, %v", by, err)
	}
	_, err = signing.Load(signing.Source{Agent: "0123456789ABCDEF", GnuPGHome: string(h)}, signed)
	mustFail(t, err, "no such secret key", "import it")
	_, err = s.Detach(release, made.Add(-time.Hour))
	mustFail(t, err, "was made later")
}

func TestTheAgentUnlocksWithAPassphrase(t *testing.T) {
	h := newGPG(t)
	key := generate(t, "A", 0)
	secret, err := key.Secret("sesame")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("gpg", "--homedir", string(h), "--batch", "--pinentry-mode", "loopback", "--passphrase", "sesame", "--import")
	cmd.Stdin = bytes.NewReader(secret)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_ = exec.Command("gpgconf", "--homedir", string(h), "--kill", "all").Run() // forget what the import unlocked
	wrong, err := signing.Load(signing.Source{Agent: key.Fingerprint(), GnuPGHome: string(h), Passphrase: "wrong"}, signed)
	if err != nil {
		t.Fatal(err)
	}
	_, err = wrong.Clearsign(release, signed)
	mustFail(t, err, "does not unlock")
	right, err := signing.Load(signing.Source{Agent: key.Fingerprint(), GnuPGHome: string(h), Passphrase: "sesame"}, signed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := right.Clearsign(release, signed); err != nil {
		t.Error(err)
	}
}
