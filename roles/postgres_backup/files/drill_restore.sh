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
    kill -0 "$server_group" 2>/dev/null || fail_server_stopped "the temporary server stopped during the restore"
}

# step_drill_globals: restores the globals without stopping at an error.
step_drill_globals() {
    {
        printf 'ALTER ROLE CURRENT_USER SUPERUSER LOGIN;\n' # whatever its attributes are in the backup
        printf '%s\n' "CREATE DATABASE \"$INTERMEDIATE_NAME\" TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C';"
    } >"$work/last.sql"
    folder=$data
    : >"$data/errors"
    psql --no-psqlrc --no-password --no-align --tuples-only --set=VERBOSITY=verbose --set=ECHO=errors --dbname=postgres \
        --file="$work/first.sql" --file="$data/globals.restore" --file="$work/last.sql" 2>&1 >/dev/null | keep_errors
}

# restore_databases: everything after the globals. Without a manifest, the text is restored as it is, in as many parallel parts
# as there are processors if the offsets of the databases in it are known ($POSTGRES_BACKUP_DRILL_SECTIONS). Each part
# decompresses the file from its beginning: that costs less than the work of PostgreSQL. If that fails, the text is read for the
# place of each database, and everything is restored again into a new server, database by database, to meet all errors.
restore_databases() {
    if [ "$has_plan" = no ]; then
        first_message=$(head -n 1 "$data/errors" | cut -f 3)
        if [ -z "$first_message" ] && [ -z "$POSTGRES_BACKUP_DRILL_SEARCH_PATH$POSTGRES_BACKUP_DRILL_BEFORE_SQL$POSTGRES_BACKUP_DRILL_AFTER_SQL" ] && restore_text; then
            mark_restored
            return
        fi
        if [ -n "$first_message" ]; then
            case $(sqlstate "$first_message") in
                53100 | 57* | 58030) fail "the backup cannot be restored" "$first_message" "$(drill_advice "$first_message")" ;;
            esac
            log "the text could not be restored as it is: $first_message; trying again, database by database"
        fi
        find_damage
        if ! grep -q '^complete yes$' "$work/sections" || [ -n "$damage" ]; then
            first_message=${first_message:-it is not one complete dump}
            [ -z "$damage" ] || ! may_be_the_text "$first_message" || fail_for_good "the backup cannot be restored" "$first_message. The reason is in the file: $damage" \
                "Run the drill with another backup. Do not rely on a copy of this one, even if its checksum file matches."
            # The volume may not be readable any more.
            fail "the backup cannot be restored" "$first_message" "$(drill_advice "$first_message")"
        fi
        plan_by_text
        if [ -n "$first_message" ]; then
            end_server
            rm -rf "$data/pgdata" "$work"/copied.*
            make_server
            check_extensions
            restore_globals
        else
            check_extensions
        fi
    fi
    clear_stages
    restore_parts
    gather_errors
    [ "$errors" -eq 0 ] || fail_with_errors
    mark_restored
}

# fail_with_errors: fails with the first cause and the number of the other errors.
fail_with_errors() {
    report_upgrade_facts
    others=''
    [ "$errors" -eq 1 ] || others=". $((errors - 1)) other errors, of which $((errors - causes)) follow from others, are in the log and the result"
    case $first_cause in
        'roles and other globals'*) first_what="the roles and other globals cannot be restored" ;;
        *) first_what="the backup cannot be restored" ;;
    esac
    # Connection, serialization, resources, operator intervention, system errors (PostgreSQL documentation, appendix A).
    first_status=2
    case $(sqlstate "$first_error") in 08* | 40* | 53* | 57* | 58030 | XX00[12]) first_status=1 ;; esac
    fail_with "$first_status" "$first_what" "${missing_extensions:+the image lacks the extensions $missing_extensions. }$first_cause$others" "$first_advice"
}

# mark_restored: fails if the backup changed, or if the data are too large.
mark_restored() {
    # Data that were restored faster than the watch measures.
    used=$(folder_bytes "$data")
    [ "$POSTGRES_BACKUP_DRILL_SIZE_LIMIT" -eq 0 ] || [ "${used:-0}" -le "$POSTGRES_BACKUP_DRILL_SIZE_LIMIT" ] || too_large "$used"
    bytes_now=$(stat -c %s "$file" 2>/dev/null) || fail "the backup can no longer be read" "$backup" \
        "Check the storage behind the volume; the backup may have been deleted manually or by retention."
    [ "$bytes_now" = "$bytes" ] || fail "the backup changed while it was restored" "$backup" "Run the drill again."
}

# restore_text: restores the text as it is; fails, with `first_message`, if psql stops at an error.
restore_text() {
    clear_stages
    text_parts "$(nproc 2>/dev/null || echo 1)" >"$work/parts"
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
    [ -n "$failed" ] || { cat "$work"/copied.* >"$work/copied"; return 0; }
    psql_failure "$failed"
    first_message=$message
    sleep 1 # a server that crashed may still be there
    kill -0 "$server_group" 2>/dev/null || fail_server_stopped "the temporary server stopped during the restore"
    return 1
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
        if [ "$part_bytes" -eq 0 ]; then stage expand backup_text "$file"; else backup_text "$file" 2>/dev/null; fi 3<&- |
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
# Archival and Streaming Replication").
transactions() {
    printf '%s\n' "$POSTGRES_BACKUP_DRILL_SECTIONS" | awk -v position="$1" -v bytes="$2" '
        BEGIN { last = bytes + 0 ? position + bytes : 1e15 }
        NF == 3 && $3 + 0 && $1 + 0 >= position + 0 && $1 + 0 < last {
            printf "%.0f BEGIN;\n%.0f COMMIT;\n", $3 - position, $1 + $2 - $3
            position = $1 + $2
        }
        END { if (bytes + 0) printf "%.0f\n", last - position }' >"$work/transactions.$1"
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
