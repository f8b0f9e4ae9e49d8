#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# finish.sh ROOT: mmdebstrap's last step: the kernel beside the root filesystem (in $KERNEL), the few modules that are
# needed in it ($MODULES), and a PostgreSQL data directory with the sample databases ($SAMPLE, a file of SQL).
# shellcheck disable=SC2016 # what a shell inside expands
set -eu
root=$1

# Unpacked, not installed: its packages would make an initramfs of their own.
APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get --yes --quiet --quiet --download-only --no-install-recommends install linux-image-cloud-amd64 >/dev/null
for package in "$root"/var/cache/apt/archives/linux-*-cloud-amd64_*.deb; do
    dpkg-deb --extract "$package" "$root"
done
version=$(ls "$root/usr/lib/modules")
modules=$root/usr/lib/modules/$version
mv "$modules/vmlinuz" "$KERNEL"
chroot "$root" depmod "$version"
# shellcheck disable=SC2086,SC2153 # words, from outside
chroot "$root" modprobe --all --show-depends --set-version "$version" $MODULES | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u >"$root/needed"
find "$modules" -name '*.ko.xz' | while IFS= read -r module; do
    grep -q "/${module##*/}\$" "$root/needed" || rm "$module"
done
rm "$root/needed"
chroot "$root" depmod "$version"

data=/var/lib/postgresql/data
cp "$SAMPLE" "$root/tmp/sample.sql"
echo "$PASSWORD" >"$root/tmp/password"
echo "local all all trust" >"$root/tmp/hba"
chmod 0644 "$root/tmp/hba" "$root/tmp/password" "$root/tmp/sample.sql"
chroot "$root" setpriv --reuid=postgres --regid=postgres --clear-groups sh -eu -c '
    PATH=/usr/lib/postgresql/18/bin:$PATH
    initdb --pgdata="$1" --username=postgres --pwfile=/tmp/password --auth=scram-sha-256 --locale=C.UTF-8 --wal-segsize=1 --no-sync --no-instructions
    cat >>"$1/postgresql.conf" <<SETTINGS
unix_socket_directories = '"''"'
dynamic_shared_memory_type = mmap
fsync = off
shared_buffers = 32MB
autovacuum = off
jit = off
io_method = sync
SETTINGS
    pg_ctl --pgdata="$1" --options="-c unix_socket_directories=/tmp -c listen_addresses= -c hba_file=/tmp/hba" --wait --silent start
    psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --host=/tmp --username=postgres --file=/tmp/sample.sql
    pg_ctl --pgdata="$1" --mode=fast --wait --silent stop
' sh "$data" >"$root/tmp/log" 2>&1 || { cat "$root/tmp/log" >&2; exit 1; }
rm -rf "$root"/tmp/*
