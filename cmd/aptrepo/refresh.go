package main

import "github.com/berth-oci/berth/aptrepo"

func defineRefresh(f *flags) {
	defineWrite(f)
	f.IntVar(&f.days, "days", 0, "`N` days that the signature holds (default: the configuration's)")
}

func (a *app) refresh(f *flags, operands []string) error {
	if len(operands) != 1 {
		return usage("refresh takes one directory")
	}
	if f.days < 0 {
		return usage("--days %d: use 1 or more", f.days)
	}
	s, err := a.open(f, operands[0])
	if err != nil {
		return err
	}
	days := s.config.ValidFor
	if f.days > 0 {
		days = aptrepo.Days(f.days)
	}
	tree, err := aptrepo.Refresh(s.prev, s.key, s.at, days)
	if err != nil {
		return err
	}
	return a.write(f, s.dir, tree)
}
