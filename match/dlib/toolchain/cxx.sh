#!/bin/sh
# A C++ compiler without -march=native. go-face asks for it in its own flags,
# which come after the environment's: it would tie a binary to the processor
# it was built on, and cross compilers refuse it.
#
# Called through a link named like the real compiler (aarch64-linux-gnu-g++),
# which is found in PATH. Go keeps what it built by the text of CXX and the
# compiler's own version, so the baseline belongs into CXX, behind this name.
set -eu

for arg; do
	shift
	[ "$arg" = -march=native ] || set -- "$@" "$arg"
done

name=$(basename "$0")
real=$(command -v "$name") || { echo "cxx.sh: no $name in PATH (install it)" >&2 && exit 127; }
if [ "$(readlink -f "$real")" = "$(readlink -f "$0")" ]; then
	echo "cxx.sh: $name in PATH is this script, not a compiler (take $(dirname "$real") out of PATH)" >&2
	exit 1
fi
exec "$name" "$@"
