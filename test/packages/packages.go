// Package packages holds the tests of what packaging/ makes: that the same commit gives the same bytes, what lintian
// and rpm say of them, and the life of the deb in a fresh Debian, from its installation to its purge (lifecycle.sh).
//
//	packaging/build ─► deb, rpm, tarball ─► lintian, rpm, cmp
//	.ci/deps ─► bookworm.tar, unpacked for each test ─► systemd-nspawn boots it, or chroot ─► lifecycle.sh ─► its lines with FAIL
//
// They need root and what .ci/deps installs. Where systemd-nspawn cannot boot a system, as within most containers, the
// part of the test with systemd says that it was not run; the chroot is tried everywhere.
package packages
