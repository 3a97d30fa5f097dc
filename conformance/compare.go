package conformance

// Change is a check whose outcome differs between two reports. From or To is
// empty where a report does not hold the check.
type Change struct {
	Name     string   `json:"name"`
	From, To Outcome  `json:"-"`
	Was      string   `json:"was"`
	Is       string   `json:"is"`
	Reasons  []string `json:"reasons,omitempty"`
}

// Worse tells whether the change is a regression: what passed does not pass
// any more, or is not tried any more; or a new check fails.
func (c Change) Worse() bool {
	rank := map[Outcome]int{Pass: 3, Warn: 2, "": 1, Skip: 1, Fail: 0}
	return rank[c.To] < rank[c.From]
}

// Compare lists what changed from one report to the next, in the order of the
// later one; checks that disappeared come last.
func Compare(before, after Report) []Change {
	was := map[string]Result{}
	for _, result := range before.Results {
		was[result.Name] = result
	}
	changes := []Change{}
	for _, result := range after.Results {
		old := was[result.Name]
		delete(was, result.Name)
		if old.Outcome != result.Outcome {
			changes = append(changes, change(result.Name, old.Outcome, result.Outcome, result.Reasons))
		}
	}
	for _, result := range before.Results {
		if _, gone := was[result.Name]; gone {
			changes = append(changes, change(result.Name, result.Outcome, "", nil))
		}
	}
	return changes
}

func change(name string, from, to Outcome, reasons []string) Change {
	shown := func(o Outcome) string {
		if o == "" {
			return "absent"
		}
		return string(o)
	}
	return Change{Name: name, From: from, To: to, Was: shown(from), Is: shown(to), Reasons: reasons}
}
