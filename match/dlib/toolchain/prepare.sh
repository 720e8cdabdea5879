#!/bin/sh
# Usage: prepare.sh DIR COMPILER [LIBDIR...]
#
# Fills DIR with what a portable build of go-face needs: a link COMPILER to
# cxx.sh, and linker scripts for the libraries it names. It asks for -lcblas,
# which Debian has no file for; OpenBLAS holds all of BLAS, CBLAS and LAPACK.
# With LIBDIRs the scripts name the static libraries found there, so that the
# binary does not depend on one distribution release.
set -eu

dir=$1
compiler=$2
shift 2

mkdir -p "$dir"
ln -sf "$(cd "$(dirname "$0")" && pwd)/cxx.sh" "$dir/$compiler"

# static prints the path of a static library in one of the LIBDIRs.
static() {
	name=$1
	shift
	for d; do
		if [ -e "$d/$name" ]; then
			echo "$d/$name"
			return
		fi
	done
	echo "prepare.sh: no $name in $*" >&2
	return 1
}

# script writes a linker script, and touches it only if it changes.
script() {
	if [ "$(cat "$dir/$1" 2>/dev/null)" != "$2" ]; then
		echo "$2" >"$dir/$1"
	fi
}

if [ $# -eq 0 ]; then
	for lib in blas cblas lapack; do
		script "lib$lib.so" "INPUT(-lopenblas)"
	done
	exit
fi

openblas=$(static libopenblas.a "$@")
fortran=$(static libgfortran.a "$@") # some of LAPACK joins strings
for lib in openblas blas cblas lapack; do
	script "lib$lib.so" "INPUT($openblas $fortran)"
done
dlib=$(static libdlib.a "$@")
script libdlib.so "INPUT($dlib)"
jpeg=$(static libjpeg.a "$@")
script libjpeg.so "INPUT($jpeg)"
