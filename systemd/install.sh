#!/bin/sh
# Puts facegate from an unpacked release where systemd finds it. Safe to run
# again, for an update too. It starts nothing and writes no configuration.
#
#   sudo ./systemd/install.sh            on this machine
#   DESTDIR=DIR ./systemd/install.sh     the files alone, into an image or a package
set -eu
cd "$(dirname "$0")/.."
root=${DESTDIR:-}

# put MODE FILE PLACE leaves either the old file or the whole new one,
# whenever the power goes, and replaces a program that runs.
put() {
	install -D -m "$1" "$2" "$root$3.new"
	sync "$root$3.new"
	mv -f "$root$3.new" "$root$3"
}

put 755 facegate /usr/bin/facegate
put 644 systemd/facegate.service /usr/lib/systemd/system/facegate.service
put 644 systemd/facegate.sysusers /usr/lib/sysusers.d/facegate.conf
put 644 systemd/facegate.tmpfiles /usr/lib/tmpfiles.d/facegate.conf
put 644 systemd/60-facegate.rules /usr/lib/udev/rules.d/60-facegate.rules
install -d -m 755 "$root/etc/facegate"
install -d -m 700 "$root/etc/facegate/secrets"

if [ -n "$root" ]; then
	exit
fi
systemd-sysusers facegate.conf
systemd-tmpfiles --create facegate.conf
udevadm control --reload
udevadm trigger --subsystem-match=gpio
systemctl daemon-reload
