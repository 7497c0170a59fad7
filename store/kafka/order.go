//go:build !publishearly

package kafka

// publishEarly is the control of test/cluster: with it a ledger publishes files before it commits them.
const publishEarly = false
