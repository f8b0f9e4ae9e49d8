# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# transform_sql and assert_sql of a restore: one session loads, counts, transforms and asserts, and from its beginning until
# the swap nobody else can connect to the temporary database.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2329 # stage() and hooks call functions by name

# output_to NAME: prints psql's command that writes what follows to that file of the work folder.
output_to() { printf "\\\\o '%s'\n" "$(printf '%s' "$work/$1" | sed -e "s/[\\\\']/\\\\&/g")"; }

# close_database: prints SQL for the session that loads, and when that is connected, closes the database to all others.
# (pg_database.datallowconn also stops superusers: src/backend/utils/init/postinit.c, CheckMyDatabase.)
close_database() {
    output_to connected
    printf 'SELECT pg_catalog.pg_backend_pid();\n\\o\n'
    until [ -s "$work/connected" ]; do
        [ ! -s "$work/psql.status" ] || return 1
        sleep 0.1 2>/dev/null || sleep 1
    done
    quiet_psql "$maintenance" --set=temporary="$RESTORE_TEMPORARY" --set=pid="$(head -n 1 "$work/connected")" >"$work/others" 2>"$work/close.err" <<'SQL' || return 1
ALTER DATABASE :"temporary" ALLOW_CONNECTIONS false;
\o /dev/null
SELECT set_config('restore.temporary', :'temporary', false), set_config('restore.pid', :'pid', false);
SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE datname = :'temporary' AND pid <> :'pid'::int;
DO $$ BEGIN
    FOR i IN 1..100 LOOP
        PERFORM pg_stat_clear_snapshot();
        EXIT WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity
            WHERE datname = current_setting('restore.temporary') AND pid <> current_setting('restore.pid')::int AND backend_type <> 'autovacuum worker');
        PERFORM pg_sleep(0.1);
    END LOOP;
END $$;
\o
SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datname = :'temporary' AND pid <> :'pid'::int AND backend_type <> 'autovacuum worker';
SQL
    [ "$(cat "$work/others")" = 0 ] || return 1
    echo closed >"$work/closed"
}

# user_sql FILE SQL: prints the user's SQL for the same session, whose settings are those of a new one; its output goes to FILE.
user_sql() {
    printf '\\set ON_ERROR_STOP on\n\\set QUIET on\nRESET SESSION AUTHORIZATION;\nRESET ALL;\nSET client_encoding = UTF8;\n%s\n%s\n;\n\\set ON_ERROR_STOP on\n\\set QUIET on\n' "$1" "$2"
}

# after_body: prints what the session does after the text of the backup. The files that it creates show its progress.
after_body() {
    printf '\\set QUIET on\n\\pset format unaligned\n\\pset tuples_only on\n'
    printf "RESET SESSION AUTHORIZATION;\nRESET ALL;\nSET client_encoding = '%s';\nSET standard_conforming_strings = on;\n" "$encoding"
    [ "$connects_as_superuser" = no ] || [ "$server_major" -lt 17 ] || echo 'SET event_triggers = off;'
    output_to counted
    printf "SET search_path = pg_catalog%s;\n\\\\pset fieldsep '\\\\t'\n" "${RESTORE_SEARCH_PATH:+, $RESTORE_SEARCH_PATH}"
    count_tables_sql
    output_to ending
    printf 'SET search_path = pg_catalog;\n'
    if [ -s "$work/extensions.sql" ]; then
        echo 'BEGIN;'
        cat "$work/extensions.sql"
        echo 'COMMIT;'
    fi
    output_to answers
    printf 'COMMENT ON DATABASE "%s" IS NULL;\n' "$RESTORE_TEMPORARY"
    cat "$work/properties.sql"
    output_to after
    [ -z "$RESTORE_AFTER_SQL" ] || user_sql '\o /dev/null' "$RESTORE_AFTER_SQL"
    output_to transaction
    printf 'BEGIN;\nSELECT pg_catalog.txid_current();\n'
    user_sql '\o /dev/null' "$RESTORE_TRANSFORM_SQL"
    output_to transaction_end
    printf 'SELECT pg_catalog.txid_current();\nCOMMIT;\n'
    output_to asserting
    write_row_counter
    printf "\\\\pset title 'assert_sql %s'\\n" "$RESTORE_TOKEN"
    printf '%s\n' '\pset tuples_only off' '\pset footer on' '\pset recordsep_zero'
    # Values of rows must not be in a file. The last result, which is empty, shows that the output is complete.
    # shellcheck disable=SC2016 # the shell that psql starts expands it
    user_sql '\o | tr "\000\n" "\n " | awk -f "$work/count_rows.awk" >"$work/asserted"' "$RESTORE_ASSERT_SQL
;
SELECT WHERE false"
    printf '%s\n' '\pset title' "\\pset recordsep '\\n'" '\pset tuples_only on'
    [ "$connects_as_superuser" = no ] || remove_statistics
    output_to finished
    printf "SELECT 'finished';\n\\\\o\n"
}

# write_row_counter: writes an awk program that prints how many rows are in psql's output, and nothing if that is not clear.
# Each result is: the title, the names of the columns, the rows, the footer (psql, print.c, print_unaligned_text). The footer
# is read, because psql prints nothing for a row without columns. COPY TO STDOUT has no title.
write_row_counter() {
    printf 'BEGIN { title = "assert_sql %s" }\n' "$RESTORE_TOKEN" >"$work/count_rows.awk"
    cat >>"$work/count_rows.awk" <<'AWK'
function end_result() {
    number = substr(last, 2) + 0
    if (last !~ /^\([0-9]+ rows?\)$/ || lines < 2 || lines > 2 && lines != number + 2) is_unclear = 1
    rows += number
}
$0 == title {
    if (results++) end_result()
    lines = 0
    last = ""
    next
}
!results { is_unclear = 1 }
{ lines++; last = $0 }
END {
    if (results) end_result()
    if (results && !is_unclear && lines == 2 && number == 0) printf "%d\n", rows
}
AWK
}

# remove_statistics: prints SQL that removes the planner's statistics, which have values from before the transformation, where
# autovacuum or the backup made some.
remove_statistics() {
    printf '\\o /dev/null\nRESET SESSION AUTHORIZATION;\nRESET ALL;\n'
    cat <<'SQL'
SELECT pg_catalog.pg_cancel_backend(pid) FROM pg_catalog.pg_stat_activity WHERE datname = current_database() AND backend_type = 'autovacuum worker';
DELETE FROM pg_catalog.pg_statistic WHERE starelid >= 16384;
DELETE FROM pg_catalog.pg_statistic_ext_data;
SQL
}

# transformation_failed: fails with the error of psql, and with the part of the session's work that failed.
transformation_failed() {
    psql_failure psql
    if [ -e "$work/asserting" ]; then
        fail "assert_sql failed" "$message" "Nothing was restored. Correct assert_sql, and start the restore again."
    elif [ -e "$work/transaction" ]; then
        fail "transform_sql failed" "$message" "Nothing was restored. Correct transform_sql, and start the restore again."
    elif [ -e "$work/after" ]; then
        fail "after_sql failed" "$message" "$(restore_advice "$message" "$is_lost")"
    elif [ -e "$work/ending" ]; then
        fail "the restored database could not be ended" "$message" "$(restore_advice "$message" "$is_lost")"
    fi
    fail "the rows of the restored database could not be counted" "$message" "$(restore_advice "$message" "$is_lost")"
}

# check_closed: fails if the database was not closed to others: then its text was not restored.
check_closed() {
    [ ! -e "$work/closed" ] || return 0
    fail "the temporary database could not be closed to other sessions" "$(psql_error "$work/close.err" 2>/dev/null)" \
        "Only its owner and superusers can do that (ALTER DATABASE ... ALLOW_CONNECTIONS), and sessions of extensions in it must end: restore with another user (restore_user), or without transform_sql and assert_sql."
}

# check_transformation: fails unless the session ended normally, with one transaction for transform_sql, and assert_sql returned no row.
check_transformation() {
    if [ ! -s "$work/transaction_end" ] || [ "$(cat "$work/transaction")" != "$(cat "$work/transaction_end")" ]; then
        fail "transform_sql failed" "it ended the transaction that it runs in, or is not complete" \
            "Remove COMMIT, ROLLBACK and psql's commands from it, and close its quotes and comments. Nothing was restored."
    fi
    [ -s "$work/finished" ] || fail "assert_sql failed" "it is not complete" "Close its quotes and comments, and remove psql's commands. Nothing was restored."
    asserted_rows=$(cat "$work/asserted")
    [ "$asserted_rows" = 0 ] || fail "assert_sql returned rows" "expected none, found ${asserted_rows:-an unknown number}" \
        "The transformed database is not what it must be: correct transform_sql or assert_sql. Nothing was restored. The rows are not printed, because they may have the values that transform_sql removes."
    log "transformed, and assert_sql returned no row"
}
