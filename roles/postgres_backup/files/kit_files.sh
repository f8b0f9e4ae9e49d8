# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `backup.sh run`: keeps restore-kit.sh and RESTORE.md next to the backups.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2153,SC2154 # variables are shared with the other files

# copy_kit: copies the files of the role's second ConfigMap to the volume, if they differ. An installation without that
# ConfigMap, or of an earlier version of the role, has none. A failure is a warning: the backup is published.
copy_kit() {
    : "${POSTGRES_BACKUP_KIT:=/opt/postgres-backup-kit}"
    if [ -s "$POSTGRES_BACKUP_KIT/restore-kit.sh" ]; then copy_kit_file restore-kit.sh restore-kit.sh; fi
    [ -s "$POSTGRES_BACKUP_KIT/RESTORE.md" ] || return 0
    page=RESTORE.md
    # The first line names the installation. The page of another one in this folder, or one that a person wrote, is kept.
    if [ -e "$POSTGRES_BACKUP_DIR/$page" ] || [ -L "$POSTGRES_BACKUP_DIR/$page" ]; then
        [ "$(head -n 1 "$POSTGRES_BACKUP_DIR/$page" 2>/dev/null)" = "$(head -n 1 "$POSTGRES_BACKUP_KIT/$page")" ] || page=$POSTGRES_BACKUP_NAME.RESTORE.md
    fi
    copy_kit_file RESTORE.md "$page"
}

# copy_kit_file FILE NAME: copies it to the volume under that name.
copy_kit_file() {
    kit_text=$(cat "$POSTGRES_BACKUP_KIT/$1")
    [ -L "$POSTGRES_BACKUP_DIR/$2" ] || [ "$(cat "$POSTGRES_BACKUP_DIR/$2" 2>/dev/null)" != "$kit_text" ] || return 0
    if replace_text "$POSTGRES_BACKUP_DIR/$2" "$kit_text"; then
        log "wrote $2 next to the backups"
    else
        warn "$2 could not be written next to the backups: $message"
    fi
}
