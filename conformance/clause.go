package conformance

// A Clause is the sentence of the specification that a check proves: the file
// of runtime-spec it stands in, the anchor of its section, how binding it is,
// and its words, with the markup taken out.
type Clause struct {
	File   string `json:"file"`
	Anchor string `json:"anchor"`
	Level  Level  `json:"level"`
	Text   string `json:"text"`
}

// Level is the strength of a clause in the words of RFC 2119.
type Level string

// The levels a check can have. A runtime that breaks a Must is not compliant
// (spec.md, section Notational Conventions); one that departs from a Should gets a warning.
const (
	Must   Level = "MUST"
	Should Level = "SHOULD"
)

// String is the citation in one line.
func (c Clause) String() string { return c.File + "#" + c.Anchor + ": " + c.Text }

func must(file, anchor, text string) Clause {
	return Clause{File: file, Anchor: anchor, Level: Must, Text: text}
}

func should(file, anchor, text string) Clause {
	return Clause{File: file, Anchor: anchor, Level: Should, Text: text}
}
