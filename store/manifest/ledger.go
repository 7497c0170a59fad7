package manifest

import (
	"slices"

	"inkwell/internal/faultfs"
)

// ReadLedger reads the lines of Contents in a collector's state directory that count, category by category in the order of their
// offsets; there need not be any. bad counts lines that are damaged.
func ReadLedger(dir *faultfs.Dir) (list []Contents, bad int, err error) {
	var names []string
	byCategory := make(map[string][]Contents)
	bad, err = faultfs.ReadLines(dir, Ledger, LedgerHeader, func(body []byte) error {
		c, err := ParseContents(body)
		if err != nil {
			return err
		}
		lines, known := byCategory[c.Category]
		if !known {
			names = append(names, c.Category)
		}
		byCategory[c.Category] = supersede(lines, c)
		return nil
	})
	for _, name := range names {
		Settle(byCategory[name])
		list = append(list, byCategory[name]...)
	}
	return list, bad, err
}

// supersede puts c behind the lines of its category, in the place of those that end behind its beginning.
func supersede(lines []Contents, c Contents) []Contents {
	k := len(lines)
	for k > 0 && lines[k-1].Through > c.From {
		k--
	}
	return append(slices.Delete(lines, k, len(lines)), c)
}
