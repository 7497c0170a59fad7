package config

import (
	"fmt"

	"inkwell/internal/conf"
)

var multiOptions = []option{
	{key: "report_success", kind: text, value: "all",
		meaning: "`all`: messages are done when every store in it has them; one that has them is not given them " +
			"again while others fail. `any`: one is enough."},
}

const multiIntro = "Gives everything to several stores: blocks `<store>` in it, or `<store0>`, `<store1>` … without " +
	"a gap, from 0 or 1."

// multi reads a block of the type multi.
func (l *loader) multi(b *conf.Block, p position) (Sink, error) {
	o := l.block(b, "multi")
	report, v := o.value("report_success")
	if v.Text != "all" && v.Text != "any" {
		return nil, &refusal{status: "MULTI: Invalid report_success value.", line: v.Line,
			cure: fmt.Sprintf("write %s=all or %s=any", report.key, report.key)}
	}
	s := Multi{Any: v.Text == "any"}
	used := make(map[string]bool)
	for i := 0; ; i++ {
		sub := b.Sub(fmt.Sprintf("store%d", i))
		if sub == nil && i == 0 {
			continue
		}
		if sub == nil {
			break
		}
		used[sub.Name] = true
		child, err := l.sub(sub, "MULTI: Store is missing type.", p)
		if err != nil && len(s.Children) > 0 {
			return s, err // as with the original, the stores before it get the messages
		}
		if err != nil {
			return nil, err
		}
		s.Children = append(s.Children, child)
	}
	for _, sub := range b.Blocks {
		if o.section.takes(sub.Name) && !used[sub.Name] {
			l.strict(sub.Line, fmt.Sprintf("<%s> is not used, because there is none with the number before it",
				sub.Name), "number the blocks without a gap, or call each of them <store>")
		}
	}
	if len(s.Children) == 0 {
		return nil, refuse(b, "MULTI: No stores found, invalid store.", "add blocks <store> … </store>")
	}
	return s, nil
}
