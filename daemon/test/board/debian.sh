# shellcheck shell=bash
# How the emulated board takes packages from Debian, whatever
# release and architecture the host has. To be sourced, with root set to the
# checkout.

# findMirror sets mirror: the one that the host's apt uses, or MIRROR.
findMirror() {
	# shellcheck disable=SC2016 # apt fills the name in, not the shell
	mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | sort -u | sed -n 1p)}
	if [ -z "$mirror" ]; then
		echo "$0: apt knows no Debian mirror (run apt-get update, or set MIRROR)" >&2
		return 1
	fi
}

# apt ARCH SUITE PROGRAM ARGUMENT... runs apt-get or apt-cache for one Debian
# architecture and release with lists and status of its own. The host's proxy
# settings and keyring are used.
apt() {
	# shellcheck disable=SC2154 # root is the sourcing script's
	local arch=$1 suite=$2 program=$3 state=$root/build/apt/$2-$1
	shift 3
	mkdir -p "$state"/{lists/partial,cache/archives/partial}
	: >"$state/status"
	# The release alone: it changes a few times a year, and with it the bytes we
	# build. Nothing linked from it reads data from outside; see docs/building.md.
	echo "deb $mirror $suite main" >"$state/sources.list"
	"$program" -qq \
		-o APT::Architecture="$arch" -o APT::Architectures="$arch" -o APT::Sandbox::User= \
		-o Dir::State="$state" -o Dir::State::status="$state/status" -o Dir::State::lists="$state/lists" \
		-o Dir::Cache="$state/cache" -o Dir::Etc::sourcelist="$state/sources.list" \
		-o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null -o Acquire::Languages=none "$@"
}

# retry runs a command up to three times: a mirror may be caught half-way
# through its own update.
retry() {
	for try in 1 2 3; do
		if "$@"; then
			return
		fi
		sleep $((try * 5))
	done
	return 1
}
