package main

import (
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/berth-oci/berth/signing"
)

// flags are the options of one command. Options and operands may be mixed.
type flags struct {
	*flag.FlagSet
	verb verb

	keys                          list
	passphraseFile, passphraseEnv string
	date                          string
	dry, consent                  bool
	config                        string
	component                     string
	format                        string
	keyring                       string
	suite                         string
	indicesOnly, history          bool
	days                          int
	to                            string
	name, origin, label, codename string
	architectures, components     string
	description, url, unofficial  string
	email                         string
	binary                        bool
}

// list is an option that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

func newFlags(v verb) *flags {
	f := &flags{FlagSet: flag.NewFlagSet(v.name, flag.ContinueOnError), verb: v}
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	v.define(f)
	return f
}

func (f *flags) parse(args []string) ([]string, error) {
	var operands []string
	for len(args) > 0 {
		if err := f.Parse(args); err != nil {
			return nil, err
		}
		rest := f.Args()
		if consumed := args[:len(args)-len(rest)]; len(consumed) > 0 && consumed[len(consumed)-1] == "--" {
			return append(operands, rest...), nil
		}
		if len(rest) == 0 {
			break
		}
		operands, args = append(operands, rest[0]), rest[1:]
	}
	return operands, nil
}

func (f *flags) help(w io.Writer) {
	fmt.Fprintf(w, "Usage: %s\n\n%s.\n", strings.TrimSpace("aptrepo "+f.verb.name+" [OPTION]... "+f.verb.args),
		strings.ToUpper(f.verb.summary[:1])+f.verb.summary[1:])
	first := true
	f.VisitAll(func(o *flag.Flag) {
		if first {
			fmt.Fprint(w, "\nOptions:\n")
			first = false
		}
		name, text := flag.UnquoteUsage(o)
		dashes := "--"
		if len(o.Name) == 1 {
			dashes = "-"
		}
		fmt.Fprintf(w, "  %-28s %s\n", strings.TrimSpace(dashes+o.Name+" "+name), text)
	})
}

func defineKey(f *flags) {
	f.Var(&f.keys, "key", "`KEY` that signs; give it twice to sign with the old and the new one (default: $APTREPO_KEY)")
	f.StringVar(&f.passphraseFile, "passphrase-file", "", "`FILE` that holds the key's passphrase")
	f.StringVar(&f.passphraseEnv, "passphrase-env", "", "environment variable `NAME` that holds the key's passphrase")
}

func defineWrite(f *flags) {
	defineKey(f)
	f.StringVar(&f.config, "config", "", "`FILE` with the configuration (default: DIR/aptrepo.json)")
	f.StringVar(&f.date, "date", "", "`DATE` of the release, RFC 3339 or @SECONDS (default: $SOURCE_DATE_EPOCH, then now)")
	f.StringVar(&f.keyring, "trust", "", "`KEYRING` that signed what is there, if not the signing key")
	f.BoolVar(&f.dry, "n", false, "say what would change, and change nothing")
	f.BoolVar(&f.consent, "consent", false, "change Origin, Label or Codename although clients must agree to it")
}

// signer loads the keys that the options name.
func (a *app) signer(f *flags, at time.Time) (signing.Signer, error) {
	names := []string(f.keys)
	if len(names) == 0 && a.env("APTREPO_KEY") != "" {
		names = strings.Fields(a.env("APTREPO_KEY"))
	}
	if len(names) == 0 {
		return nil, usage("no key: give --key file:PATH, env:NAME or agent:FINGERPRINT, or make one with aptrepo key generate")
	}
	var all []signing.Signer
	for _, name := range names {
		source, err := signing.ParseSource(name)
		if err != nil {
			return nil, usage("%v", err)
		}
		source.PassphraseFile, source.PassphraseEnv = f.passphraseFile, f.passphraseEnv
		s, err := signing.Load(source, at)
		if err != nil {
			return nil, err
		}
		for _, finding := range signing.Audit(s.Public(), at) {
			fmt.Fprintln(a.stderr, "aptrepo: warning:", finding)
		}
		all = append(all, s)
	}
	return signing.Join(all...)
}

// at returns the date to publish with.
func (a *app) at(f *flags) (time.Time, error) {
	text := f.date
	if text == "" && a.env("SOURCE_DATE_EPOCH") != "" {
		text = "@" + a.env("SOURCE_DATE_EPOCH")
	}
	if text == "" {
		return a.now, nil
	}
	return parseTime(text)
}

func parseTime(text string) (time.Time, error) {
	if seconds, found := strings.CutPrefix(text, "@"); found {
		n, err := strconv.ParseInt(seconds, 10, 64)
		if err != nil {
			return time.Time{}, usage("%q is not a date: use RFC 3339 or @SECONDS", text)
		}
		return time.Unix(n, 0).UTC(), nil
	}
	for _, form := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if t, err := time.Parse(form, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, usage("%q is not a date: use RFC 3339 or @SECONDS", text)
}
