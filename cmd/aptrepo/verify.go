package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/berth-oci/berth/aptrepo"
)

func defineVerify(f *flags) {
	f.StringVar(&f.keyring, "keyring", "", "`FILE` of the keys that a client trusts (needed)")
	f.StringVar(&f.suite, "suite", "", "`NAME` of the suite (default: the one in the directory's configuration, then stable)")
	f.StringVar(&f.date, "now", "", "`DATE` to verify for, RFC 3339 or @SECONDS (default: now)")
	f.BoolVar(&f.indicesOnly, "indices-only", false, "leave out the packages themselves")
	f.StringVar(&f.format, "format", "text", "`FORM` of the output: text or json (default: text)")
}

func (a *app) verify(f *flags, operands []string) error {
	if len(operands) != 1 || f.keyring == "" {
		return usage("verify takes one directory or address, and --keyring FILE: what the place itself offers proves nothing")
	}
	keyring, err := os.ReadFile(f.keyring)
	if err != nil {
		return fmt.Errorf("cannot read the keyring: %w", err)
	}
	now := a.now
	if f.date != "" {
		if now, err = parseTime(f.date); err != nil {
			return err
		}
	}
	report, err := aptrepo.Verify(aptrepo.OpenSource(operands[0]),
		aptrepo.Check{Codename: suiteOf(f, operands[0]), Keyring: keyring, Now: now, IndicesOnly: f.indicesOnly})
	for _, w := range report.Warnings {
		fmt.Fprintln(a.stderr, "aptrepo: warning:", w)
	}
	if err != nil {
		return err
	}
	return a.printReport(f, report)
}

func (a *app) printReport(f *flags, r *aptrepo.Report) error {
	switch f.format {
	case "json":
		encoder := json.NewEncoder(a.stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	case "text":
	default:
		return usage("--format %q: use text or json", f.format)
	}
	fmt.Fprintf(a.stdout, "good: %s %s of %s, %d packages, %d files, %d bytes\n", r.Release.Origin, r.Release.Codename,
		r.Release.Date.Format("2006-01-02 15:04:05 UTC"), len(r.Packages), r.Files, r.Bytes)
	fmt.Fprintf(a.stdout, "signed by %s\n", strings.Join(r.SignedBy, ", "))
	if !r.Release.ValidUntil.IsZero() {
		fmt.Fprintf(a.stdout, "valid until %s\n", r.Release.ValidUntil.Format("2006-01-02 15:04:05 UTC"))
	}
	return nil
}

// suiteOf is the suite to read where none is named.
func suiteOf(f *flags, place string) string {
	if f.suite != "" {
		return f.suite
	}
	if _, err := os.Stat(filepath.Join(place, configName)); err == nil {
		if c, err := readConfig(f, place); err == nil {
			return c.Codename
		}
	}
	return "stable"
}
