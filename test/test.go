// Package test holds the tests of the whole program: real processes on loopback, fed by files, pipes, a real web server and foreign
// clients, killed, starved of disk and fed junk; what came out is read with other people's tools and compared with what went in.
//
//	tail_test     files that are rotated in every style     crowd_test     many clients, many categories, junk
//	pipe_test     pipes and a collector that comes and goes peers_test     slow peers, limits, pipelined calls
//	kill_test     kill -9, fifty times                      badinput_test  bad categories, messages, command lines
//	stop_test     signals under load                        diskfull_test  full disks
//	state_test    states that are in use, or of another     output_test    codecs, rotation, durability, retention
//	apache_test   a real httpd                              tools_test     inkwell cat, inkwell spool and the rest
//	foreign_test  a foreign Thrift client                   house_test     who may import whom, how long things may be
//	golden_test   what the original scribed wrote           clients_test   clients of scribed, in several languages and manners
//	original_*    the original's own test suite             oldpeer_test   next hops that know only Log, in every mood
//	takeover_test buffers that the original left, and back  scribedkill_test  kill -9 of scribed and of relays
//	takeoverstate_test  states that an earlier build left behind (testdata/state)
//
// INKWELL_TEST_SCALE multiplies the amounts of data; 1 is the full size (1 GB through the tail test), the default is 0.2. With
// INKWELL_TEST_RACE=1, or when the tests themselves run under the race detector, so do the processes they start.
package test
