package main

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// columnsOf returns the number of terminal columns of a character.
func columnsOf(r rune) int {
	switch k := width.LookupRune(r).Kind(); {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case k == width.EastAsianWide || k == width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// cutTo returns the beginning of a line that fits into the given number of columns.
func cutTo(line string, columns int) string {
	used := 0
	for i, r := range line {
		if used += columnsOf(r); used > columns {
			return line[:i]
		}
	}
	return line
}

// fold breaks a line at its blanks, so that each part fits into the given number of columns. All parts but the first
// are indented by two columns; a word that is wider than the screen is cut.
func fold(line string, columns int) (parts []string) {
	part := ""
	for _, word := range strings.Fields(line) {
		switch longer := part + " " + word; {
		case part == "":
			part = word
		case columnCount(longer) <= columns:
			part = longer
		default:
			parts = append(parts, cutTo(part, columns))
			part = "  " + word
		}
	}
	return append(parts, cutTo(part, columns))
}

// columnCount returns the number of columns of a text.
func columnCount(text string) (n int) {
	for _, r := range text {
		n += columnsOf(r)
	}
	return n
}

// cells is a table. All columns but the last are aligned to the right, as numbers are; the last is a name of any
// length.
type cells struct {
	title []string
	rows  [][]string
}

// lines returns the title and the rows that contain word, in upper or lower case, or nothing if there is no such row.
func (c *cells) lines(word string) (list []string) {
	rows := c.rows[:0:0]
	for _, row := range c.rows {
		if word == "" || strings.Contains(strings.ToLower(strings.Join(row, " ")), strings.ToLower(word)) {
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	widths := make([]int, len(c.title))
	for _, row := range append([][]string{c.title}, rows...) {
		for i, text := range row {
			widths[i] = max(widths[i], columnCount(text))
		}
	}
	for _, row := range append([][]string{c.title}, rows...) {
		var out strings.Builder
		for i, text := range row {
			if i == len(row)-1 {
				out.WriteString(text)
				break
			}
			out.WriteString(strings.Repeat(" ", widths[i]-columnCount(text)) + text + "  ")
		}
		list = append(list, out.String())
	}
	return list
}
