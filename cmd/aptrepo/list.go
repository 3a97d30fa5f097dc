package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/berth-oci/berth/aptrepo"
)

func defineList(f *flags) {
	f.StringVar(&f.suite, "suite", "", "`NAME` of the suite (default: the one in the directory's configuration, then stable)")
	f.BoolVar(&f.history, "history", false, "list the generations that rollback can go back to")
	f.StringVar(&f.format, "format", "text", "`FORM` of the output: text or json (default: text)")
}

// row is a package as list prints it.
type row struct {
	Name         string `json:"name"`
	Version      string `json:"version"`
	Architecture string `json:"architecture"`
	Component    string `json:"component"`
	Filename     string `json:"filename"`
	Size         int64  `json:"size"`
	SHA256       string `json:"sha256"`
}

// period is a generation as list prints it. Until is zero for the present one.
type period struct {
	From     time.Time `json:"from"`
	Until    time.Time `json:"until,omitzero"`
	Packages []string  `json:"packages"`
}

func (a *app) list(f *flags, operands []string) error {
	if len(operands) != 1 {
		return usage("list takes one directory or address")
	}
	if f.format != "text" && f.format != "json" {
		return usage("--format %q: use text or json", f.format)
	}
	p, err := aptrepo.Read(aptrepo.OpenSource(operands[0]), suiteOf(f, operands[0]), nil)
	if err != nil {
		return err
	}
	if p.Release == nil {
		return fmt.Errorf("cannot list %s: nothing is published there", operands[0])
	}
	if f.history {
		return a.listHistory(f, p)
	}
	return a.listPackages(f, p)
}

func (a *app) listPackages(f *flags, p *aptrepo.Published) error {
	rows := []row{}
	for _, q := range p.Packages {
		rows = append(rows, row{q.Name, q.Version, q.Architecture, q.Component, q.Filename, q.Size, q.SHA256})
	}
	if f.format == "json" {
		return a.printJSON(rows)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "PACKAGE\tVERSION\tARCHITECTURE\tCOMPONENT\tSIZE")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\n", r.Name, r.Version, r.Architecture, r.Component, r.Size)
	}
	return w.Flush()
}

func (a *app) listHistory(f *flags, p *aptrepo.Published) error {
	periods := []period{{From: p.Release.Date, Packages: ids(p.Packages)}}
	for _, g := range p.Past {
		packages, err := p.At(g.Date)
		if err != nil {
			return err
		}
		periods = append(periods, period{g.Date, g.Superseded, ids(packages)})
	}
	if f.format == "json" {
		return a.printJSON(periods)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "FROM\tUNTIL\tPACKAGES")
	for _, g := range periods {
		until := "now"
		if !g.Until.IsZero() {
			until = g.Until.Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\n", g.From.Format(time.RFC3339), until, len(g.Packages))
	}
	return w.Flush()
}

func ids(packages []aptrepo.Package) []string {
	all := []string{}
	for _, p := range packages {
		all = append(all, p.ID())
	}
	return all
}

func (a *app) printJSON(v any) error {
	encoder := json.NewEncoder(a.stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}
