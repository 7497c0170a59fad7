package config

import "inkwell/internal/conf"

const categoryIntro = "Has a store of its own, made from its `<model>` block, for every category that it meets, all " +
	"in one queue. Sensible with `new_thread_per_category=no`: " +
	"otherwise every category has a queue and a store of its own already, and the category stands twice in the path."

const nullIntro = "Drops everything and counts it as `ignored`."

// byCategory reads a block of the type category.
func (l *loader) byCategory(b *conf.Block, p position) (Sink, error) {
	model := b.Sub("model")
	if model == nil {
		return nil, refuse(b, "CATEGORYSTORE: NO stores found, invalid store.", "add a <model> block with type=file")
	}
	// The model inherits from the parent of the category block and not from that block itself, as in the original.
	model.Parent = b.Parent
	p.model, p.shared, p.single = true, false, true
	sink, err := l.sub(model, "CATEGORYSTORE: Store is missing type.", p)
	if err != nil {
		return nil, err
	}
	return ByCategory{Model: sink}, nil
}
