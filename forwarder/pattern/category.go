package pattern

import (
	"fmt"
	"slices"

	"inkwell/forwarder/category"
)

// template reads the category. Its names must be in each of the alternatives.
func (p *Pattern) template(text string) (*category.Template, error) {
	t, err := category.Parse(text)
	if err != nil {
		return nil, err
	}
	for _, a := range p.alternatives {
		for _, name := range t.Names() {
			if !slices.Contains(a.names(), name) {
				return nil, fmt.Errorf("{%s} does not stand in the pattern, or not in each of its alternatives", name)
			}
		}
	}
	return t, nil
}
