package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// helpWidth is where help breaks lines.
const helpWidth = 80

// printHelp writes a page of help in one go.
func printHelp(w io.Writer, page func(b *strings.Builder)) error {
	var b strings.Builder
	page(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// overview is the page of berth itself.
func overview(b *strings.Builder) {
	b.WriteString("Usage: berth [OPTION...] VERB [ARGUMENT...]\n\n")
	wrap(b, "", "Berth runs containers. A container is made from a bundle: a folder that holds a file config.json, which "+
		"says what to run and how, and the container's root filesystem. Berth follows the Open Container Initiative's "+
		"runtime specification and takes the place of runc.")
	b.WriteString("\nFrom nothing to a shell in a container:\n\n")
	b.WriteString("  mkdir -p box/rootfs && cd box    a bundle\n")
	b.WriteString("  …                                unpack a root filesystem into rootfs\n")
	b.WriteString("  berth spec                       write a config.json to start from\n")
	b.WriteString("  berth run mybox                  run it; mybox is the name you give it\n")
	b.WriteString("\nVerbs:\n")
	var rows [][2]string
	for _, v := range verbs() {
		rows = append(rows, [2]string{v.name, v.make().summary})
	}
	columns(b, rows)
	b.WriteString("\nOptions, before the verb:\n")
	columns(b, flagRows(globalFlags(new(globals))))
	b.WriteString("\nMore about a verb: berth VERB --help\n")
}

// help is the page of one verb.
func (v *verb) help(b *strings.Builder) {
	usage := "Usage: berth " + v.name
	if len(flagRows(v.flags)) > 0 {
		usage += " [OPTION...]"
	}
	fmt.Fprintf(b, "%s\n\n", strings.TrimSpace(usage+" "+v.args))
	wrap(b, "", strings.ToUpper(v.summary[:1])+v.summary[1:]+".")
	for paragraph := range strings.SplitSeq(v.about, "\n\n") {
		if paragraph != "" {
			b.WriteString("\n")
			wrap(b, "", strings.Join(strings.Fields(paragraph), " "))
		}
	}
	if rows := flagRows(v.flags); len(rows) > 0 {
		b.WriteString("\nOptions:\n")
		columns(b, rows)
	}
	if len(v.examples) > 0 {
		b.WriteString("\nExamples:\n")
		for _, e := range v.examples {
			fmt.Fprintf(b, "  %s\n", e.line)
			wrap(b, "      ", e.what)
		}
	}
}

// flagRows renders a table of options: how it is written, what it does.
func flagRows(flags []flag) [][2]string {
	var rows [][2]string
	for _, f := range flags {
		if !f.hidden {
			rows = append(rows, [2]string{f.spelling(), f.help})
		}
	}
	return rows
}

// spelling shows both names and the value of an option.
func (f *flag) spelling() string {
	s := "    --" + f.long
	if f.short != 0 {
		s = "-" + string(rune(f.short)) + ", --" + f.long
	}
	if f.value != "" {
		s += " " + f.value
	}
	return s
}

// columns writes pairs side by side, the right ones broken into lines.
func columns(b *strings.Builder, rows [][2]string) {
	const widest = 26
	left := 0
	for _, r := range rows {
		if len(r[0]) <= widest {
			left = max(left, len(r[0]))
		}
	}
	indent := strings.Repeat(" ", left+4)
	for _, r := range rows {
		var text strings.Builder
		wrap(&text, indent, r[1])
		if len(r[0]) > left {
			fmt.Fprintf(b, "  %s\n%s", r[0], text.String())
			continue
		}
		fmt.Fprintf(b, "  %-*s  %s", left, r[0], text.String()[len(indent):])
	}
}

// wrap writes text in lines that begin with indent and end before helpWidth.
func wrap(b *strings.Builder, indent, text string) {
	line := indent
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == indent:
			line += word
		case len([]rune(line))+1+len([]rune(word)) > helpWidth:
			b.WriteString(line + "\n")
			line = indent + word
		default:
			line += " " + word
		}
	}
	b.WriteString(line + "\n")
}

func helpVerb() *verb {
	var asJSON bool
	return &verb{
		args: "[VERB]", summary: "explain berth or one of its verbs", max: 1, anyOrder: true,
		flags: []flag{toggle(&asJSON, "json", 0, "print all verbs and options as JSON, for programs that make documents")},
		run: func(_ *command, args []string) (int, error) {
			if asJSON {
				return exitOK, printJSON(tableOf())
			}
			if len(args) == 0 {
				return exitOK, printHelp(os.Stdout, overview)
			}
			v := findVerb(args[0])
			if v == nil {
				return exitError, withHelp((&command{}).unknownVerb(args[0]), "berth --help")
			}
			return exitOK, printHelp(os.Stdout, v.help)
		},
	}
}

// tableEntry is one verb, or berth itself, as "help --json" prints it.
type tableEntry struct {
	Name      string        `json:"name"`
	Arguments string        `json:"arguments,omitempty"`
	Summary   string        `json:"summary,omitempty"`
	About     string        `json:"about,omitempty"`
	Options   []tableOption `json:"options,omitempty"`
	Verbs     []tableEntry  `json:"verbs,omitempty"`
}

type tableOption struct {
	Long  string `json:"long"`
	Short string `json:"short,omitempty"`
	Value string `json:"value,omitempty"`
	Help  string `json:"help"`
}

// tableOf is the whole table of verbs.
func tableOf() tableEntry {
	top := tableEntry{Name: "berth", Options: tableOptions(globalFlags(new(globals)))}
	for _, v := range allVerbs() {
		top.Verbs = append(top.Verbs, tableEntry{Name: v.name, Arguments: v.args, Summary: v.summary,
			About: strings.TrimSpace(v.about), Options: tableOptions(v.flags)})
	}
	return top
}

func tableOptions(flags []flag) []tableOption {
	var options []tableOption
	for _, f := range shown(flags) {
		o := tableOption{Long: f.long, Value: f.value, Help: f.help}
		if f.short != 0 {
			o.Short = string(rune(f.short))
		}
		options = append(options, o)
	}
	return options
}
