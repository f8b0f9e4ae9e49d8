# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# The restore of a drill: the globals, then the databases, in as many parallel parts as there are processors.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2329 # stage() and hooks call functions by name

restore_globals() {
    SUPERUSER=$superuser awk -v mode=restore -f "$work/globals.awk" "$data/globals.sql" >"$data/globals.restore" ||
        fail "the globals cannot be read" "awk failed" "Read the messages above."
    : >"$work/first.sql"
    # An in-place tablespace needs no separate folder (PostgreSQL documentation, "Developer Options").
    if [ "$(fact tablespaces)" -gt 0 ]; then echo 'SET allow_in_place_tablespaces = on;' >"$work/first.sql"; fi
    clear_stages
    run_group drill_globals
    [ "$step_status" -eq 0 ] || drill_sql_failed globals "the roles and other globals cannot be restored"
}

step_drill_globals() {
    {
        cat "$work/first.sql" "$data/globals.restore"
        echo 'ALTER ROLE CURRENT_USER SUPERUSER LOGIN;' # whatever its attributes are in the backup
    } | stage globals feed_psql postgres >/dev/null
}

# restore_databases: everything after the globals, in as many parallel parts as there are processors if the offsets of the
# databases in the text are known ($POSTGRES_BACKUP_DRILL_SECTIONS). Each part decompresses the file from its beginning:
# that costs less than the work of PostgreSQL.
restore_databases() {
    clear_stages
    create_intermediate
    text_parts "$(nproc 2>/dev/null || echo 1)" >"$work/parts"
    export in_transactions intermediate
    run_group drill_restore
    # If the decompressor failed, the failure of psql is a consequence.
    case $(stage_status_of expand) in
        0 | none | "$SIGPIPE_STATUS" | "$SIGTERM_STATUS") ;;
        *) fail_for_good "the backup cannot be decompressed" "$backup: $(stage_message_of expand)" "It is damaged: run the drill with another backup." ;;
    esac
    [ ! -e "$work/short" ] || fail_for_good "the backup cannot be read to its end" "$backup: no database begins where one should" \
        "It is damaged, or the contents are those of another backup: run the drill with another backup."
    # The first of several failures is the cause: its part ended the others.
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
            log "cannot be restored in one transaction for each database: $(psql_error "$work/$failed.err"); trying again without"
            in_transactions=no
            restore_again
            return
        fi
        if needs_intermediate "$failed"; then
            log "cannot be restored with a session that changes from one database to the next: $(psql_error "$work/$failed.err"); trying again with an SQL_ASCII database in between"
            intermediate=yes
            restore_again
            return
        fi
        drill_sql_failed "$failed" "the backup cannot be restored"
    fi
    drop_intermediate
    cat "$work"/copied.* >"$work/copied"
    # Data that were restored faster than the watch measures.
    used=$(folder_bytes "$data")
    [ "$POSTGRES_BACKUP_DRILL_SIZE_LIMIT" -eq 0 ] || [ "${used:-0}" -le "$POSTGRES_BACKUP_DRILL_SIZE_LIMIT" ] || too_large "$used"
    bytes_now=$(stat -c %s "$file" 2>/dev/null) || fail "the backup can no longer be read" "$backup" \
        "Check the storage behind the volume; the backup may have been deleted manually or by retention."
    [ "$bytes_now" = "$bytes" ] || fail "the backup changed while it was restored" "$backup" "Run the drill again."
}

# must_not_be_in_transactions STAGE: whether its error may be due to restoring each database in one transaction: too many
# locks, or a statement that cannot run in one (PostgreSQL documentation, appendix A: 25001, 25P01, 53200, 55P04).
must_not_be_in_transactions() {
    [ "$in_transactions" = yes ] || return 1
    case $(psql_error "$work/$1.err") in
        *': 25001: '* | *': 25P01: '* | *': 53200: '* | *': 55P04: '*) return 0 ;;
    esac
    return 1
}

# needs_intermediate STAGE: whether its error may be due to a database whose first statements, in its own encoding, are
# sent to a session on the previous database, as in pg_dumpall's text: there is no conversion between the two encodings
# (0A000), or the conversion changed the name, and psql cannot connect to it.
needs_intermediate() {
    [ "$intermediate" = no ] || return 1
    case $(psql_error "$work/$1.err") in
        *': 0A000: '* | 'error: \connect: '*) ;;
        *) return 1 ;;
    esac
    find_damage
    [ -z "$damage" ] && awk '
        $1 == "section" && $5 != "-" && !seen[$5]++ { different++; if ($5 !~ /^(UTF8|SQL_ASCII)$/) needs = 1 }
        END { exit !(needs && different > 1) }' "$work/sections"
}

# The database in which each section begins, if necessary: SQL_ASCII accepts every client_encoding and does not convert
# names.
INTERMEDIATE_NAME="postgres-backup-drill between databases"

create_intermediate() {
    [ "$intermediate" = yes ] || return 0
    echo "CREATE DATABASE \"$INTERMEDIATE_NAME\" TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C';" |
        stage intermediate feed_psql postgres >/dev/null || drill_sql_failed intermediate "the backup cannot be restored"
}

drop_intermediate() {
    [ "$intermediate" = yes ] || return 0
    echo "DROP DATABASE \"$INTERMEDIATE_NAME\";" | stage intermediate feed_psql postgres >/dev/null ||
        drill_sql_failed intermediate "the backup cannot be restored"
}

# restore_again: restores everything again, into a new server.
restore_again() {
    end_server
    rm -rf "$data/pgdata" "$work"/copied.*
    make_server
    restore_globals
    restore_databases
}

# text_parts NUMBER: prints at most that many parts of similar length, each as "NUMBER OFFSET BYTES"; the last one has 0
# bytes and extends to the end.
text_parts() {
    printf '%s\n' "$POSTGRES_BACKUP_DRILL_SECTIONS" | awk -v number="$1" -v first="$globals_bytes" '
        NF == 3 { offset[++count] = $1; end = $1 + $2 }
        END {
            if (number > 4) number = 4 # each part needs memory
            begin[parts = 1] = first
            for (i = 2; i <= count && parts < number; i++) {
                goal = first + (end - first) * parts / number
                # The nearer one of two sections.
                if (offset[i] >= goal || (i < count && offset[i + 1] - goal > goal - offset[i])) begin[++parts] = offset[i]
            }
            for (i = 1; i <= parts; i++) printf "%d %.0f %.0f\n", i, begin[i], i < parts ? begin[i + 1] - begin[i] : 0
        }'
}

step_drill_restore() {
    while read -r part part_offset part_bytes <&3; do
        if [ "$part_bytes" -eq 0 ]; then stage expand decompress; else decompress 2>/dev/null; fi <"$file" 3<&- |
            stage "feed$part" feed_part "$part_offset" "$part_bytes" 3<&- |
            count_copied >"$work/copied.$part" 3<&- &
    done 3<"$work/parts"
    wait
    while read -r part part_offset part_bytes; do
        [ "$(stage_status_of "feed$part")" = 0 ] || exit 1
    done <"$work/parts"
}

# feed_part OFFSET BYTES: restores that part of the text on standard input with one psql; 0 bytes: to the end of the text.
feed_part() {
    copy_bytes "$globals_bytes" | cmp -s - "$data/globals.sql" || { echo 'error: the file changed' >&2; return 1; }
    copy_bytes $(($1 - globals_bytes)) >/dev/null
    if [ "$2" -eq 0 ]; then
        { transactions "$1" 0 && cat; } | feed_psql postgres
        return
    fi
    transactions "$1" "$2" | feed_psql postgres || return
    # The text must continue with the section that begins the next part.
    begins_section || { : >"$work/short"; return 1; }
}

# transactions OFFSET BYTES: copies that part of the text (0 bytes: to the end of the last known section), with each body
# in $POSTGRES_BACKUP_DRILL_SECTIONS in one transaction: then COPY writes no WAL (PostgreSQL documentation, "Disable WAL
# Archival and Streaming Replication"). If necessary, each section begins in the database INTERMEDIATE_NAME.
transactions() {
    {
        [ "$intermediate" = no ] || sed -n 's/^\(section [0-9]*\) .*/\1/p' "$work/sections"
        printf '%s\n' "$POSTGRES_BACKUP_DRILL_SECTIONS"
    } | INTERMEDIATE="\\connect \"$INTERMEDIATE_NAME\"" awk -v position="$1" -v bytes="$2" -v in_transactions="$in_transactions" -v intermediate="$intermediate" '
        BEGIN { last = bytes + 0 ? position + bytes : 1e15 }
        $1 == "section" { begin[++count] = $2; next }
        NF == 3 && intermediate == "no" { begin[++count] = $1 }
        NF == 3 && in_transactions == "yes" && $3 + 0 { body[$1] = $3; end[$1] = $1 + $2 }
        END {
            for (i = 1; i <= count; i++) {
                at = begin[i]
                if (at + 0 < position + 0 || at + 0 >= last) continue
                if (intermediate == "yes") { printf "%.0f %s\n", at - position, ENVIRON["INTERMEDIATE"]; position = at }
                if (!(at in body)) continue
                printf "%.0f BEGIN;\n%.0f COMMIT;\n", body[at] - position, end[at] - body[at]
                position = end[at]
            }
            if (bytes + 0) printf "%.0f\n", last - position
        }' >"$work/transactions.$1"
    while read -r piece_bytes word <&4; do
        copy_bytes "$piece_bytes" 4<&- || return 1
        [ -z "$word" ] || printf '%s\n' "$word"
    done 4<"$work/transactions.$1"
}

# count_copied: prints the rows that psql's command tags report for each database, a line of "ROWS NAME" each.
count_copied() {
    awk '
        BEGIN { suffix = "\" as user \"" ENVIRON["PGUSER"] "\"." }
        /^You are now connected to database "/ {
            name = substr($0, 36, length($0) - 35 - length(suffix))
            if (!(name in rows)) { rows[name] = 0; order[++count] = name }
        }
        /^COPY [0-9]+$/ { rows[name] += $2 }
        /^INSERT 0 [0-9]+$/ { rows[name] += $3 }
        END { for (i = 1; i <= count; i++) printf "%.0f %s\n", rows[order[i]], order[i] }
    '
}

# may_be_the_text MESSAGE: whether the cause of the error may be a text that is not one complete dump. If the text was not
# verified: syntax errors, existing objects, invalid rows, and errors of psql itself (no SQLSTATE).
may_be_the_text() {
    [ -z "$POSTGRES_BACKUP_DRILL_SECTIONS" ] || return 1
    case $1 in
        *': 42601: '* | *': 42710: '* | *': 42P0'[4-7]': '* | *': 22'???': '* | *': 25'???': '*) return 0 ;;
        *': '[0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z]': '*) return 1 ;;
    esac
}

# drill_sql_failed STAGE WHAT: fails with the error of that stage's psql.
drill_sql_failed() {
    message=$(psql_error "$work/$1.err")
    case $message in
        '' | *'connection to server'* | *'server closed the connection'* | *'terminating connection'*)
            sleep 1
            kill -0 "$server_group" 2>/dev/null || fail_server_stopped "the temporary server stopped during the restore" ;;
    esac
    psql_failure "$1"
    ! may_be_the_text "$message" || {
        log "the restore failed: $message; reading the dump for the reason"
        find_damage
        [ -z "$damage" ] || fail_for_good "$2" "$message. The reason is in the file: $damage" \
            "Run the drill with another backup. Do not rely on a copy of this one, even if its checksum file matches."
    }
    advice=$(drill_advice "$message")
    # Connection, serialization, resources, operator intervention, system errors (PostgreSQL documentation, appendix A).
    case $(sqlstate "$message") in
        '' | 08* | 40* | 53* | 57* | 58* | XX*) fail "$2" "$message" "$advice" ;;
        *) fail_for_good "$2" "$message" "$advice" ;;
    esac
}
