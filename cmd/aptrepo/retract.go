package main

func (a *app) retract(f *flags, operands []string) error {
	if len(operands) < 2 {
		return usage("retract takes a directory and packages as NAME=VERSION or NAME:ARCH=VERSION")
	}
	s, err := a.open(f, operands[0])
	if err != nil {
		return err
	}
	packages, err := s.prev.Retract(operands[1:]...)
	if err != nil {
		return err
	}
	return a.build(f, s, packages)
}
