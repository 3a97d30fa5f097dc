package main

func defineRollback(f *flags) {
	defineWrite(f)
	f.StringVar(&f.to, "to", "", "`DATE` to go back to: see aptrepo list --history")
}

func (a *app) rollback(f *flags, operands []string) error {
	if len(operands) != 1 || f.to == "" {
		return usage("rollback takes one directory, and --to DATE")
	}
	to, err := parseTime(f.to)
	if err != nil {
		return err
	}
	s, err := a.open(f, operands[0])
	if err != nil {
		return err
	}
	packages, err := s.prev.At(to)
	if err != nil {
		return err
	}
	return a.build(f, s, packages)
}
