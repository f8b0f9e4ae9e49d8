#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# In the guest: NFS servers and clients, each in a separate network namespace, on one cable.
#
#   nfs.sh host NAME NUMBER              a network namespace with the address 10.9.0.NUMBER
#   nfs.sh server NAME                   an NFS server in one, running
#   nfs.sh stop NAME, nfs.sh start NAME  its service
#   nfs.sh share SERVER PATH FSID SIZE OWNER MODE OPTIONS  a tmpfs, exported with these options
#   nfs.sh mount CLIENT SOURCE TARGET OPTIONS  CLIENT is `node` for the guest itself, else the name of a host
# shellcheck disable=SC2016 # what a shell inside expands
set -eu

host() {
    ip netns add "$1"
    ip link add "$1" type veth peer name eth0 netns "$1"
    ip link set "$1" master cable up
    ip -n "$1" link set lo up
    ip -n "$1" addr add "10.9.0.$2/24" dev eth0
    ip -n "$1" link set eth0 up
}

# inside SERVER COMMAND...: in its namespaces.
inside() {
    server=$1
    shift
    nsenter --net="/run/netns/$server" --mount="/proc/$(cat "/run/$server.pid")/ns/mnt" "$@"
}

server() {
    nsenter --net="/run/netns/$1" unshare --mount --propagation slave sh -euc '
        mount -t tmpfs tmpfs /var/lib/nfs
        mkdir -p /var/lib/nfs/nfsdcld /run/rpc_pipefs
        : >/var/lib/nfs/etab
        : >/var/lib/nfs/rmtab
        mount -t rpc_pipefs rpc_pipefs /run/rpc_pipefs
        mount -t nfsd nfsd /proc/fs/nfsd
        # As short as they can be: after a restart the server waits so long for its clients.
        echo 10 >/proc/fs/nfsd/nfsv4leasetime
        echo 10 >/proc/fs/nfsd/nfsv4gracetime
        nfsdcld
        rpc.mountd --no-nfs-version 3
        rpc.nfsd --no-nfs-version 3 --nfs-version 4 4
        echo $$ >"/run/$1.new"
        mv "/run/$1.new" "/run/$1.pid"
        exec sleep infinity
    ' sh "$1" >"/run/$1.log" 2>&1 &
    tries=0
    until [ -e "/run/$1.pid" ]; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 $!; then
            cat "/run/$1.log" >&2
            exit 1
        fi
        sleep 0.1
    done
}

stop() { inside "$1" rpc.nfsd 0; }

# The same flags again, or it asks for rpcbind.
start() { inside "$1" rpc.nfsd --no-nfs-version 3 --nfs-version 4 4; }

share() {
    mkdir -p "$2"
    mount -t tmpfs -o "size=$4,uid=$5,gid=$5,mode=$6" tmpfs "$2"
    inside "$1" exportfs -o "rw,sync,no_subtree_check,insecure,fsid=$3,$7" "*:$2"
}

mount_share() {
    mkdir -p "$3"
    if [ "$1" = node ]; then
        mount -t nfs -o "$4" "$2" "$3"
        return
    fi
    # Two clients of one name would be one to the server.
    nsenter --net="/run/netns/$1" unshare --uts sh -euc 'hostname "$1"; exec mount -t nfs -o "$4" "$2" "$3"' sh "$@"
}

case $1 in
    mount) shift; mount_share "$@" ;;
    host | server | stop | start | share) "$@" ;;
    *) exit 2 ;;
esac
