package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func completionVerb() *verb {
	return &verb{
		args: "bash|zsh|fish", min: 1, max: 1,
		summary: "print what a shell needs to complete berth's command line",
		about:   `The package installs it already. It is made from the table of verbs that also makes this help, so it is never out of date.`,
		examples: []example{
			{"source <(berth completion bash)", "for this bash"},
			{"berth completion fish > ~/.config/fish/completions/berth.fish", "for fish, for good"},
		},
		run: func(_ *command, args []string) (int, error) {
			shells := map[string]func(*strings.Builder){"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}
			write := shells[args[0]]
			if write == nil {
				return exitError, fmt.Errorf("unknown shell %q, which is none of: bash, zsh, fish", args[0])
			}
			var b strings.Builder
			write(&b)
			_, err := io.WriteString(os.Stdout, b.String())
			return exitOK, err
		},
	}
}

// allVerbs makes every verb of the table.
func allVerbs() []*verb {
	made := make([]*verb, 0, len(verbs()))
	for _, v := range verbs() {
		made = append(made, findVerb(v.name))
	}
	return made
}

// shown are the options that completion offers, --help among them.
func shown(flags []flag) []flag {
	help := flag{long: "help", short: 'h', help: "explain and exit"}
	flags = append(slices.Clone(flags), help)
	return slices.DeleteFunc(flags, func(f flag) bool { return f.hidden })
}

// spellings are the ways to write the option.
func (f *flag) spellings() []string {
	if f.short == 0 {
		return []string{"--" + f.long}
	}
	return []string{"-" + string(rune(f.short)), "--" + f.long}
}

// bashFrame finds the verb and counts the arguments behind it; what stands before and after the options and their
// values is filled in from the table.
const bashFrame = `# bash completion for berth, printed by: berth completion bash
_berth() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local verb= arguments=0 i words=
    local -a root=()
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ $verb == "" && ${COMP_WORDS[i]} == --root ]]; then
            root=(--root "${COMP_WORDS[i + 1]}")
        fi
        case "$verb,${COMP_WORDS[i]}" in
            @VALUES@) ((i++)) ;;
            *,-*) ;;
            ,*) verb=${COMP_WORDS[i]} ;;
            *) ((arguments++)) ;;
        esac
    done
    case "$verb,$prev" in
@CHOICES@        @DIRECTORIES@) compopt -o dirnames; return ;;
        @FILES@) compopt -o default; return ;;
        @VALUES@) return ;;
    esac
    case "$verb,$arguments,$cur" in
@OPTIONS@        ,*) words="@VERBS@" ;;
        @IDS@) words=$("${COMP_WORDS[0]}" "${root[@]}" list --quiet 2>/dev/null) ;;
        kill,1,*) words="@SIGNALS@" ;;
        mounts,0,*) words="@MOUNTS@" ;;
        completion,0,*) words="bash zsh fish" ;;
        help,0,*) words="@VERBS@" ;;
        *) compopt -o default; return ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _berth berth
`

// bashCompletion writes the script for bash.
func bashCompletion(b *strings.Builder) {
	t := bashTables{}
	t.verb("", globalFlags(new(globals)))
	names, ids := []string(nil), []string{"mounts,1,*"}
	for _, v := range allVerbs() {
		names = append(names, v.name)
		t.verb(v.name, v.flags)
		if v.ids {
			ids = append(ids, v.name+","+map[bool]string{true: "*", false: "0,*"}[v.max < 0 && v.anyOrder])
		}
	}
	strings.NewReplacer(
		"@VALUES@", strings.Join(t.values, "|"), "@DIRECTORIES@", strings.Join(t.directories, "|"), "@FILES@", strings.Join(t.files, "|"),
		"@CHOICES@", t.choices.String(), "@OPTIONS@", t.options.String(), "@IDS@", strings.Join(ids, "|"),
		"@VERBS@", strings.Join(names, " "), "@SIGNALS@", strings.Join(signalWords(), " "),
		"@MOUNTS@", strings.Join(mountsWords, " "),
	).WriteString(b, bashFrame)
}

// bashTables are the patterns of the frame's case statements, "VERB,--OPTION".
type bashTables struct {
	values, directories, files []string
	choices, options           strings.Builder
}

func (t *bashTables) verb(name string, flags []flag) {
	var spellings []string
	for _, f := range shown(flags) {
		spellings = append(spellings, f.spellings()...)
		if f.value == "" {
			continue
		}
		var patterns []string
		for _, s := range f.spellings() {
			patterns = append(patterns, name+","+s)
		}
		t.values = append(t.values, patterns...)
		switch {
		case f.choice != nil:
			fmt.Fprintf(&t.choices, "        %s) mapfile -t COMPREPLY < <(compgen -W %q -- \"$cur\"); return ;;\n",
				strings.Join(patterns, "|"), strings.Join(f.choice, " "))
		case f.files == "directory":
			t.directories = append(t.directories, patterns...)
		case f.files == "file":
			t.files = append(t.files, patterns...)
		}
	}
	fmt.Fprintf(&t.options, "        %s,*,-*) words=%q ;;\n", name, strings.Join(spellings, " "))
}

func signalWords() []string {
	words := make([]string, 0, len(signalNames))
	for _, s := range signalNames {
		words = append(words, s.name)
	}
	return words
}

// zshCompletion writes the script for zsh, by its _arguments.
func zshCompletion(b *strings.Builder) {
	b.WriteString("#compdef berth\n# zsh completion for berth, printed by: berth completion zsh\n")
	b.WriteString("_berth_ids() {\n    local -a ids=(${(f)\"$(berth ${root:+--root} $root list --quiet 2>/dev/null)\"})\n")
	b.WriteString("    compadd -a ids\n}\n\n_berth() {\n    local curcontext=$curcontext state line root\n    typeset -A opt_args\n    _arguments -C -S \\\n")
	zshFlags(b, "        ", globalFlags(new(globals)))
	b.WriteString("        '1: :->verb' '*:: :->arguments' && return\n    root=$opt_args[--root]\n    case $state in\n    verb)\n")
	b.WriteString("        local -a verbs=(\n")
	for _, v := range allVerbs() {
		fmt.Fprintf(b, "            %s\n", shellQuote(v.name+":"+v.summary))
	}
	b.WriteString("        )\n        _describe verb verbs ;;\n    arguments)\n        case $words[1] in\n")
	for _, v := range allVerbs() {
		fmt.Fprintf(b, "        %s)\n            _arguments -S \\\n", v.name)
		zshFlags(b, "                ", v.flags)
		fmt.Fprintf(b, "                %s ;;\n", zshArguments(v))
	}
	b.WriteString("        esac ;;\n    esac\n}\n\nif [[ $funcstack[1] == _berth ]]; then _berth \"$@\"; else compdef _berth berth; fi\n")
}

// zshFlags writes one line of _arguments for each option.
func zshFlags(b *strings.Builder, indent string, flags []flag) {
	escape := strings.NewReplacer("[", "\\[", "]", "\\]", ":", "\\:")
	for _, f := range shown(flags) {
		spec := "[" + escape.Replace(f.help) + "]"
		switch {
		case f.choice != nil:
			spec += ":value:(" + strings.Join(f.choice, " ") + ")"
		case f.files == "directory":
			spec += ":" + escape.Replace(f.value) + ":_files -/"
		case f.files == "file":
			spec += ":" + escape.Replace(f.value) + ":_files"
		case f.value != "":
			spec += ":" + escape.Replace(f.value) + ": "
		}
		if f.short == 0 {
			fmt.Fprintf(b, "%s%s \\\n", indent, shellQuote("--"+f.long+spec))
			continue
		}
		names := f.spellings()
		fmt.Fprintf(b, "%s'(%s)'{%s}%s \\\n", indent, strings.Join(names, " "), strings.Join(names, ","), shellQuote(spec))
	}
}

// zshArguments says what completes the verb's arguments.
func zshArguments(v *verb) string {
	switch {
	case v.name == "kill":
		return "'1:container:_berth_ids' '2:signal:(" + strings.Join(signalWords(), " ") + ")'"
	case v.name == "mounts":
		return "'1:change:(" + strings.Join(mountsWords, " ") + ")' '2:container:_berth_ids' '3:file:_files'"
	case v.name == "completion":
		return "'1:shell:(bash zsh fish)'"
	case v.name == "help":
		var names []string
		for _, other := range verbs() {
			names = append(names, other.name)
		}
		return "'1:verb:(" + strings.Join(names, " ") + ")'"
	case v.ids && v.max < 0 && v.anyOrder:
		return "'*:container:_berth_ids'"
	case v.ids && v.max < 0:
		return "'1:container:_berth_ids' '*:::command:_normal'"
	case v.ids:
		return "'1:container:_berth_ids'"
	}
	return "'*:argument:_files'"
}

// fishCompletion writes the script for fish.
func fishCompletion(b *strings.Builder) {
	b.WriteString("# fish completion for berth, printed by: berth completion fish\ncomplete -c berth -f\n")
	fishFlags(b, "__fish_use_subcommand", globalFlags(new(globals)))
	for _, v := range allVerbs() {
		fmt.Fprintf(b, "complete -c berth -n __fish_use_subcommand -a %s -d %s\n", v.name, fishQuote(v.summary))
	}
	for _, v := range allVerbs() {
		seen := "__fish_seen_subcommand_from " + v.name
		fishFlags(b, seen, v.flags)
		switch {
		case v.ids:
			fmt.Fprintf(b, "complete -c berth -n '%s' -a '(berth list --quiet 2>/dev/null)'\n", seen)
		case v.name == "completion":
			fmt.Fprintf(b, "complete -c berth -n '%s' -a 'bash zsh fish'\n", seen)
		case v.name == "mounts":
			fmt.Fprintf(b, "complete -c berth -n '%s' -F -a '%s (berth list --quiet 2>/dev/null)'\n", seen, strings.Join(mountsWords, " "))
		case v.name == "plan":
			fmt.Fprintf(b, "complete -c berth -n '%s' -F\n", seen)
		}
	}
	fmt.Fprintf(b, "complete -c berth -n '__fish_seen_subcommand_from kill' -a '%s'\n", strings.Join(signalWords(), " "))
}

func fishFlags(b *strings.Builder, condition string, flags []flag) {
	for _, f := range shown(flags) {
		fmt.Fprintf(b, "complete -c berth -n '%s' -l %s", condition, f.long)
		if f.short != 0 {
			fmt.Fprintf(b, " -s %c", f.short)
		}
		switch {
		case f.choice != nil:
			fmt.Fprintf(b, " -x -a '%s'", strings.Join(f.choice, " "))
		case f.files != "":
			b.WriteString(" -r -F")
		case f.value != "":
			b.WriteString(" -x")
		}
		fmt.Fprintf(b, " -d %s\n", fishQuote(f.help))
	}
}

// shellQuote puts text between single quotes for bash and zsh, where nothing but the quote itself is special in them.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// fishQuote does it for fish, where the backslash is special too.
func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
