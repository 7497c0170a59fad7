#!/bin/sh
# Writes proto/gen from the IDL: the same bytes each time, with the thrift compiler that Debian has (0.17: apt-get install thrift-compiler).
set -eu
cd "$(dirname "$0")"
command -v thrift >/dev/null || { echo "generate.sh: no thrift compiler here; apt-get install thrift-compiler" >&2; exit 1; }
case $(thrift --version) in
*" 0.17."*) ;;
*) echo "generate.sh: $(thrift --version) would write other code than 0.17; use Debian's thrift-compiler" >&2; exit 1 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for idl in fb303 scribe bucketupdater; do # one by one: with -r an included file is compiled once more
	# -nowarn: "optional" in an argument list is ignored, it stands there for the reader
	thrift -nowarn -out "$work" --gen go:package_prefix=inkwell/proto/gen/ "$idl.thrift"
done
rm -rf "$work"/*/*-remote # command line clients that nobody asked for
gofmt -w "$work"
rm -rf gen
mkdir gen
cp -R "$work"/fb303 "$work"/scribe "$work"/bucketupdater gen/
chmod -R u=rwX,go=rX gen
