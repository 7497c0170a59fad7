//go:build publishearly

package kafka

// publishEarly makes this a program that writes entries twice, to show that test/cluster sees it. No release has it.
const publishEarly = true
