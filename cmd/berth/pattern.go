package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// pattern is a regular expression as egrep(1) has it, found anywhere in a name, as crun's --regex is: . [ ] * + ? { } | ( ) ^ $.
// Names hold few kinds of characters, so this small matcher does; the standard library's would add a tenth to the time that
// every start of berth takes. It follows all ways at once (Thompson 1968), so no pattern takes long.
type pattern []node

// node is one place in a pattern: it takes one byte and goes to next, or goes on to other places without taking any.
type node struct {
	kind nodeKind
	set  *[256]bool // nodeByte: the bytes it takes
	next int
	also int // nodeSplit: the other way
}

type nodeKind byte

const (
	nodeByte nodeKind = iota
	nodeSplit
	nodeBegin
	nodeEnd
	nodeMatch
)

// maxPattern bounds the places of a pattern, since {n,m} repeats what is before it.
const maxPattern = 10000

// compilePattern reads a pattern.
func compilePattern(text string) (pattern, error) {
	p := patternParser{rest: text}
	tree, err := p.alternatives()
	if err == nil && p.rest != "" {
		err = errors.New("there is a ) without its (")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read regular expression %q: %w", text, err)
	}
	c := patternCompiler{}
	c.nodes = append(c.nodes, node{kind: nodeMatch})
	start := tree(&c, 0)
	if len(c.nodes) > maxPattern {
		return nil, fmt.Errorf("cannot read regular expression %q: it repeats too much", text)
	}
	return append(c.nodes, node{kind: nodeSplit, next: start, also: start}), nil
}

// Match says whether the pattern is found in s.
func (p pattern) Match(s string) bool {
	start := len(p) - 1
	places := map[int]bool{}
	for i := 0; i <= len(s); i++ {
		if p.enter(places, start, i == 0, i == len(s)) {
			return true
		}
		if i == len(s) {
			break
		}
		next := map[int]bool{}
		for at := range places {
			if n := p[at]; n.kind == nodeByte && n.set[s[i]] && p.enter(next, n.next, false, i+1 == len(s)) {
				return true
			}
		}
		places = next
	}
	return false
}

// enter adds a place and those that follow it without a byte; it says whether the end of the pattern is among them.
func (p pattern) enter(places map[int]bool, at int, begin, end bool) bool {
	if places[at] {
		return false
	}
	places[at] = true
	switch n := p[at]; n.kind {
	case nodeMatch:
		return true
	case nodeSplit:
		return p.enter(places, n.next, begin, end) || p.enter(places, n.also, begin, end)
	case nodeBegin:
		return begin && p.enter(places, n.next, begin, end)
	case nodeEnd:
		return end && p.enter(places, n.next, begin, end)
	}
	return false
}

// patternCompiler lays the places out from the end of the pattern to its beginning.
type patternCompiler struct{ nodes []node }

func (c *patternCompiler) add(n node) int {
	if len(c.nodes) <= maxPattern {
		c.nodes = append(c.nodes, n)
	}
	return len(c.nodes) - 1
}

// piece adds a part of a pattern that goes on to next, and returns where it begins.
type piece func(c *patternCompiler, next int) int

func empty(_ *patternCompiler, next int) int { return next }

func single(kind nodeKind, set *[256]bool) piece {
	return func(c *patternCompiler, next int) int { return c.add(node{kind: kind, set: set, next: next}) }
}

func sequence(a, b piece) piece {
	return func(c *patternCompiler, next int) int { return a(c, b(c, next)) }
}

func either(a, b piece) piece {
	return func(c *patternCompiler, next int) int {
		return c.add(node{kind: nodeSplit, next: a(c, next), also: b(c, next)})
	}
}

func star(a piece) piece {
	return func(c *patternCompiler, next int) int {
		loop := c.add(node{kind: nodeSplit, next: next, also: next})
		if loop < len(c.nodes) && c.nodes[loop].kind == nodeSplit {
			c.nodes[loop].also = a(c, loop)
		}
		return loop
	}
}

// repeat is a from least to most times; most < 0 is without end.
func repeat(a piece, least, most int) piece {
	whole := piece(empty)
	for range least {
		whole = sequence(whole, a)
	}
	if most < 0 {
		return sequence(whole, star(a))
	}
	optional := piece(empty)
	for range most - least {
		optional = either(sequence(a, optional), empty)
	}
	return sequence(whole, optional)
}

type patternParser struct {
	rest  string
	depth int
}

// alternatives reads A|B|….
func (p *patternParser) alternatives() (piece, error) {
	if p.depth++; p.depth > 100 {
		return nil, errors.New("its parentheses are too deep")
	}
	defer func() { p.depth-- }()
	whole, err := p.pieces()
	for err == nil && strings.HasPrefix(p.rest, "|") {
		p.rest = p.rest[1:]
		var other piece
		if other, err = p.pieces(); err == nil {
			whole = either(whole, other)
		}
	}
	return whole, err
}

// pieces reads what stands one after another.
func (p *patternParser) pieces() (piece, error) {
	whole := piece(empty)
	for p.rest != "" && p.rest[0] != '|' && p.rest[0] != ')' {
		one, err := p.one()
		if err != nil {
			return nil, err
		}
		if one, err = p.times(one); err != nil {
			return nil, err
		}
		whole = sequence(whole, one)
	}
	return whole, nil
}

// one reads a byte, a set or a group.
func (p *patternParser) one() (piece, error) {
	first := p.rest[0]
	p.rest = p.rest[1:]
	var set [256]bool
	switch first {
	case '(':
		group, err := p.alternatives()
		if err == nil && !strings.HasPrefix(p.rest, ")") {
			err = errors.New("there is a ( without its )")
		}
		if err != nil {
			return nil, err
		}
		p.rest = p.rest[1:]
		return group, nil
	case '[':
		err := p.bracket(&set)
		return single(nodeByte, &set), err
	case '^':
		return single(nodeBegin, nil), nil
	case '$':
		return single(nodeEnd, nil), nil
	case '.':
		invert(&set)
		return single(nodeByte, &set), nil
	case '*', '+', '?', '{':
		return nil, fmt.Errorf("there is nothing before %q to repeat", first)
	case '\\':
		if p.rest == "" {
			return nil, errors.New(`it ends in \`)
		}
		first, p.rest = p.rest[0], p.rest[1:]
		if named, ok := namedSets[string(first)]; ok {
			addRange(&set, named)
			return single(nodeByte, &set), nil
		}
	}
	set[first] = true
	return single(nodeByte, &set), nil
}

// namedSets are the sets that names are made of, as pairs of first and last byte.
var namedSets = map[string]string{
	"d": "09", "w": "azAZ09__",
	"alnum": "azAZ09", "alpha": "azAZ", "digit": "09", "lower": "az", "upper": "AZ", "punct": "!/:@[`{~", "xdigit": "09afAF",
}

func addRange(set *[256]bool, pairs string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		for b := int(pairs[i]); b <= int(pairs[i+1]); b++ {
			set[b] = true
		}
	}
}

func invert(set *[256]bool) {
	for i := range set {
		set[i] = !set[i]
	}
}

// bracket reads a set behind its [.
func (p *patternParser) bracket(set *[256]bool) error {
	negated := strings.HasPrefix(p.rest, "^")
	if negated {
		p.rest = p.rest[1:]
	}
	for i := 0; ; i++ {
		switch {
		case p.rest == "":
			return errors.New("there is a [ without its ]")
		case p.rest[0] == ']' && i > 0:
			p.rest = p.rest[1:]
			if negated {
				invert(set)
			}
			return nil
		case strings.HasPrefix(p.rest, "[:"):
			name, after, ok := strings.Cut(p.rest[2:], ":]")
			pairs, known := namedSets[name]
			if !ok || !known {
				return errors.New("it names a set that is not known")
			}
			addRange(set, pairs)
			p.rest = after
		case len(p.rest) > 2 && p.rest[1] == '-' && p.rest[2] != ']':
			if p.rest[0] > p.rest[2] {
				return fmt.Errorf("the range %s is backwards", p.rest[:3])
			}
			addRange(set, string([]byte{p.rest[0], p.rest[2]}))
			p.rest = p.rest[3:]
		default:
			set[p.rest[0]] = true
			p.rest = p.rest[1:]
		}
	}
}

// times reads how often the piece before may stand.
func (p *patternParser) times(one piece) (piece, error) {
	for p.rest != "" {
		switch p.rest[0] {
		case '*':
			one = repeat(one, 0, -1)
		case '+':
			one = repeat(one, 1, -1)
		case '?':
			one = repeat(one, 0, 1)
		case '{':
			braces, after, ok := strings.Cut(p.rest[1:], "}")
			least, most, err := parseBraces(braces)
			if !ok || err != nil {
				return nil, errors.New("braces need {n}, {n,} or {n,m} with numbers up to 255")
			}
			one, p.rest = repeat(one, least, most), after
			continue
		default:
			return one, nil
		}
		p.rest = p.rest[1:]
	}
	return one, nil
}

func parseBraces(s string) (least, most int, err error) {
	low, high, hasComma := strings.Cut(s, ",")
	l, err := strconv.ParseUint(low, 10, 8)
	if err != nil || !hasComma {
		return int(l), int(l), err
	}
	if high == "" {
		return int(l), -1, nil
	}
	h, err := strconv.ParseUint(high, 10, 8)
	if err == nil && h < l {
		err = errors.New("backwards")
	}
	return int(l), int(h), err
}
