#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# The server itself, after entrypoint.sh has prepared its data folder.
set -o errexit -o nounset -o pipefail

exec postgres -D "$PGDATA" -p "${POSTGRESQL_PORT_NUMBER:-5432}" \
    -c "listen_addresses=*" -c "unix_socket_directories=/tmp" "$@"
