package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// parsed is what the test's options hold after parse.
func parsed(args []string, anyOrder bool) string {
	var name string
	var many []string
	var a, d bool
	var n int
	flags := []flag{text(&name, "name", 'n', "NAME", ""), list(&many, "env", 'e', "E", ""), toggle(&a, "all", 'a', ""),
		toggle(&d, "detach", 'd', ""), count(&n, "number", 0, "N", ""), ignored("old", ""), ignored("older", "X")}
	rest, err := parse(flags, args, anyOrder)
	if err != nil {
		return "error: " + err.Error()
	}
	return fmt.Sprintf("name=%s env=%s all=%v detach=%v number=%d rest=%s", name, strings.Join(many, ","), a, d, n, strings.Join(rest, ","))
}

func TestParseTakesAllSpellings(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"", "name= env= all=false detach=false number=0 rest="},
		{"--name x y", "name=x env= all=false detach=false number=0 rest=y"},
		{"--name=x y", "name=x env= all=false detach=false number=0 rest=y"},
		{"-name x", "name=x env= all=false detach=false number=0 rest="},
		{"-name=x", "name=x env= all=false detach=false number=0 rest="},
		{"-n x", "name=x env= all=false detach=false number=0 rest="},
		{"-nx", "name=x env= all=false detach=false number=0 rest="},
		{"-n=x", "name=x env= all=false detach=false number=0 rest="},
		{"--name=", "name= env= all=false detach=false number=0 rest="},
		{"--name -a", "name=-a env= all=false detach=false number=0 rest="},
		{"-ad", "name= env= all=true detach=true number=0 rest="},
		{"-adn x", "name=x env= all=true detach=true number=0 rest="},
		{"-adnx", "name=x env= all=true detach=true number=0 rest="},
		{"-e A=1 -e B=2 -eC=3 --env=D=4", "name= env=A=1,B=2,C=3,D=4 all=false detach=false number=0 rest="},
		{"--all=true -d=false --number 7", "name= env= all=true detach=false number=7 rest="},
		{"--all --all=false", "name= env= all=false detach=false number=0 rest="},
		{"--old --older x y", "name= env= all=false detach=false number=0 rest=y"},
		{"x -a", "name= env= all=false detach=false number=0 rest=x,-a"},
		{"-- -a", "name= env= all=false detach=false number=0 rest=-a"},
		{"- -a", "name= env= all=false detach=false number=0 rest=-,-a"},
		{"--nane x", `error: unknown option "--nane"; did you mean "--name"?`},
		{"-x", `error: unknown option "-x"`},
		{"-ax", `error: unknown option "-ax"`},
		{"-n", "error: option -n needs a value: -n NAME"},
		{"--all=maybe", `error: option --all is "maybe", which is neither true nor false`},
		{"--number 99999999999", `error: option --number is "99999999999", which is no number, or too large a one`},
		{"--help", "error: help was asked for"},
		{"-ah", "error: help was asked for"},
	} {
		if got := parsed(strings.Fields(c.args), false); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.args, got, c.want)
		}
	}
}

func TestParseLetsOptionsFollowArguments(t *testing.T) {
	for args, want := range map[string]string{
		"x -a y --name z":  "name=z env= all=true detach=false number=0 rest=x,y",
		"x -9":             "name= env= all=false detach=false number=0 rest=x,-9",
		"x -- -a --name z": "name= env= all=false detach=false number=0 rest=x,-a,--name,z",
	} {
		if got := parsed(strings.Fields(args), true); got != want {
			t.Errorf("%s\n got %s\nwant %s", args, got, want)
		}
	}
}

// Every option of runc 1.5 that has a meaning here must be known to the verb of the same name, with a value or without.
func TestVerbsTakeRuncsOptions(t *testing.T) {
	for verb, options := range map[string]string{
		"":       "--debug --log= --log-format= --root= --criu= --systemd-cgroup --rootless= --help -h --version -v",
		"create": "--bundle= -b= --console-socket= --pidfd-socket= --pid-file= --no-pivot --no-new-keyring --preserve-fds=",
		"run":    "--bundle= -b= --console-socket= --pidfd-socket= --detach -d --keep --pid-file= --no-subreaper --no-pivot --no-new-keyring --preserve-fds=",
		"exec": "--console-socket= --pidfd-socket= --cwd= --env= -e= --tty -t --user= -u= --additional-gids= -g= --process= -p= --detach -d " +
			"--pid-file= --process-label= --apparmor= --no-new-privs --cap= -c= --preserve-fds= --cgroup= --ignore-paused",
		"kill": "--all -a", "delete": "--force -f", "list": "--format= -f= --quiet -q", "ps": "--format= -f=", "events": "--interval= --stats",
		"update": "--resources= -r= --blkio-weight= --cpu-period= --cpu-quota= --cpu-burst= --cpu-share= --cpu-rt-period= --cpu-rt-runtime= " +
			"--cpuset-cpus= --cpuset-mems= --kernel-memory= --kernel-memory-tcp= --memory= --memory-reservation= --memory-swap= --pids-limit= " +
			"--cpu-idle= --l3-cache-schema= --mem-bw-schema=",
		"start": "", "state": "", "pause": "", "resume": "",
	} {
		flags := globalFlags(new(globals))
		if verb != "" {
			flags = findVerb(verb).flags
		}
		for _, option := range strings.Fields(options) {
			name, takesValue := strings.CutSuffix(strings.TrimLeft(option, "-"), "=")
			f := findLong(flags, name)
			if len(name) == 1 {
				f = findShort(flags, name[0])
			}
			switch {
			case f == nil && name != "help" && name != "h":
				t.Errorf("%s lacks %s", verb, option)
			case f != nil && (f.value != "") != takesValue:
				t.Errorf("%s %s: takes a value is %v, want %v", verb, option, f.value != "", takesValue)
			}
		}
	}
}

func TestNoVerbHasTwoOptionsOfOneName(t *testing.T) {
	for _, v := range allVerbs() {
		var names []string
		for _, f := range shown(v.flags) {
			names = append(names, f.spellings()...)
		}
		slices.Sort(names)
		if unique := slices.Compact(slices.Clone(names)); len(unique) != len(names) {
			t.Errorf("%s: %q", v.name, names)
		}
	}
}
