#!/bin/bash
# Builds the release tarballs, each with dlib, for amd64, arm64 and armv7.
#
#   cross-build.sh [ARCH...]          build dist/facegate-VERSION-linux-ARCH.tar.gz
#   cross-build.sh --check [ARCH...]  run what was built, see docs/building.md
#
# The C and C++ libraries come from Debian 12, unpacked into build/sysroot/ARCH
# by apt and dpkg-deb without root and without touching the host's packages
# (libdlib-dev cannot be installed for two architectures at once). They are
# linked statically, but for glibc. They come from the mirror that the host's
# apt uses, or from the one that MIRROR names (http://.../debian/).
set -euo pipefail
cd "$(dirname "$0")"

root=$PWD
architectures=(amd64 arm64 armv7)

# describe sets the facts of one architecture.
describe() {
	goarm=
	case $1 in
	amd64) debian=amd64 triplet=x86_64-linux-gnu goarch=amd64 baseline="-march=x86-64-v2" ;;
	arm64) debian=arm64 triplet=aarch64-linux-gnu goarch=arm64 baseline="-march=armv8-a" ;;
	armv7) debian=armhf triplet=arm-linux-gnueabihf goarch=arm goarm=7 baseline="-march=armv7-a+neon-vfpv3 -mfloat-abi=hard" ;;
	*) echo "cross-build.sh: no architecture $1 (known: ${architectures[*]})" >&2 && return 64 ;;
	esac
	sysroot=$root/build/sysroot/$1
	toolchain=$root/build/cross/$1/toolchain
	binary=$root/build/cross/$1/facegate
	stage=$root/build/cross/$1/$name-linux-$1
}

# commit sets name, epoch and how Go stamps the version.
commit() {
	if git rev-parse --quiet --verify HEAD >/dev/null; then
		version=$(git describe --tags --always --dirty)
		epoch=$(git log -1 --format=%ct)
		stamp=true
	else
		version=devel epoch=0 stamp=false
	fi
	export SOURCE_DATE_EPOCH=$epoch
	name=facegate-${version#v}
}

# findMirror sets mirror.
findMirror() {
	# shellcheck disable=SC2016 # apt fills the name in, not the shell
	mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | sort -u | sed -n 1p)}
	if [ -z "$mirror" ]; then
		echo "cross-build.sh: apt knows no Debian mirror (run apt-get update, or set MIRROR)" >&2
		return 1
	fi
}

# apt runs apt-get for one Debian architecture and release with lists and
# status of its own. The host's proxy settings and keyring are used.
apt() {
	local arch=$1 suite=$2 state=$root/build/apt/$2-$1
	shift 2
	mkdir -p "$state"/{lists/partial,cache/archives/partial}
	: >"$state/status"
	# The release alone: it changes a few times a year, and with it the bytes we
	# build. Nothing linked from it reads data from outside; see docs/building.md.
	echo "deb $mirror $suite main" >"$state/sources.list"
	apt-get -qq \
		-o APT::Architecture="$arch" -o APT::Architectures="$arch" -o APT::Sandbox::User= \
		-o Dir::State="$state" -o Dir::State::status="$state/status" -o Dir::State::lists="$state/lists" \
		-o Dir::Cache="$state/cache" -o Dir::Etc::sourcelist="$state/sources.list" \
		-o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null -o Acquire::Languages=none "$@"
}

# update retries: a mirror may be caught half-way through its own update.
update() {
	for try in 1 2 3; do
		if apt "$1" "$2" update; then
			return
		fi
		sleep $((try * 5))
	done
	return 1
}

# unpack ARCH SUITE DIR PACKAGE... fills DIR, and lists what is in it.
unpack() {
	local arch=$1 suite=$2 dir=$3
	shift 3
	if [ "$(cat "$dir/.asked" 2>/dev/null)" = "$mirror $suite $*" ]; then
		return
	fi
	update "$arch" "$suite"
	rm -rf "$dir" "$dir.deb"
	mkdir -p "$dir" "$dir.deb"
	(cd "$dir.deb" && apt "$arch" "$suite" download "$@")
	for deb in "$dir.deb"/*.deb; do
		dpkg-deb -x "$deb" "$dir"
		echo "$(dpkg-deb --field "$deb" Package) $(dpkg-deb --field "$deb" Version)"
	done | sort >"$dir/packages.txt"
	rm -r "$dir.deb"
	echo "$mirror $suite $*" >"$dir/.asked"
}

# compile builds the daemon for the described architecture.
compile() {
	unpack "$debian" bookworm "$sysroot" libc6 libc6-dev linux-libc-dev libcrypt-dev \
		libdlib-dev libopenblas-pthread-dev libjpeg62-turbo-dev libgfortran-12-dev
	local lib=$sysroot/usr/lib
	match/dlib/toolchain/prepare.sh "$toolchain" "$triplet-g++" \
		"$lib/$triplet/openblas-pthread" "$lib/$triplet" "$lib/gcc/$triplet/12"
	# Some of OpenBLAS's ARM assembler does not say that it needs no executable
	# stack; with one, the hardened unit could not start a thread. Paths of
	# this checkout would get into the binary through dlib's checks.
	CGO_ENABLED=1 GOOS=linux GOARCH=$goarch GOARM=$goarm CC=$triplet-gcc \
		CXX="$toolchain/$triplet-g++ $baseline --sysroot=$sysroot -ffile-prefix-map=$sysroot=/sysroot -Wno-psabi" \
		CGO_CFLAGS="-O2 $baseline --sysroot=$sysroot" \
		CGO_LDFLAGS="-L$toolchain -static-libstdc++ -static-libgcc -Wl,--gc-sections -Wl,-z,noexecstack" \
		go build -trimpath -buildvcs=$stamp -tags dlib -ldflags "-s -w -buildid=" -o "$binary" ./daemon
	# Other tags break the program on purpose, for tests.
	if ! go version -m "$binary" | grep -x $'\tbuild\t-tags=dlib' >/dev/null; then
		echo "cross-build.sh: $binary was built with other tags than dlib" >&2
		return 1
	fi
}

# licences copies those of everything in the binary.
licences() {
	local dir=$stage/licences package
	mkdir -p "$dir"
	for package in libdlib-dev libopenblas-pthread-dev libjpeg62-turbo-dev libc6; do
		cp -L "$sysroot/usr/share/doc/$package/copyright" "$dir/debian-$package"
	done
	cp -L "/usr/share/doc/$(dpkg-query -S "$("$triplet-gcc" -print-libgcc-file-name)" | cut -d: -f1)/copyright" "$dir/debian-gcc"
	GOOS=linux GOARCH=$goarch CGO_ENABLED=1 go list -deps -tags dlib \
		-f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Dir}}{{end}}{{end}}' ./daemon | sort -u |
		while read -r module from; do
			for file in "$from"/{LICENSE,LICENCE,COPYING,NOTICE}*; do
				if [ -f "$file" ]; then
					install -m 644 "$file" "$dir/${module//\//-}-$(basename "$file")"
				fi
			done
		done
	install -m 644 "$(go env GOROOT)/LICENSE" "$dir/go-LICENSE"
}

# pack makes the tarball of the described architecture.
pack() {
	rm -rf "$stage"
	mkdir -p "$stage"
	cp -r "$binary" systemd configs docs ./*.md LICENSE "$stage/"
	licences
	{
		echo "baseline: $baseline"
		"$triplet-g++" --version | head -n 1
		go version
		cat "$sysroot/packages.txt"
	} >"$stage/BUILD-INFO"
	find "$stage" -type d -exec chmod 755 {} + -o -type f -exec chmod u=rw,go=r {} +
	chmod 755 "$stage/facegate" "$stage/systemd/install.sh"
	mkdir -p dist
	tar -C "$(dirname "$stage")" --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner \
		--format=gnu -cf - "$(basename "$stage")" | gzip -9n >"dist/$(basename "$stage").tar.gz"
}

# sums lists the tarballs of this version.
sums() {
	(cd dist && sha256sum "$name"-linux-*.tar.gz >SHA256SUMS && cat SHA256SUMS)
}

# verdict WANT ID LIVE runs verify by the program in $program on two pictures and
# compares its exit status: 0 is a match, 1 is none.
verdict() {
	local want=$1 got=0
	shift
	"${program[@]}" verify --json --models "$FACEGATE_MODELS" --set dlib "$@" || got=$?
	if [ "$got" != "$want" ]; then
		echo "cross-build.sh: ${program[*]} verify $*: status $got, want $want" >&2
		return 1
	fi
}

# answers runs the program in $program on the demo's portraits, with dlib: ONNX
# Runtime for ARM does not come up under user-mode QEMU.
answers() {
	echo "== $1"
	"${program[@]}" version
	verdict 0 "$FACEGATE_PICTURES/obama.jpg" "$FACEGATE_PICTURES/obama2.jpg"
	verdict 1 "$FACEGATE_PICTURES/obama.jpg" "$FACEGATE_PICTURES/biden.jpg"
}

# check runs the described architecture's program: ARM under user-mode QEMU,
# amd64 on the C library of the Debian release after the one built on.
check() {
	case $1 in
	amd64)
		unpack amd64 trixie "$root/build/sysroot/trixie" libc6
		local lib=$root/build/sysroot/trixie/usr/lib/x86_64-linux-gnu
		program=("$lib/ld-linux-x86-64.so.2" --library-path "$lib" "$binary")
		answers "amd64 on the C library of Debian 13"
		;;
	arm64)
		program=(qemu-aarch64-static -L "$sysroot" "$binary")
		answers "arm64 under QEMU"
		;;
	armv7)
		program=(qemu-arm-static -L "$sysroot" "$binary")
		answers "armv7 under QEMU"
		;;
	esac
}

main() {
	local checking=
	if [ "${1:-}" = --check ]; then
		checking=yes
		shift
	fi
	commit
	findMirror
	for arch in "${@:-${architectures[@]}}"; do
		describe "$arch"
		if [ -n "$checking" ]; then
			check "$arch"
		else
			compile
			pack
		fi
	done
	if [ -z "$checking" ]; then
		sums
	fi
}

main "$@"
