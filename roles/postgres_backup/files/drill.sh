# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `backup.sh drill`: a backup restored into a PostgreSQL that is thrown away, and every row counted. Read by backup.sh.
# It needs no credentials and no network, and the backups only to read: a dump's text can run code as superuser.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with backup.sh

# How often the watch looks at the room that the data take, in seconds.
DRILL_PAUSE_SECONDS=2

# What a database needs that nobody will miss: no durability, and so little of everything else that a small pod does.
# Dynamic shared memory in files, since a pod's /dev/shm has 64 MiB (PostgreSQL documentation, "Populating a Database",
# "Non-Durable Settings" and "Resource Consumption").
drill_settings() {
    cat <<SETTINGS
listen_addresses = ''
unix_socket_directories = '$work'
port = 5432
max_connections = 10
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
archive_mode = off
wal_buffers = 16MB
max_wal_size = 2GB
checkpoint_timeout = 1d
bgwriter_lru_maxpages = 0
autovacuum = off
track_counts = off
jit = off
shared_buffers = 64MB
maintenance_work_mem = 64MB
max_locks_per_transaction = 4096
dynamic_shared_memory_type = mmap
restart_after_crash = off
logging_collector = off
log_min_messages = fatal
log_min_error_statement = panic
lc_messages = 'C'
SETTINGS
    if [ "$image_major" -ge 12 ]; then echo "wal_init_zero = off"; fi
    # A login trigger of the restored databases must not stand in the way of counting.
    if [ "$image_major" -ge 17 ]; then echo "event_triggers = off"; fi
    printf '%s\n' "$POSTGRES_BACKUP_DRILL_SETTINGS" | sed -n \
        -e "s/'/''/g" -e 's/\\/\\\\/g' -e "s/^ *\([A-Za-z_][A-Za-z0-9_.]*\) *= *\(.*\)\$/\1 = '\2'/p"
}

read_drill_configuration() {
    : "${POSTGRES_BACKUP_DRILL_BACKUP:=}" "${POSTGRES_BACKUP_DRILL_SUPERUSER:=}" "${POSTGRES_BACKUP_DRILL_SETTINGS:=}"
    : "${POSTGRES_BACKUP_DRILL_DATA:=/drill}" "${POSTGRES_BACKUP_DRILL_RESULT:=}" "${POSTGRES_BACKUP_DRILL_SECTIONS:=}"
    case $POSTGRES_BACKUP_DRILL_BACKUP in
        */*) config_error "POSTGRES_BACKUP_DRILL_BACKUP: expected a backup's file name, found '$POSTGRES_BACKUP_DRILL_BACKUP'" ;;
    esac
    : "${POSTGRES_BACKUP_DRILL_SIZE_LIMIT:=0}"
    case $POSTGRES_BACKUP_DRILL_SIZE_LIMIT in
        *[!0-9]* | ????????????????*) config_error "POSTGRES_BACKUP_DRILL_SIZE_LIMIT: expected a number of bytes, found '$POSTGRES_BACKUP_DRILL_SIZE_LIMIT'" ;;
    esac
    : "${POSTGRES_BACKUP_TIME_LIMIT:=6h}"
    duration POSTGRES_BACKUP_TIME_LIMIT
    time_limit_seconds=$seconds
    bad=$(printf '%s\n' "$POSTGRES_BACKUP_DRILL_SECTIONS" | grep -v -E '^([0-9]{1,15} [0-9]{1,15} [0-9]{1,15})?$' | head -n 1)
    [ -z "$bad" ] || config_error "POSTGRES_BACKUP_DRILL_SECTIONS: expected lines of an offset, a length and the body's offset in bytes, found '$bad'"
    bad=$(printf '%s\n' "$POSTGRES_BACKUP_DRILL_SETTINGS" | grep -v -E '^ *([A-Za-z_][A-Za-z0-9_.]* *=.*)?$' | head -n 1)
    [ -z "$bad" ] || config_error "POSTGRES_BACKUP_DRILL_SETTINGS: expected lines of the form name = value, found '$bad'"
    data=$POSTGRES_BACKUP_DRILL_DATA/postgres-backup-drill.$$
}

drill() {
    step=prepare step_began=$(now_epoch) step_seconds='' step_group='' watch_group='' server_group='' data=''
    started=$(now_iso) reason=null warnings='' backup='' bytes='' sha256='' server_version=''
    databases=0 tables=0 rows=0 copied_rows=0 can_heal=null ended_by='' in_transactions=yes between=no hash_checked=no
    : "${POSTGRES_BACKUP_DRILL_RESULT:=}"
    keep_streams
    catch_signals TERM INT HUP USR1 USR2
    read_configuration
    read_drill_configuration
    require_tools awk cmp cut dd du find grep gzip head initdb mkfifo mktemp postgres psql sed sha256sum sort stat tail tr
    make_work_folder
    check_volume
    choose_backup
    PGHOST=$work PGPORT=5432 PGDATABASE=postgres
    # The server would read the last of these too (src/backend/utils/misc/guc.c, InitializeGUCOptionsFromEnvironment).
    unset PGPASSWORD PGPASSFILE PGSERVICE PGSSLMODE PGOPTIONS PGCLIENTENCODING
    export PGHOST PGPORT PGDATABASE data file sha256 POSTGRES_BACKUP_DRILL_SECTIONS
    start_group _drill_watch "$$" "$time_limit_seconds" "$data" "$POSTGRES_BACKUP_DRILL_SIZE_LIMIT"
    watch_group=$group
    mkdir -m 0700 "$data" 2>"$work/mkdir.err" || fail "no folder for the data" "$(cat "$work/mkdir.err")" \
        "Mount a folder at $POSTGRES_BACKUP_DRILL_DATA that this user id ($(id -u)) may write to."
    look_at_the_dump
    end_step prepare
    step=initdb
    make_server
    end_step initdb
    step=globals
    restore_globals
    end_step globals
    step=restore
    restore_databases
    end_step restore
    step=count
    count_rows
    check_text
    end_step count
    end_drill
    log "OK: $backup restores: $databases databases, $tables tables, $rows rows, all counted"
    # The last word: whoever follows the log waits for nothing behind it.
    drill_ends succeeded
    clean_up
}

# choose_backup: sets `backup`, `file`, `sha256` (empty without a sidecar) and `bytes`.
choose_backup() {
    listing >"$work/listing" || fail "the volume cannot be listed" "find or awk failed" "Look at the messages above."
    backup=$POSTGRES_BACKUP_DRILL_BACKUP
    if [ -z "$backup" ]; then
        backup=$(newest_complete "$work/listing")
        backup=${backup% *}
        [ -n "$backup" ] || fail "there is no complete backup" "none in $POSTGRES_BACKUP_DIR" "Run a backup first, or name the one to rehearse."
    fi
    file=$POSTGRES_BACKUP_DIR/$backup
    [ -f "$file" ] || fail "the backup is not on the volume" "$backup" "Look at what is there: backup.sh list."
    line=$(grep -F "\"name\":\"$backup\"" "$work/listing" | head -n 1)
    case $line in
        *'"state":"damaged"'*) fail_for_good "the backup is damaged" "$backup: $(head -n 1 "$file.damaged" 2>/dev/null)" "Rehearse another one." ;;
    esac
    sha256=$(json_field sha256 "$line" | tr -d '"')
    [ "$sha256" != null ] || sha256=''
    bytes=$(stat -c %s "$file")
    log "rehearsing the restore of $backup, $(human_bytes "$bytes")"
}

# look_at_the_dump: the hash in the background, and what the text says before its first database.
look_at_the_dump() {
    clear_stages
    start_group _drill_hash "$file"
    hash_group=$group
    run_group _drill_facts "$file"
    grep -q '^-- PostgreSQL database cluster dump$' "$work/head" || {
        found=$(stage_message_of head)
        check_hash
        [ -n "$found" ] || look_at_the_text
        fail_for_good "the backup is no dump of a whole cluster" "$backup does not begin as pg_dumpall's text does: ${found:-$damage}" \
            "Only backups that pg_dumpall made can be rehearsed."
    }
    globals_bytes=$(fact bytes)
    [ "$(fact whole)" = 1 ] || {
        check_hash
        fail_for_good "the backup is cut off" "$backup ends among the roles and other globals" "Rehearse another one; this one cannot be restored."
    }
    dump_version=$(header_value 'server version')
    [ -n "$dump_version" ] || dump_version=$(sed -n 's/^-- Dumped from database version \([0-9][^ ]*\).*/\1/p' "$work/begin" | head -n 1)
    server_version=$(postgres --version | sed -n 's/^postgres (PostgreSQL) \([^ ]*\).*/\1/p')
    image_major=${server_version%%[!0-9]*} dump_major=${dump_version%%[!0-9]*}
    is_whole_number "$image_major" || fail_for_good "the image has no PostgreSQL server" "postgres --version says '$(postgres --version 2>&1 | head -n 1)'" \
        "Set postgres_backup_image to one that has the server's programs."
    if is_whole_number "$dump_major" && [ "$image_major" -lt "$dump_major" ]; then
        fail_for_good "the image's server is older than the dump" "PostgreSQL $server_version in the image, a dump of $dump_version" \
            "Use an image of PostgreSQL $dump_major or newer (postgres_backup_image)."
    fi
    superuser=$POSTGRES_BACKUP_DRILL_SUPERUSER
    [ -n "$superuser" ] || superuser=$(header_value 'bootstrap superuser')
    [ -n "$superuser" ] || superuser=$(fact superuser)
    [ -n "$superuser" ] || superuser=postgres
    PGUSER=$superuser
    export PGUSER globals_bytes
}

# header_value NAME: a value of the header that a run wrote, a JSON string there.
header_value() {
    sed -n -e '/^--$/q' -e "s/^-- $1: \"\(.*\)\"\$/\1/p" "$work/head" | sed -e 's/\\"/"/g' -e 's/\\\\/\\/g' | head -n 1
}

# fact NAME: what globals.awk found.
fact() { sed -n "s/^$1 //p" "$work/facts" | head -n 1; }

# look_at_the_text: reads all of it; sets `damage` to why it is not one complete dump of all databases, if so.
look_at_the_text() {
    [ -e "$work/sections" ] || {
        run_group _drill_text "$file"
        mv "$work/end" "$work/sections" 2>/dev/null || : >"$work/sections"
    }
    damage=$(damage_of "$work/sections" "$(tr -d ' \n' <"$work/count")")
}

# step_drill_text FILE: sections.awk's facts.
step_drill_text() {
    compressor=gzip
    if command -v igzip >/dev/null 2>&1; then compressor=igzip; fi
    read_to_end look_at_sections <"$1"
}

# plain_lines: standard input without a byte order mark and the carriage returns at the ends of lines.
plain_lines() { sed -e "1s/^$(printf '\357\273\277')//" -e "s/$(printf '\r')\$//"; }

# step_drill_facts FILE: the beginning of the text, and globals.awk's facts and copy of the globals.
step_drill_facts() {
    expand_text <"$1" 2>"$work/head.err" | head -c 65536 | plain_lines >"$work/head"
    expand_text <"$1" 2>/dev/null | awk -v mode=facts -v copy="$data/globals.sql" -f "$work/globals.awk" >"$work/facts"
    expand_text <"$1" 2>/dev/null | tail -c "+$(($(fact bytes) + 1))" 2>/dev/null | head -c 65536 | plain_lines >"$work/begin"
}

# step_drill_hash FILE: its hash; of a file without sidecar also the end of its text.
step_drill_hash() {
    stage hash sha256sum <"$1" >"$work/hash"
    [ -n "$sha256" ] || expand_text <"$1" 2>"$work/check.err" | tail -c 64 | tr -d '\r' >"$work/end"
    echo yes >"$work/hashed"
}

# check_hash: ends the drill where the file is not what its sidecar says, or is not whole.
check_hash() {
    [ "$hash_checked" = no ] || return 0
    if [ -n "$hash_group" ]; then
        step_group=$hash_group
        wait_for_step
        step_group='' hash_group=''
    fi
    [ -e "$work/hashed" ] && [ "$(stage_status_of hash)" = 0 ] || fail "the backup cannot be read from the volume" \
        "$backup: $(stage_message_of hash)" "Look at the storage behind the volume."
    found_hash=$(cut -c 1-64 "$work/hash")
    if [ -z "$sha256" ]; then
        sha256=$found_hash
        is_whole_dump || {
            look_at_the_text
            fail_for_good "the backup is not whole" "$backup, which has no sidecar, does not end as a whole pg_dumpall dump does${damage:+: $damage}" \
                "Rehearse another one; this one cannot be restored."
        }
    elif [ "$found_hash" != "$sha256" ]; then
        fail "the backup is not what its sidecar says" "$backup: sha256 $found_hash, its sidecar says $sha256" \
            "It was damaged or changed after it was made: look at the storage, and rehearse another one."
    fi
    hash_checked=yes
}

# make_server: the throwaway server, started and ready.
make_server() {
    encoding=$(fact encoding)
    case $encoding in
        '' | BIG5 | GB18030 | GBK | JOHAB | SJIS | SHIFT_JIS_2004 | UHC) encoding=UTF8 ;; # no server has these as its own
    esac
    export encoding image_major POSTGRES_BACKUP_DRILL_SETTINGS superuser
    run_group _drill_initdb
    [ "$step_status" -eq 0 ] || fail "initdb failed" "$(initdb_error)" \
        "Look at its message: does the folder have room, and does this user id ($(id -u)) have an entry in /etc/passwd?"
    check_hash
    # The settings of the restored databases and of the superuser's role must not stand in the way; nor work for more
    # memory than the pod has.
    PGOPTIONS="$(session_options "$image_major" yes) -c role=none"
    case $POSTGRES_BACKUP_DRILL_SETTINGS in *maintenance_work_mem*) ;; *) PGOPTIONS="$PGOPTIONS -c maintenance_work_mem=64MB" ;; esac
    [ "$image_major" -lt 17 ] || PGOPTIONS="$PGOPTIONS -c event_triggers=off"
    export PGOPTIONS
    start_group _drill_server
    server_group=$group
    tries=0
    until psql --no-psqlrc --no-password --quiet --tuples-only --command='SELECT 1' >/dev/null 2>"$work/ready.err"; do
        tries=$((tries + 1))
        if ! kill -0 "$server_group" 2>/dev/null || [ "$tries" -gt 600 ]; then
            server_is_gone "the throwaway server does not start"
        fi
        sleep 0.1 2>/dev/null || sleep 1
    done
}

# initdb_error: what it said, whichever words it has for that; else how it ended.
initdb_error() {
    found=$(grep -E '(FATAL|error|hint|detail): ' "$work/initdb.err" | head -n 4 | cut -c 1-400)
    [ -n "$found" ] || found=$(grep . "$work/initdb.err" | head -n 4 | cut -c 1-400)
    [ -n "$found" ] || found="it printed no message, and ended $(status_in_words "$step_status")"
    printf '%s' "$(utf8 "$found")"
}

# server_is_gone WHAT: fails with the server's own last words.
server_is_gone() {
    found=$(sed -n 's/^.* \(LOG\|FATAL\|PANIC\):  /\1: /p' "$data/server.log" 2>/dev/null | tail -n 3 | cut -c 1-400)
    fail "$1" "${found:-it left no word (killed: out of memory?)}" \
        "Look at the settings that were given (postgres_backup_drill_settings), at the memory limit (postgres_backup_resources) and at the room for its data."
}

step_drill_initdb() {
    set -- --pgdata="$data/pgdata" --username="$superuser" --encoding="$encoding" --auth=trust --no-sync
    if [ "$image_major" -ge 14 ]; then set -- "$@" --no-instructions; fi
    # From 18 on checksums are the default: nobody will read these pages again.
    if [ "$image_major" -ge 18 ]; then set -- "$@" --no-data-checksums; fi
    # The image's own locale, which the server's first databases most likely have; C where that is none.
    if [ -n "${LANG:-}" ] && initdb "$@" --locale="$LANG" --lc-messages=C >/dev/null 2>"$work/initdb.err"; then :; else
        rm -rf "$data/pgdata"
        initdb "$@" --locale=C >/dev/null 2>"$work/initdb.err" || exit
    fi
    drill_settings >>"$data/pgdata/postgresql.conf"
}

step_drill_server() {
    exec postgres -D "$data/pgdata" >"$data/server.log" 2>&1
}

restore_globals() {
    SUPERUSER=$superuser awk -v mode=restore -f "$work/globals.awk" "$data/globals.sql" >"$data/globals.restore" ||
        fail "the globals cannot be read" "awk failed" "Look at the messages above."
    : >"$work/first.sql"
    # An in-place tablespace needs no folder of its own (PostgreSQL documentation, "Developer Options").
    if [ "$(fact tablespaces)" -gt 0 ]; then echo 'SET allow_in_place_tablespaces = on;' >"$work/first.sql"; fi
    clear_stages
    run_group _drill_globals
    [ "$step_status" -eq 0 ] || drill_sql_failed globals "the roles and other globals cannot be restored"
}

step_drill_globals() {
    {
        cat "$work/first.sql" "$data/globals.restore"
        echo 'ALTER ROLE CURRENT_USER SUPERUSER LOGIN;' # whatever it may do in the source
    } | stage globals feed_psql postgres >/dev/null
}

# restore_databases: everything behind the globals, in as many parts at once as there are processors, where it is known
# ($POSTGRES_BACKUP_DRILL_SECTIONS) at which bytes of the text databases begin. Each part decompresses from the
# beginning: that costs less than what PostgreSQL does with the text.
restore_databases() {
    clear_stages
    make_between
    text_parts "$(nproc 2>/dev/null || echo 1)" >"$work/parts"
    export in_transactions between
    run_group _drill_restore
    # The decompressor's own failure is the cause, psql's a consequence.
    case $(stage_status_of expand) in
        0 | none | "$SIGPIPE_STATUS" | "$SIGTERM_STATUS") ;;
        *) fail_for_good "the backup cannot be decompressed" "$backup: $(stage_message_of expand)" "It is damaged: rehearse another one." ;;
    esac
    [ ! -e "$work/short" ] || fail_for_good "the backup cannot be read to its end" "$backup: no database begins where one should" \
        "It is damaged, or the contents are another backup's: rehearse another one."
    # Of several failures the first is the cause: its part ended the others.
    failed=
    while read -r part part_offset part_bytes <&3; do
        case $(stage_status_of "feed$part") in
            0 | none | "$SIGTERM_STATUS") ;;
            *) failed=feed$part; break ;;
        esac
    done 3<"$work/parts"
    [ "$step_status" -eq 0 ] || failed=${failed:-feed1}
    if [ -n "$failed" ]; then
        if must_not_be_in_transactions "$failed"; then
            log "not to be restored in one transaction a database: $(psql_error "$work/$failed.err"); once more without"
            in_transactions=no
            restore_again
            return
        fi
        if must_begin_between "$failed"; then
            log "not to be restored from one database to the next: $(psql_error "$work/$failed.err"); once more with each from a database without an encoding"
            between=yes
            restore_again
            return
        fi
        drill_sql_failed "$failed" "the backup does not restore"
    fi
    drop_between
    cat "$work"/copied.* >"$work/copied"
    # What was restored faster than the watch looks.
    used=$(folder_bytes "$data")
    [ "$POSTGRES_BACKUP_DRILL_SIZE_LIMIT" -eq 0 ] || [ "${used:-0}" -le "$POSTGRES_BACKUP_DRILL_SIZE_LIMIT" ] || too_large "$used"
    found=$(stat -c %s "$file" 2>/dev/null) || fail "the backup can no longer be read" "$backup" \
        "Look at the storage behind the volume; retention or a hand may have deleted it."
    [ "$found" = "$bytes" ] || fail "the backup changed while it was restored" "$backup" "Rehearse it again."
}

# must_not_be_in_transactions STAGE: whether its error may be due to a database's one transaction alone: too many locks,
# or what cannot be done in one (PostgreSQL documentation, appendix A: 25001, 25P01, 53200, 55P04).
must_not_be_in_transactions() {
    [ "$in_transactions" = yes ] || return 1
    case $(psql_error "$work/$1.err") in
        *': 25001: '* | *': 25P01: '* | *': 53200: '* | *': 55P04: '*) return 0 ;;
    esac
    return 1
}

# check_text: psql restores more than one complete dump, such as two that make different databases. What a run made was
# proven by it, and what comes with its contents by the module that read them.
check_text() {
    [ -z "$POSTGRES_BACKUP_DRILL_SECTIONS" ] && ! head -n 1 "$work/head" | grep -q '^-- Backup made by homelab.postgres_backup ' || return 0
    look_at_the_text
    [ -z "$damage" ] || fail_for_good "the backup is not one complete dump" "$backup: $damage" \
        "Rehearse another one; of this one take no copy for a backup, whatever its checksum file says."
}

# must_begin_between STAGE: whether its error may be that of a database whose statements, in its own encoding, go to a
# session on the database before it, as pg_dumpall's text has it: there is no conversion between these encodings (0A000),
# or its name became another one, to which psql cannot connect.
must_begin_between() {
    [ "$between" = no ] || return 1
    case $(psql_error "$work/$1.err") in
        *': 0A000: '* | 'error: \connect: '*) ;;
        *) return 1 ;;
    esac
    look_at_the_text
    [ -z "$damage" ] && awk '
        $1 == "section" && $5 != "-" && !seen[$5]++ { different++; if ($5 !~ /^(UTF8|SQL_ASCII)$/) needs = 1 }
        END { exit !(needs && different > 1) }' "$work/sections"
}

# The database that each one's section begins in, where it must: SQL_ASCII takes every client_encoding, and leaves names
# as they are, which is how the source had them.
BETWEEN_NAME="postgres-backup-drill between databases"

make_between() {
    [ "$between" = yes ] || return 0
    echo "CREATE DATABASE \"$BETWEEN_NAME\" TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C';" |
        stage between feed_psql postgres >/dev/null || drill_sql_failed between "the backup does not restore"
}

drop_between() {
    [ "$between" = yes ] || return 0
    echo "DROP DATABASE \"$BETWEEN_NAME\";" | stage between feed_psql postgres >/dev/null ||
        drill_sql_failed between "the backup does not restore"
}

# restore_again: from the beginning.
restore_again() {
    end_server
    rm -rf "$data/pgdata" "$work"/copied.*
    make_server
    restore_globals
    restore_databases
}

# text_parts NUMBER: at most so many parts of about one length, each "NUMBER OFFSET BYTES"; the last has no end.
text_parts() {
    printf '%s\n' "$POSTGRES_BACKUP_DRILL_SECTIONS" | awk -v number="$1" -v first="$globals_bytes" '
        NF == 3 { offset[++count] = $1; end = $1 + $2 }
        END {
            if (number > 4) number = 4 # each takes memory
            begin[parts = 1] = first
            for (i = 2; i <= count && parts < number; i++) {
                wanted = first + (end - first) * parts / number
                # The nearer of two beginnings.
                if (offset[i] >= wanted || (i < count && offset[i + 1] - wanted > wanted - offset[i])) begin[++parts] = offset[i]
            }
            for (i = 1; i <= parts; i++) printf "%d %.0f %.0f\n", i, begin[i], i < parts ? begin[i + 1] - begin[i] : 0
        }'
}

step_drill_restore() {
    while read -r part part_offset part_bytes <&3; do
        if [ "$part_bytes" -eq 0 ]; then stage expand expand_text; else expand_text 2>/dev/null; fi <"$file" 3<&- |
            stage "feed$part" feed_part "$part_offset" "$part_bytes" 3<&- |
            count_copied >"$work/copied.$part" 3<&- &
    done 3<"$work/parts"
    wait
    while read -r part part_offset part_bytes; do
        [ "$(stage_status_of "feed$part")" = 0 ] || exit 1
    done <"$work/parts"
}

# feed_part OFFSET BYTES: that part of the text on standard input, through one psql; with 0 bytes to the text's end.
feed_part() {
    take "$globals_bytes" | cmp -s - "$data/globals.sql" || { echo 'error: the file changed' >&2; return 1; }
    take $(($1 - globals_bytes)) >/dev/null
    if [ "$2" -eq 0 ]; then
        { transactions "$1" 0 && cat; } | feed_psql postgres
        return
    fi
    transactions "$1" "$2" | feed_psql postgres || return
    # The text went on as far as this part does, where the next one begins.
    begins_section || { : >"$work/short"; return 1; }
}

# transactions OFFSET BYTES: copies that part of the text (with 0 bytes as far as databases are known to be in it), the
# bodies that $POSTGRES_BACKUP_DRILL_SECTIONS names in one transaction each: then COPY writes no WAL (PostgreSQL
# documentation, "Disable WAL Archival and Streaming Replication"). Each section begins in a session between databases
# where it must.
transactions() {
    {
        [ "$between" = no ] || sed -n 's/^\(section [0-9]*\) .*/\1/p' "$work/sections"
        printf '%s\n' "$POSTGRES_BACKUP_DRILL_SECTIONS"
    } | BETWEEN="\\connect \"$BETWEEN_NAME\"" awk -v position="$1" -v bytes="$2" -v wanted="$in_transactions" -v between="$between" '
        BEGIN { last = bytes + 0 ? position + bytes : 1e15 }
        $1 == "section" { begin[++count] = $2; next }
        NF == 3 && between == "no" { begin[++count] = $1 }
        NF == 3 && wanted == "yes" && $3 + 0 { body[$1] = $3; end[$1] = $1 + $2 }
        END {
            for (i = 1; i <= count; i++) {
                at = begin[i]
                if (at + 0 < position + 0 || at + 0 >= last) continue
                if (between == "yes") { printf "%.0f %s\n", at - position, ENVIRON["BETWEEN"]; position = at }
                if (!(at in body)) continue
                printf "%.0f BEGIN;\n%.0f COMMIT;\n", body[at] - position, end[at] - body[at]
                position = end[at]
            }
            if (bytes + 0) printf "%.0f\n", last - position
        }' >"$work/transactions.$1"
    while read -r piece_bytes word <&4; do
        take "$piece_bytes" 4<&- || return 1
        [ -z "$word" ] || printf '%s\n' "$word"
    done 4<"$work/transactions.$1"
}

# count_copied: from psql's command tags, the rows that each database got: "ROWS NAME" a line.
count_copied() {
    awk '
        BEGIN { behind = "\" as user \"" ENVIRON["PGUSER"] "\"." }
        /^You are now connected to database "/ {
            name = substr($0, 36, length($0) - 35 - length(behind))
            if (!(name in rows)) { rows[name] = 0; order[++count] = name }
        }
        /^COPY [0-9]+$/ { rows[name] += $2 }
        /^INSERT 0 [0-9]+$/ { rows[name] += $3 }
        END { for (i = 1; i <= count; i++) printf "%.0f %s\n", rows[order[i]], order[i] }
    '
}

# may_be_the_text MESSAGE: whether the error may be that of a text which is not one complete dump: where nobody verified
# it, syntax errors, what there is already, wrong rows, and what psql itself refuses (no SQLSTATE).
may_be_the_text() {
    [ -z "$POSTGRES_BACKUP_DRILL_SECTIONS" ] || return 1
    case $1 in
        *': 42601: '* | *': 42710: '* | *': 42P0'[4-7]': '* | *': 22'???': '* | *': 25'???': '*) return 0 ;;
        *': '[0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z]': '*) return 1 ;;
    esac
}

# drill_sql_failed STAGE WHAT: what PostgreSQL refused.
drill_sql_failed() {
    message=$(psql_error "$work/$1.err")
    case $message in
        '' | *'connection to server'* | *'server closed the connection'* | *'terminating connection'*)
            sleep 1
            kill -0 "$server_group" 2>/dev/null || server_is_gone "the throwaway server ended in the middle" ;;
    esac
    psql_failure "$1"
    ! may_be_the_text "$message" || {
        log "the restore failed: $message; looking at the text for the reason"
        look_at_the_text
        [ -z "$damage" ] || fail_for_good "$2" "$message. The reason lies in the file: $damage" \
            "Rehearse another one; of this one take no copy for a backup, whatever its checksum file says."
    }
    advice=$(drill_advice "$message")
    # Connection, serialization, resources, operators, the system itself (PostgreSQL documentation, appendix A).
    case $(sqlstate "$message") in
        '' | 08* | 40* | 53* | 57* | 58* | XX*) fail "$2" "$message" "$advice" ;;
        *) fail_for_good "$2" "$message" "$advice" ;;
    esac
}

# drill_advice MESSAGE: by its SQLSTATE and the object that it begins with; what has none comes from a connection.
drill_advice() {
    error_state=$(sqlstate "$1")
    error_text=${1#*: "$error_state": }
    case $error_state:$error_text in
        58P01:*extension* | 58P01:*'could not access file'* | 0A000:'extension "'* | :*'could not access file'*)
            echo "The image lacks that extension, or a library of session_preload_libraries: use an image that has it (postgres_backup_image), the one that the live server has." ;;
        *'shared_preload_libraries'* | *'must be preloaded'*)
            echo "Name the library in postgres_backup_drill_settings (the module's option settings): shared_preload_libraries." ;;
        53100:* | *'No space left'*)
            echo "The data did not fit: raise postgres_backup_drill_size_limit (the module's option size_limit)." ;;
        53200:*'shared memory'*)
            echo "Raise max_locks_per_transaction in postgres_backup_drill_settings (the module's option settings)." ;;
        53200:*) echo "Raise the memory limit (postgres_backup_resources)." ;;
        42704:'unrecognized configuration parameter '* | 42602:* | 55P02:*)
            echo "PostgreSQL $server_version in the image does not take that setting of a database or role (a newer version removed it, or its library is missing): use the live server's own image, or take the setting back there (ALTER DATABASE or ALTER ROLE ... RESET)." ;;
        22023:parameter* | 22023:'invalid value for parameter'*)
            echo "PostgreSQL $server_version in the image does not take that value of a setting: use the live server's own image, or change the setting there." ;;
        42710:'role "'*)
            echo "The throwaway server's superuser ($superuser) is not the source's: name it (the module's option superuser)." ;;
        22023:*locale* | 22023:*collation* | 42809:*locale* | 42704:'collation "'* | 42704:'locale '* | 22023:*encoding*)
            echo "The image lacks that locale: use the live server's own image." ;;
        42883:* | 42P01:* | 3F000:* | 42703:* | 42704:*)
            echo "What the message names is not found: a function, a view or an index names it without its schema, and dumps are restored with an empty search_path; or the image's extension is older than the live server's. A restore by hand would meet it too: write the schema there, or give the function SET search_path, in the live database, and make a new backup." ;;
        42501:*) echo "The statement runs with the rights of an object's owner (a materialized view is filled with them, for instance), who lacks the right, or BYPASSRLS where it is row-level security. A restore by hand would meet it too: grant it in the live server, and make a new backup." ;;
        23*:*) echo "Rows of the backup do not fulfil the constraint that the message names. A restore by hand would meet it too: mend the rows in the live database, and make a new backup." ;;
        *) echo "Read the message above; it is PostgreSQL's own. A restore by hand would meet it too." ;;
    esac
}

# count_rows: every table of every database, as JSON lines; sets `databases`, `tables`, `rows` and `copied_rows`.
count_rows() {
    PGCLIENTENCODING=SQL_ASCII psql --no-psqlrc --no-password --no-align --tuples-only --quiet \
        --command='SELECT datname FROM pg_catalog.pg_database WHERE datallowconn ORDER BY datname' >"$work/databases" 2>"$work/list.err" ||
        fail "the restored databases cannot be listed" "$(psql_error "$work/list.err")" "Look at the message."
    while IFS= read -r database <&3; do
        export database
        run_group _drill_count
        [ "$step_status" -eq 0 ] || fail "the rows of the database '$(utf8 "$database")' cannot be counted" \
            "$(psql_error "$work/count.err")" "Look at the message; it is PostgreSQL's own."
        report_database
    done 3<"$work/databases"
}

# step_drill_count: "ENCODING x", then "t SCHEMA NAME ROWS TREE PART" a table, "e" for one that belongs to an extension.
# TREE is the same number for all tables of one partition tree, 0 for others; PART is root, branch, leaf, or none.
step_drill_count() {
    PGOPTIONS="$PGOPTIONS -c search_path=pg_catalog" feed_psql "$database" >"$data/counted" 2>"$work/count.err" <<'SQL'
\pset fieldsep ' '
SELECT 'ENCODING', getdatabaseencoding();
WITH RECURSIVE partitions AS (
    SELECT c.oid, c.oid AS root FROM pg_class c WHERE c.relkind = 'p' AND NOT c.relispartition
    UNION ALL SELECT i.inhrelid, p.root FROM partitions p JOIN pg_inherits i ON i.inhparent = p.oid
)
SELECT string_agg(format('SELECT %L, %L, %L, count(*), %L, %L FROM ONLY %I.%I', kind, schema_hex, name_hex, tree, part, nspname, relname), ' UNION ALL ')
FROM (
    SELECT n.nspname, c.relname, row_number() OVER (ORDER BY n.nspname, c.relname) / 100 AS statement,
        coalesce(p.root, 0) AS tree,
        CASE WHEN p.root = c.oid THEN 'root' WHEN p.root IS NULL THEN 'none' WHEN c.relkind = 'p' THEN 'branch' ELSE 'leaf' END AS part,
        encode(convert_to(n.nspname::text, getdatabaseencoding()), 'hex') AS schema_hex,
        encode(convert_to(c.relname::text, getdatabaseencoding()), 'hex') AS name_hex,
        CASE WHEN EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
            THEN 'e' ELSE 't' END AS kind
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN partitions p ON p.oid = c.oid
    WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
) AS found
GROUP BY statement ORDER BY statement
\gexec
SQL
}

# report_database: the JSON lines of $data/counted, and what COPY said of the same database.
report_database() {
    copied=$(awk 'BEGIN { name = ENVIRON["database"] } { n = $1; sub(/^[0-9]+ /, "") } $0 == name { print n; exit }' "$work/copied")
    awk -v copied="${copied:-0}" -v summary="$work/summary" '
        BEGIN {
            name = ENVIRON["database"]
            for (i = 1; i < 256; i++) hex[sprintf("%c", i)] = sprintf("%02x", i)
            for (i = 1; i <= length(name); i++) name_hex = name_hex hex[substr(name, i, 1)]
        }
        $1 == "ENCODING" { encoding = $2; next }
        NF == 6 {
            tree = $6 == "none" ? "" : sprintf(",\"tree\":%s,\"part\":\"%s\"", $5, $6)
            line[++count] = sprintf("{\"type\":\"table\",\"schema_hex\":\"%s\",\"name_hex\":\"%s\",\"rows\":%s%s%s}", $2, $3, $4, $1 == "e" ? ",\"extension\":true" : "", tree)
            tables++
            if ($1 == "e") extension += $4
            else rows += $4
        }
        END {
            printf "{\"type\":\"database\",\"name_hex\":\"%s\",\"encoding\":\"%s\",\"tables\":%d,\"rows\":%.0f,\"copied_rows\":%.0f,\"extension_rows\":%.0f}\n",
                name_hex, encoding, tables, rows, copied, extension
            for (i = 1; i <= count; i++) print line[i]
            printf "%d %.0f %.0f\n", tables, rows, extension > summary
        }
    ' "$data/counted"
    read -r database_tables database_rows extension_rows <"$work/summary"
    # Of an extension's tables a dump holds only the rows that users added.
    if [ "${copied:-0}" -lt "$database_rows" ] || [ "${copied:-0}" -gt $((database_rows + extension_rows)) ]; then
        fail_for_good "not every row of the dump is there" \
            "the database '$(utf8 "$database")': COPY reported ${copied:-0} rows, $database_rows are there" \
            "Look for rules, triggers or policies that change what is written, and restore it by hand to see."
    fi
    databases=$((databases + 1)) tables=$((tables + database_tables)) rows=$((rows + database_rows)) copied_rows=$((copied_rows + ${copied:-0}))
}

# step_drill_watch MAIN SECONDS FOLDER LIMIT_BYTES: ends the drill at its time limit by SIGUSR1, and by SIGUSR2 when its
# data take more than they may.
step_drill_watch() {
    watched=0 shown=0
    while [ "$watched" -lt "$2" ]; do
        sleep "$DRILL_PAUSE_SECONDS"
        kill -0 "$1" 2>/dev/null || exit 0
        looked=$(now_epoch)
        used=$(folder_bytes "$3")
        looked=$(($(now_epoch) - looked))
        watched=$((watched + DRILL_PAUSE_SECONDS + looked))
        if [ "$4" -gt 0 ] && [ "${used:-0}" -gt "$4" ]; then
            echo "$used" >"$work/used"
            kill -USR2 "$1"
            exit 0
        fi
        if [ $((watched - shown)) -ge 60 ]; then
            shown=$watched
            log "still restoring after $((watched / 60)) min; $(human_bytes "${used:-0}") of data"
        fi
        # Many files take long to look at.
        [ "$looked" -eq 0 ] || sleep $((looked * 5))
    done
    kill -USR1 "$1"
}

# In place of backup.sh's own, which tells of a run.
on_signal() {
    case $1 in
        USR1) fail "the drill took longer than its time limit of $POSTGRES_BACKUP_TIME_LIMIT" "it was in the step: $step" \
            "Raise postgres_backup_time_limit (the module's option timeout), or give the pod more processor." ;;
        USR2) too_large "$(cat "$work/used")" ;;
        *)
            ended_by=$1
            fail "the drill was ended from outside (SIG$1)" "it was in the step: $step" \
            "Somebody or something stopped the pod: a deletion, an eviction, a node that shut down." ;;
    esac
}

# folder_bytes FOLDER: the room that it takes.
folder_bytes() { du -sk "$1" 2>/dev/null | awk '{ printf "%.0f", $1 * 1024 }'; }

# too_large BYTES
too_large() {
    fail_for_good "the backup's data need more room than the drill may take" \
        "$(human_bytes "$1") so far, at most $(human_bytes "$POSTGRES_BACKUP_DRILL_SIZE_LIMIT")" \
        "Raise postgres_backup_drill_size_limit (the module's option size_limit), where the node has that room."
}

# end_drill: nothing is left.
end_drill() {
    end_watch
    end_server
    [ -z "${hash_group:-}" ] || end_group "$hash_group"
    hash_group=
    [ -z "${data:-}" ] || rm -rf "$data"
}

end_server() {
    [ -n "${server_group:-}" ] || return 0
    # Immediate shutdown: the data are thrown away. (QUIT to the group reaches its children too.)
    kill -QUIT "$server_group" 2>/dev/null || :
    end_group "$server_group"
    server_group=
}

# drill_ends STATE: the result, where it is wanted.
drill_ends() {
    result=$(drill_result "$1")
    printf '%s\n' "$result"
    if [ -n "$POSTGRES_BACKUP_DRILL_RESULT" ]; then printf '%s\n' "$result" >"$POSTGRES_BACKUP_DRILL_RESULT"; fi
    if [ -e "$POSTGRES_BACKUP_TERMINATION_LOG" ]; then
        printf '%s' "$result" | head -c "$TERMINATION_MESSAGE_BYTES" 2>/dev/null >"$POSTGRES_BACKUP_TERMINATION_LOG" || :
    fi
}

# drill_result STATE: one JSON object.
drill_result() {
    printf '{"state":"%s","operation":"drill","job":%s,"pod":%s,"started":"%s","finished":%s,"reason":%s' "$1" \
        "$(json_or_null "$POSTGRES_BACKUP_JOB")" "$(json "$POSTGRES_BACKUP_POD")" "$started" \
        "$(if [ "$1" = running ]; then printf null; else json "$(now_iso)"; fi)" "$reason"
    printf ',"signal":%s' "$(json_or_null "$ended_by")"
    printf ',"backup":%s,"bytes":%s,"sha256":%s,"seconds":{%s},"server_version":%s' "$(json_or_null "$backup")" \
        "${bytes:-null}" "$(json_or_null "$sha256")" "$step_seconds" "$(json_or_null "$server_version")"
    printf ',"databases":%s,"tables":%s,"rows":%s,"copied_rows":%s,"can_heal":%s,"warnings":[%s],"script_version":"%s"}' \
        "$databases" "$tables" "$rows" "$copied_rows" "$can_heal" "$warnings" "$VERSION"
}

# fail_for_good WHAT FOUND ADVICE: with this backup, image and settings another drill would end in the same way.
fail_for_good() { fail_with 2 "$@"; }

# drill_failed: what fail_with() does for a drill.
drill_failed() {
    can_heal=true
    [ "$exit_status" -ne 2 ] || can_heal=false
    reason=$(json "$(printf '%s: %s' "$what" "$found" | head -c 1500)")
    end_drill
    drill_ends failed
    # Then the container that records it says so.
    if [ -n "$POSTGRES_BACKUP_DRILL_RESULT" ]; then exit_status=0; fi
}

# drill_prepare: what the drill's container needs: a passwd file with this user id, which initdb insists on; for a
# scheduled one the word that it is at work.
drill_prepare() {
    step_seconds='' warnings='' started=$(now_iso) reason=null backup='' bytes='' sha256='' server_version=''
    databases=0 tables=0 rows=0 copied_rows=0 can_heal=null ended_by=''
    read_configuration
    passwd=${TMPDIR:-/tmp}/passwd
    if ! message=$( { cat /etc/passwd 2>/dev/null || :; } >"$passwd" && chmod 0644 "$passwd" 2>&1); then
        fail "no passwd file could be written" "$message" "Look at the room in ${TMPDIR:-/tmp}."
    fi
    grep -q "^[^:]*:[^:]*:$(id -u):" "$passwd" ||
        printf 'postgres-drill:x:%s:%s:PostgreSQL:/:/bin/false\n' "$(id -u)" "$(id -g)" >>"$passwd"
    [ -n "${POSTGRES_BACKUP_DRILL_RESULT:-}" ] || return 0
    write_last_drill "$(drill_result running)"
}

# drill_record: the scheduled drill's result onto the volume; ends with its status.
drill_record() {
    read_configuration
    text=$(utf8 "$(head -c 65536 "$POSTGRES_BACKUP_DRILL_RESULT" 2>/dev/null | tr -d '\000' | head -n 1)")
    case $text in
        '{"state":"succeeded","operation":"drill",'*'}' | '{"state":"failed","operation":"drill",'*'}') ;;
        *) fail "the drill left no result" "$POSTGRES_BACKUP_DRILL_RESULT holds none" "Look at the log of the container drill." ;;
    esac
    write_last_drill "$text"
    printf '%s\n' "$text"
    case $text in
        '{"state":"succeeded",'*) ;;
        *'"can_heal":false'*) exit_status=2; exit 2 ;; # within a string, quotation marks have a backslash before them
        *) exit 1 ;;
    esac
}

write_last_drill() {
    check_volume
    replace_text "$POSTGRES_BACKUP_DIR/last-drill.json" "$1" || fail "last-drill.json cannot be written" "$message" "$ADVICE_PERMISSION"
}
