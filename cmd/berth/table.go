package main

import (
	"io"
	"strings"
	"unicode/utf8"
)

// writeTable writes rows of cells in columns, three spaces apart and twelve wide at least, the last one ragged. Cells are made
// printable.
func writeTable(w io.Writer, rows [][]string) error {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			row[i] = printable(cell)
			if i == len(widths) {
				widths = append(widths, 12)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i])+3)
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)))
			}
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}
