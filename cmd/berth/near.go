package main

// nearestFlag finds the long option that a misspelt one was meant to be, or nothing.
func nearestFlag(flags []flag, name string) string {
	var names []string
	for _, f := range flags {
		if !f.hidden {
			names = append(names, f.long)
		}
	}
	if near := nearest(names, name); near != "" {
		return "--" + near
	}
	return ""
}

// nearest finds the name that a misspelt one was meant to be: one that a third of its letters at most set apart.
func nearest(names []string, misspelt string) string {
	best, least := "", max(len(misspelt)/3, 1)+1
	for _, name := range names {
		if d := distance(name, misspelt); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is how many letters must be put in, left out, replaced or exchanged with their neighbour to make b of a
// (optimal string alignment).
func distance(a, b string) int {
	if len(b) > 64 { // nobody's typing error
		return len(b)
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
