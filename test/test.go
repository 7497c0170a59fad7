// Package test holds the tests of the whole program: real processes on loopback, fed by files, pipes, a real web server
// and foreign clients, killed, starved of disk and fed junk; what came out is read with other people's tools and
// compared with what went in.
//
// Which file has the tests of which subject is in CONTRIBUTING.md.
//
// INKWELL_TEST_SCALE multiplies the amounts of data; 1 is the full size (1 GB through the tail test), the default is
// 0.2. With INKWELL_TEST_RACE=1, or when the tests themselves run under the race detector, so do the processes they
// start.
package test
