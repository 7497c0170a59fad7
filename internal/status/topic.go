package status

// Topic is the journal that several collectors share. Each of them knows all partitions.
type Topic struct {
	Name       string      `json:"name"`
	Group      string      `json:"group"`
	Member     string      `json:"member"` // this collector
	Lag        int64       `json:"lag_records"`
	Partitions []Partition `json:"partitions"`
}

// Partition is how far the collectors have come with one partition of a topic.
type Partition struct {
	Number    int32  `json:"partition"`
	Owner     string `json:"owner,omitempty"`  // the member that drains it, none = nobody
	Committed int64  `json:"committed_offset"` // records below it are in the depot
	End       int64  `json:"end_offset"`       // behind the last record
	Lag       int64  `json:"lag_records"`
}
