package collector

import (
	"cmp"

	"inkwell/internal/config"
)

// flaw says why a configuration must not replace one that works, "" if it may. Problems are preferred to the status,
// because they say where they are and what to do; only the status tells of a file that cannot be read.
func flaw(c *config.Config) string {
	for _, p := range c.Problems {
		if p.Error {
			return p.String()
		}
	}
	return cmp.Or(c.Status, badStore(c))
}

// badStore is the status of the last block that is not a usable store, with the text of the original.
func badStore(c *config.Config) string {
	text := ""
	for _, s := range c.Stores {
		if s.Sink == nil {
			text = s.Status
		}
	}
	return text
}

// badPart is the status of the first store whose trouble no queue reports, because the store works without a part of it
// or is only a model.
func badPart(c *config.Config) string {
	for _, s := range c.Stores {
		if s.Status != "" {
			return s.Status
		}
	}
	return ""
}
