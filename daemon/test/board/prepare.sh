#!/bin/bash
# Makes an ARM64 board of Debian packages in build/board: vmlinuz, initrd.gz, and
# root.ext4, a root file system with systemd. See docs/board.md.
set -euo pipefail
cd "$(dirname "$0")/../../.."
root=$PWD
# shellcheck source=daemon/test/board/debian.sh
source daemon/test/board/debian.sh

here=$root/daemon/test/board
out=$root/build/board
work=$out/work
tree=$work/root

# usr-is-merged stands for a package that would bring perl along.
packages=(systemd udev kmod usr-is-merged base-files base-passwd bash dash coreutils util-linux mount sed grep
	findutils procps tar gzip login e2fsprogs v4l-utils gpiod busybox-static)
# The modules that find the root file system, and those that the board has besides.
early=(virtio_pci virtio_blk ext4)
late=(virtio_net virtio_rng 9p 9pnet_virtio vivid uvcvideo vhci_hcd)

# What would only slow the start. logind needs D-Bus, which is not there.
unwanted=(systemd-logind.service getty.target modprobe@.service systemd-update-utmp.service systemd-update-utmp-runlevel.service
	dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount)

# asked tells what was asked for, to know it again.
asked() {
	echo "$mirror"
	(cd "$here" && sha256sum prepare.sh init && find root ! -type d -exec sha256sum {} + | sort)
}

# fetch downloads the packages with all that they need, and the kernel.
fetch() {
	local kernel
	retry apt arm64 bookworm apt-get update
	kernel=$(apt arm64 bookworm apt-cache depends linux-image-arm64 | sed -n 's/^ *Depends: //p' | sed -n 1p)
	mkdir -p "$work"/{deb/partial,linux}
	retry apt arm64 bookworm apt-get install -y --download-only --no-install-recommends \
		-o Dir::Cache::archives="$work/deb" "${packages[@]}"
	cd "$work/linux"
	retry apt arm64 bookworm apt-get download "$kernel"
	cd "$root"
}

# unpack fills the tree without running any package's scripts, so that nothing
# has to be emulated.
unpack() {
	local deb
	mkdir -p "$tree"/{dev,proc,sys,run,mnt} "$tree"/usr/{bin,sbin,lib}
	ln -s usr/bin usr/sbin usr/lib "$tree/"
	for deb in "$work"/deb/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$tree" --keep-directory-symlink --no-same-owner \
			--exclude=./usr/share/{doc,info,lintian,locale,man,perl} --exclude=./usr/share/systemd/tests
	done
	mkdir -p "$work/kernel"
	dpkg-deb --fsys-tarfile "$work"/linux/*.deb | tar -x -C "$work/kernel"
}

# needs lists the files of kernel modules in the order in which they go in.
needs() {
	local module
	for module in "$@"; do
		modprobe --dirname "$work/kernel" --set-version "$version" --show-depends "$module"
	done | awk '$1 == "insmod" && !seen[$2]++ {print $2}'
}

# linux takes the kernel and the modules out of its package.
linux() {
	local file
	version=$(ls "$work/kernel/lib/modules")
	cp "$work/kernel/boot/vmlinuz-$version" "$out/vmlinuz"
	depmod --basedir "$work/kernel" "$version"
	for file in $(needs "${early[@]}" "${late[@]}"); do
		install -D -m 644 "$file" "$tree/usr${file#"$work/kernel"}"
	done
	cp "$work/kernel/lib/modules/$version"/modules.{builtin,order}* "$tree/usr/lib/modules/$version/"
	depmod --basedir "$tree" "$version"
}

# initrd makes the first root, which finds the real one.
initrd() {
	local first=$work/first file
	mkdir -p "$first"/{bin,dev,proc,sys,root,modules}
	cp "$tree/bin/busybox" "$first/bin/"
	install -m 755 "$here/init" "$first/init"
	for file in $(needs "${early[@]}"); do
		cp "$file" "$first/modules/"
		basename "$file"
	done >"$first/modules/order"
	(cd "$first" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -1) >"$out/initrd.gz"
}

# configure does what the packages' scripts would have done.
configure() {
	cp -r "$here/root/." "$tree/"
	install -m 644 "$tree"/usr/share/base-passwd/passwd.master "$tree/etc/passwd"
	install -m 644 "$tree"/usr/share/base-passwd/group.master "$tree/etc/group"
	qemu-aarch64-static -L "$tree" "$tree/usr/bin/systemd-sysusers" --root="$tree"
	ln -sf dash "$tree/usr/bin/sh"
	local units=/usr/lib/systemd/system own=$tree/etc/systemd/system unit
	mkdir -p "$own"/{multi-user,sockets}.target.wants
	ln -s "$units/multi-user.target" "$own/default.target"
	ln -s "$units/systemd-networkd.service" ../prompt.service "$own/multi-user.target.wants/"
	ln -s ../hand.socket "$own/sockets.target.wants/"
	for unit in "${unwanted[@]}"; do
		ln -s /dev/null "$own/$unit"
	done
	touch "$tree"/{etc,var}/.updated
}

# image writes the tree to a file system of the size in MiB.
image() {
	rm -f "$out/root.ext4"
	mkfs.ext4 -q -L root -O ^metadata_csum_seed -E root_owner=0:0 -d "$tree" "$out/root.ext4" 512M
}

main() {
	findMirror
	if [ "$(cat "$out/asked" 2>/dev/null)" = "$(asked)" ]; then
		return
	fi
	rm -rf "$out"
	fetch
	unpack
	linux
	initrd
	configure
	image
	rm -r "$work"
	asked >"$out/asked"
}

main
