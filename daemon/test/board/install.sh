#!/bin/bash
# Run on the board: installs the release as its README says.
set -euo pipefail
mkdir /root/release
tar -xzf /mnt/release.tar.gz -C /root/release --strip-components=1 --no-same-owner
/root/release/systemd/install.sh
install -m 644 /mnt/facegate.yaml /etc/facegate/facegate.yaml
install -m 644 /mnt/models/* /var/lib/facegate/models/
facegate check --config /etc/facegate/facegate.yaml
systemctl enable facegate
