package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// verb is one command: what it takes, what it does and what its help says.
type verb struct {
	name     string
	args     string // as the usage line shows them
	summary  string // one line, for the list of commands
	about    string // paragraphs for its own help
	examples []example
	min, max int  // how many arguments; max < 0 is any number
	anyOrder bool // options may follow arguments; not where the arguments are another program's
	ids      bool // the arguments name containers: completion offers them
	flags    []flag
	run      func(c *command, args []string) (int, error)
}

// example is a command line and what it is good for.
type example struct{ line, what string }

// flag is one option.
type flag struct {
	long   string
	short  byte   // 0 where it has none
	value  string // what its value is called; empty for a switch
	help   string
	hidden bool     // taken for compatibility; neither help nor completion offers it
	choice []string // the only values, where they are few
	files  string   // what completion offers as value: "file", "directory" or nothing
	set    func(value string) error
}

// errHelp says that the person asked for help.
var errHelp = errors.New("help was asked for")

// unknownFlag is an option that a table lacks.
type unknownFlag struct {
	name string // as typed, without its value
	like string // one that looks alike, or empty
}

func (u unknownFlag) Error() string {
	message := fmt.Sprintf("unknown option %q", u.name)
	if u.like != "" {
		message += fmt.Sprintf("; did you mean %q?", u.like)
	}
	return message
}

// parse sets the options and returns the arguments. It takes all that runc takes — "--name value", "--name=value", one dash as
// good as two, "-b value" — and what people type besides: "-bvalue", "-td". With anyOrder options may follow arguments;
// "--" ends them in any case.
func parse(flags []flag, args []string, anyOrder bool) (rest []string, err error) {
	for len(args) > 0 {
		arg := args[0]
		switch {
		case arg == "--":
			return append(rest, args[1:]...), nil
		case len(arg) < 2 || arg[0] != '-' || anyOrder && isNumber(arg[1:]): // a signal, as in "kill ID -9"
			if !anyOrder {
				return args, nil
			}
			rest, args = append(rest, arg), args[1:]
			continue
		}
		if args, err = parseOption(flags, arg, args[1:]); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

func isNumber(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// parseOption sets the option arg and returns the arguments after it and its value.
func parseOption(flags []flag, arg string, args []string) ([]string, error) {
	name, value, hasValue := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
	f := findLong(flags, name)
	if f == nil && !strings.HasPrefix(arg, "--") {
		return parseShort(flags, arg[1:], args)
	}
	switch {
	case f == nil && name == "help":
		return nil, errHelp
	case f == nil:
		return nil, unknownFlag{strings.TrimSuffix(arg, "="+value), nearestFlag(flags, name)}
	case f.value == "" && !hasValue:
		value = "true"
	case !hasValue && len(args) == 0:
		return nil, fmt.Errorf("option --%s needs a value: --%s %s", f.long, f.long, f.value)
	case !hasValue:
		value, args = args[0], args[1:]
	}
	return args, f.assign("--"+f.long, value)
}

// parseShort sets the options of one dash and letters: switches, the last of which may take a value.
func parseShort(flags []flag, letters string, args []string) ([]string, error) {
	for i := 0; i < len(letters); i++ {
		shown := "-" + letters[i:i+1]
		f := findShort(flags, letters[i])
		after, hasEquals := strings.CutPrefix(letters[i+1:], "=")
		switch {
		case f == nil && letters[i] == 'h':
			return nil, errHelp
		case f == nil:
			return nil, unknownFlag{name: "-" + letters}
		case f.value == "" && hasEquals:
			return args, f.assign(shown, after)
		case f.value == "":
			if err := f.assign(shown, "true"); err != nil {
				return nil, err
			}
			continue
		case after != "" || hasEquals:
			return args, f.assign(shown, after)
		case len(args) == 0:
			return nil, fmt.Errorf("option %s needs a value: %s %s", shown, shown, f.value)
		}
		return args[1:], f.assign(shown, args[0])
	}
	return args, nil
}

// assign checks a value against the choices and sets it.
func (f *flag) assign(shown, value string) error {
	if f.choice != nil {
		found := false
		for _, c := range f.choice {
			found = found || c == value
		}
		if !found {
			return fmt.Errorf("option %s is %q, which is none of: %s", shown, value, strings.Join(f.choice, ", "))
		}
	}
	if err := f.set(value); err != nil {
		return fmt.Errorf("option %s is %q, which is %w", shown, value, err)
	}
	return nil
}

func findLong(flags []flag, name string) *flag {
	for i := range flags {
		if flags[i].long == name {
			return &flags[i]
		}
	}
	return nil
}

func findShort(flags []flag, letter byte) *flag {
	for i := range flags {
		if flags[i].short == letter && letter != 0 {
			return &flags[i]
		}
	}
	return nil
}

// text is an option that keeps its value as it is.
func text(target *string, long string, short byte, value, help string) flag {
	return flag{long: long, short: short, value: value, help: help, set: func(v string) error { *target = v; return nil }}
}

// path is text that completion fills with a path; what is "file" or "directory".
func path(target *string, long string, short byte, value, what, help string) flag {
	f := text(target, long, short, value, help)
	f.files = what
	return f
}

// choice is text with few values.
func choice(target *string, long string, short byte, help string, values ...string) flag {
	f := text(target, long, short, strings.Join(values, "|"), help)
	f.choice = values
	return f
}

// list is an option that may be given again and again.
func list(target *[]string, long string, short byte, value, help string) flag {
	return flag{long: long, short: short, value: value, help: help, set: func(v string) error { *target = append(*target, v); return nil }}
}

// toggle is an option without value; "=false" turns it off again.
func toggle(target *bool, long string, short byte, help string) flag {
	return flag{long: long, short: short, help: help, set: func(v string) error {
		on, err := strconv.ParseBool(v)
		if err != nil {
			return errors.New("neither true nor false")
		}
		*target = on
		return nil
	}}
}

// count is an option with a number that is not negative.
func count(target *int, long string, short byte, value, help string) flag {
	return flag{long: long, short: short, value: value, help: help, set: func(v string) error {
		n, err := strconv.ParseUint(v, 10, 31)
		if err != nil {
			return errors.New("no number, or too large a one")
		}
		*target = int(n)
		return nil
	}}
}

// ignored is an option that other runtimes have and that means nothing here; value is empty for a switch.
func ignored(long, value string) flag {
	return flag{long: long, value: value, hidden: true, set: func(string) error { return nil }}
}

// wrongCount says how many arguments the verb takes.
func (v *verb) wrongCount(args []string) error {
	usage := strings.TrimSpace("berth " + v.name + " " + v.args)
	if len(args) < v.min {
		return fmt.Errorf("%s needs %s, got %d: %s", v.name, plural(v.min, "argument"), len(args), usage)
	}
	if v.max == 0 {
		return fmt.Errorf("%s takes no argument, got %q", v.name, args[0])
	}
	return fmt.Errorf("%s takes %s at most, got %d: %s", v.name, plural(v.max, "argument"), len(args), usage)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// explainGlobal tells who put a global option behind the verb where it goes.
func explainGlobal(err error, name string) error {
	unknown, ok := errors.AsType[unknownFlag](err)
	if !ok {
		return err
	}
	long, isLong := strings.CutPrefix(unknown.name, "--")
	if isLong && findLong(globalFlags(new(globals)), long) != nil {
		return fmt.Errorf("option %q goes before the verb: berth %s … %s …", unknown.name, unknown.name, name)
	}
	return err
}
