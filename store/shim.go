package store
import ("context";"time";"inkwell/proto")
type States = Marks
type Urgent interface{ Urgent() bool }
// Dated is a Keeper that puts entries into the file of the time at which they came in.
type Dated interface {
	AppendDated(ctx context.Context, b *proto.Batch, since time.Time) error
}
