# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `restore-kit.sh`: checks, lists and restores a backup in any folder, for a person without Kubernetes and Ansible.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files

kit_usage() {
    cat <<'TEXT'
usage: sh restore-kit.sh check BACKUP                          read the backup to its end, and compare its hash
       sh restore-kit.sh list BACKUP                           the same, then a line for each database: the bytes of
                                                               its text, and its name
       sh restore-kit.sh restore BACKUP                        restore all databases and roles
       sh restore-kit.sh restore BACKUP DATABASE [NEW-NAME]    restore one database
BACKUP is the path of a .sql.gz or .sql.gz.age file. Its checksum file (.sha256) and its manifest (.json) are used if they are next to it.
Server: PGHOST, PGPORT, PGUSER, PGPASSWORD (or ~/.pgpass), PGDATABASE (to connect to, by default postgres), PGSSLMODE.
Restores, each yes or no: POSTGRES_BACKUP_RESTORE_CHECK (no; shows whether it can be restored, and changes nothing),
POSTGRES_BACKUP_RESTORE_REPLACE (no; an existing database is renamed), POSTGRES_BACKUP_RESTORE_TERMINATE_CONNECTIONS (no).
All databases: POSTGRES_BACKUP_RESTORE_ALTER_ROLES (no; existing roles get the attributes of the backup, never a password),
POSTGRES_BACKUP_RESTORE_ANALYZE (yes). One database: POSTGRES_BACKUP_RESTORE_CREATE_ROLES (yes), and as texts
POSTGRES_BACKUP_RESTORE_SEARCH_PATH, _BEFORE_SQL, _AFTER_SQL, _TRANSFORM_SQL and _ASSERT_SQL, as the options of restore_database.
Encrypted backups (.age) need the program age and POSTGRES_BACKUP_IDENTITY_FILE, the path of an identity without passphrase.
Temporary files: TMPDIR, by default /tmp. The folder of the backup is not written to.
Needs: sh, gzip, the usual text tools (busybox has them), and for restores a psql at least as new as the program that made
the backup. Exit status: 0 when it succeeded, 1 when it failed, 2 when something must be changed first.
TEXT
}

# kit COMMAND BACKUP [DATABASE [NEW-NAME]]
kit() {
    warnings='' step_group='' hash_group='' reason=null
    case ${1-}:$# in
        check:2 | list:2 | restore:[234]) ;;
        help:* | --help:* | -h:*) kit_usage; clean_up; return ;;
        *)
            kit_usage >&2
            exit_status=2
            clean_up
            exit 2
            ;;
    esac
    keep_streams
    kit_backup "$2"
    kit_server
    case $1:$# in
        restore:2) kit_restore_everything; return ;;
        restore:*) kit_restore "$3" "${4-$3}"; return ;;
    esac
    read_configuration
    require_tools awk cp cut dd find grep gzip head mktemp mv od sed sha256sum sort stat tail tr
    check_volume
    require_work_folder
    kit_read
    case $1 in
        list) kit_list ;;
        *) printf '%s\n' "$kit_summary" ;;
    esac
    clean_up
}

# kit_backup PATH: sets `backup` to the file's name, and the variables of the volume to its folder.
kit_backup() {
    backup=${1##*/}
    case $1 in
        */*) kit_folder=${1%/*} kit_folder=${kit_folder:-/} ;;
        *) kit_folder=. ;;
    esac
    kit_folder=$(CDPATH='' cd -- "$kit_folder" 2>/dev/null && pwd) && [ -f "$kit_folder/$backup" ] ||
        fail_with 2 "there is no such file" "$1" "Set the path of a backup, a file that ends in .sql.gz."
    file=$kit_folder/$backup
    [ -r "$file" ] || fail_with 2 "the backup cannot be read" "$(ls -l "$file"), running as $(id)" "Run it as a user who may read the file."
    kit_stem=${backup%.age}
    POSTGRES_BACKUP_DIR=$kit_folder POSTGRES_BACKUP_NAME=${kit_stem%-????-??-??-??????.sql.gz}
    case $POSTGRES_BACKUP_NAME in
        "$kit_stem" | [!a-z0-9]* | *[!a-z0-9.-]* | *[!a-z0-9]) POSTGRES_BACKUP_NAME=postgres-backup has_name=no ;;
        *) has_name=yes ;;
    esac
    # In a pod of the CronJob, they are set for another task.
    POSTGRES_BACKUP_EXPECTED_MOUNT='' POSTGRES_BACKUP_TERMINATION_LOG=/dev/null POSTGRES_BACKUP_POD=kit-$$ POSTGRES_BACKUP_JOB=''
    # The folder of the backup is not written to.
    keeps_key_record=no
    export keeps_key_record POSTGRES_BACKUP_DIR POSTGRES_BACKUP_NAME POSTGRES_BACKUP_EXPECTED_MOUNT POSTGRES_BACKUP_TERMINATION_LOG POSTGRES_BACKUP_POD POSTGRES_BACKUP_JOB
    checksum=$(head -c 64 "$file.sha256" 2>/dev/null | tr 'A-F' 'a-f')
    case $checksum in *[!0-9a-f]*) checksum='' ;; esac
    [ ${#checksum} -eq 64 ] || checksum=''
}

# kit_server: libpq's variables take precedence: those of the CronJob may name another user.
kit_server() {
    POSTGRES_BACKUP_HOST=${PGHOST:-${POSTGRES_BACKUP_HOST:-}} POSTGRES_BACKUP_PORT=${PGPORT:-${POSTGRES_BACKUP_PORT:-5432}}
    POSTGRES_BACKUP_USER=${PGUSER:-${POSTGRES_BACKUP_USER:-postgres}} POSTGRES_BACKUP_DATABASE=${PGDATABASE:-${POSTGRES_BACKUP_DATABASE:-postgres}}
    unset PGDATABASE
    export POSTGRES_BACKUP_HOST POSTGRES_BACKUP_PORT POSTGRES_BACKUP_USER POSTGRES_BACKUP_DATABASE
}

# kit_read: reads the backup to its end; sets `sha256`, `missing_databases` and `kit_summary`, and writes $work/sections.
kit_read() {
    expected_sha256=$checksum RESTORE_SHA256=''
    require_readable
    bytes=$(stat -c %s "$file")
    choose_decompressor
    export file
    start_hash
    damage=
    [ "$decrypts" = yes ] || damage=$(describe_other_format "$file")
    [ -n "$damage" ] || find_text_damage
    [ -z "$damage" ] || fail_with_backup "the backup is damaged" "$backup: $damage" "Take another backup, or another copy of this one."
    check_hash
    missing_databases=$(sed -n 's/^missing //p' "$work/sections")
    kit_databases=$(grep -c '^section ' "$work/sections")
    kit_summary="$backup: complete, $kit_databases databases, $(human_bytes "$bytes"), sha256 $sha256"
    [ -z "$missing_databases" ] || kit_summary="$backup: incomplete, $kit_databases databases without $(listed "$missing_databases"), $(human_bytes "$bytes"), sha256 $sha256"
    if [ -n "$checksum" ]; then kit_summary="$kit_summary as in its checksum file"; else kit_summary="$kit_summary; it has no checksum file to compare it with"; fi
}

# kit_list: prints the databases in the order of the text.
kit_list() {
    printf '%s\n' "$kit_summary" >&2
    sed -n "s/^section [0-9]* \([0-9]*\) [0-9]* [^ ]* /\1$TAB/p" "$work/sections"
}

# kit_options: sets what both kinds of restores need (restore_plan.py, cluster.sh).
kit_options() {
    RESTORE_BACKUP=$backup RESTORE_SHA256='' RESTORE_WAIT_SECONDS=30 RESTORE_TIME=$(date -u +%Y%m%d%H%M%S)
    # The listing of the folder reads the checksum files of backups with such names only.
    [ "$has_name" = yes ] || RESTORE_SHA256=$checksum
    RESTORE_TOKEN=$(printf '%08x' $((($(now_epoch) * 65536 + $$) % 4294967296)))
    RESTORE_CHECK=$(kit_word CHECK no) RESTORE_REPLACE=$(kit_word REPLACE no) RESTORE_TERMINATE=$(kit_word TERMINATE_CONNECTIONS no)
    export RESTORE_BACKUP RESTORE_SHA256 RESTORE_WAIT_SECONDS RESTORE_TIME RESTORE_TOKEN RESTORE_CHECK RESTORE_REPLACE RESTORE_TERMINATE
}

# kit_restore_everything: restores everything as the module restore_cluster does (cluster.sh).
kit_restore_everything() {
    kit_options
    RESTORE_ALTER_ROLES=$(kit_word ALTER_ROLES no) RESTORE_ANALYZE=$(kit_word ANALYZE yes)
    export RESTORE_ALTER_ROLES RESTORE_ANALYZE
    restore_cluster
}

# kit_restore DATABASE NEW-NAME: restores one database as the module restore_database does (restore_plan.py).
kit_restore() {
    # shellcheck disable=SC2153 # read from the environment
    RESTORE_DATABASE=$1 RESTORE_TARGET=$2
    kit_name_bytes=$(printf '%s' "$RESTORE_TARGET" | wc -c)
    case $RESTORE_TARGET in
        '' | *"$NEWLINE"*) kit_name_bytes=64 ;;
        template0 | template1) fail_with 2 "a template for new databases cannot be replaced" "$RESTORE_TARGET" "Give a new name as the last argument." ;;
    esac
    [ "$kit_name_bytes" -le 63 ] || fail_with 2 "invalid name of a database" "$RESTORE_TARGET" "Give a name of 1 to 63 bytes, without line breaks."
    kit_options
    RESTORE_DATABASE_JSON=$(json "$RESTORE_DATABASE" | ascii_json)
    name_databases "$RESTORE_TARGET" "$RESTORE_TOKEN" "$RESTORE_TIME"
    RESTORE_ROWS='' RESTORE_CREATE_ROLES=$(kit_word CREATE_ROLES yes)
    RESTORE_SEARCH_PATH=${POSTGRES_BACKUP_RESTORE_SEARCH_PATH:-} RESTORE_BEFORE_SQL=${POSTGRES_BACKUP_RESTORE_BEFORE_SQL:-}
    RESTORE_AFTER_SQL=${POSTGRES_BACKUP_RESTORE_AFTER_SQL:-} RESTORE_TRANSFORM_SQL=${POSTGRES_BACKUP_RESTORE_TRANSFORM_SQL:-}
    RESTORE_ASSERT_SQL=${POSTGRES_BACKUP_RESTORE_ASSERT_SQL:-}
    export RESTORE_DATABASE RESTORE_TARGET RESTORE_DATABASE_JSON RESTORE_TEMPORARY RESTORE_OLD RESTORE_MARK RESTORE_ROWS RESTORE_CREATE_ROLES
    export RESTORE_SEARCH_PATH RESTORE_BEFORE_SQL RESTORE_AFTER_SQL RESTORE_TRANSFORM_SQL RESTORE_ASSERT_SQL
    restore
}

# kit_word NAME DEFAULT: prints the value, yes or no, of POSTGRES_BACKUP_RESTORE_NAME.
kit_word() {
    eval "kit_value=\${POSTGRES_BACKUP_RESTORE_$1:-$2}"
    case $kit_value in yes | true | True | 1) echo yes ;; *) echo no ;; esac
}
