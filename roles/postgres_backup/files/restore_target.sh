# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# What a restore asks the live server before it changes anything, the warnings about replication, and missing roles.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2329 # stage() and hooks call functions by name

# query_target: the names of roles are the bytes in the catalog.
query_target() {
    quiet_psql "$maintenance" --set=target="$RESTORE_TARGET" --set=roles="$(cat "$work/roles")" --set=tablespace="$tablespace" \
        --set=old="$RESTORE_OLD" <<'SQL'
\o /dev/null
SET client_encoding TO 'SQL_ASCII';
SELECT set_config('restore.roles', :'roles', false), set_config('restore.tablespace', :'tablespace', false);
SET client_encoding TO 'UTF8';
\o
SELECT current_setting('server_version_num')::int / 10000;
SELECT current_setting('server_version');
SELECT CASE WHEN rolsuper THEN 'yes' ELSE 'no' END FROM pg_catalog.pg_roles WHERE rolname = current_user;
SELECT CASE WHEN rolsuper THEN 'yes' ELSE 'no' END FROM pg_catalog.pg_roles WHERE rolname = session_user;
SELECT CASE WHEN count(*) > 0 THEN 'yes' ELSE 'no' END FROM pg_catalog.pg_database WHERE datname = :'target';
SELECT CASE WHEN count(*) > 0 THEN 'yes' ELSE 'no' END FROM pg_catalog.pg_database WHERE datname = :'old';
SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM unnest(string_to_array(current_setting('restore.roles'), E'\n')) AS line,
    replace(replace(replace(replace(line, '\\', E'\x01'), '\n', E'\n'), '\t', E'\t'), E'\x01', '\') AS name
    WHERE name <> '' AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = name);
SELECT CASE WHEN count(*) > 0 OR current_setting('restore.tablespace') = '' THEN 'yes' ELSE 'no' END FROM pg_catalog.pg_tablespace WHERE spcname = current_setting('restore.tablespace');
SELECT json_agg(datname::text ORDER BY datname) FROM pg_catalog.pg_database;
SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datname = :'target' AND pid <> pg_backend_pid();
SELECT coalesce(current_setting('cron.database_name', true), '');
SQL
}

# tablespace_of FILE: prints the tablespace that the CREATE DATABASE in the file names.
tablespace_of() {
    awk '
        { text = text $0 "\n" }
        END {
            while (match(text, /E?\047([^\047\\]|\\.|\047\047)*\047|"([^"]|"")*"|[^ \n]+/)) {
                word = substr(text, RSTART, RLENGTH)
                text = substr(text, RSTART + RLENGTH)
                if (previous == "TABLESPACE") {
                    if (sub(/^"/, "", word)) { sub(/"$/, "", word); gsub(/""/, "\"", word) }
                    print word
                    exit
                }
                previous = word
            }
        }' "$1"
}

# check_version: fails if the server is older than the one that was backed up.
check_version() {
    [ "${dump_major:-0}" -le "$server_major" ] || fail "the server is older than the backup" \
        "the server is PostgreSQL $server_version, the backup is of $dump_major" "Restore into a server of PostgreSQL $dump_major or newer."
}

# check_target: queries the server without changing it; sets `target_exists` and `missing_roles`.
check_target() {
    tablespace=$(tablespace_of "$work/create.sql")
    export tablespace
    run_step query "the server does not answer"
    {
        IFS= read -r server_major
        IFS= read -r server_version
        IFS= read -r is_superuser
        IFS= read -r connects_as_superuser
        IFS= read -r target_exists
        IFS= read -r old_exists
        IFS= read -r missing_roles
        IFS= read -r has_tablespace
        IFS= read -r server_databases
        IFS= read -r sessions
        IFS= read -r cron_database
    } <"$work/answers"
    server_answered=yes
    # PGOPTIONS are applied with the rights of the user that connects, whose settings may switch to another role.
    PGOPTIONS="$given_options $(session_options "$server_major" "$connects_as_superuser")"
    # Names in an SQL_ASCII database may be in any encoding.
    server_databases=$(utf8 "$server_databases")
    check_version
    [ "$standard" != off ] || [ "$server_major" -lt 19 ] || fail "the server cannot read the strings of the backup" \
        "the text of $RESTORE_DATABASE has standard_conforming_strings = off, which PostgreSQL $server_version no longer has" \
        "Reset that setting in the server that was backed up (ALTER DATABASE or ALTER ROLE ... RESET), and make a new backup; or restore this one into PostgreSQL 18 or older."
    if [ "$target_exists" = yes ] && [ "$RESTORE_REPLACE" = no ]; then
        fail "the database already exists" "'$RESTORE_TARGET' is on the server" "Set new_name, or replace to have the old one renamed."
    fi
    [ "$target_exists$old_exists" != yesyes ] || fail "the name for the old database is taken" "'$RESTORE_OLD'" "Start the restore again: the name contains the time."
    [ "$missing_roles" = '[]' ] || [ "$RESTORE_CREATE_ROLES" = yes ] ||
        fail "roles are missing on the server" "the backup's $RESTORE_DATABASE uses $(listed "$missing_roles")" "Create them, or set create_roles."
    [ "$has_tablespace" = yes ] || fail "the tablespace is missing on the server" "the backup's $RESTORE_DATABASE is in '$(utf8 "$tablespace")'" \
        "Create that tablespace (CREATE TABLESPACE)."
    [ "$is_superuser" = yes ] || warn "$POSTGRES_BACKUP_USER is not a superuser: statements that only superusers may run will fail"
    [ "$target_exists" = no ] || [ "$sessions" = 0 ] || [ -n "${RESTORE_TABLES:-}" ] || log "$sessions sessions are connected to $RESTORE_TARGET; they must have ended before it is renamed, or are terminated then if requested"
    log "server $server_address, PostgreSQL $server_version"
}

# check_replication: warns about subscriptions and slots of the database to be replaced, which the restored one does not get.
check_replication() {
    quiet_psql "$maintenance" --set=target="$RESTORE_TARGET" --set=old="$RESTORE_OLD" >"$work/replication" 2>"$work/psql.err" <<'SQL' || warn "subscriptions and replication slots of $RESTORE_TARGET could not be listed: $(psql_error "$work/psql.err")"
SELECT translate(format('the subscription %I (%s, slot %s) belongs to the database to be replaced: in %I it continues to receive changes, and the subscription of the restored %I, if the backup has it, is disabled',
        subname, CASE WHEN subenabled THEN 'enabled' ELSE 'disabled' END, coalesce(quote_ident(subslotname), 'NONE'), :'old', :'target'), E'\n\r', '??')
    FROM pg_catalog.pg_subscription JOIN pg_catalog.pg_database d ON d.oid = subdbid WHERE datname = :'target' ORDER BY subname;
SELECT translate(format('the logical replication slot %I (%s) belongs to the database to be replaced: its subscriber receives nothing from the restored %I',
        slot_name, CASE WHEN active THEN 'in use' ELSE 'not in use' END, :'target'), E'\n\r', '??')
    FROM pg_catalog.pg_replication_slots WHERE database = :'target' ORDER BY slot_name;
SQL
    while IFS= read -r replication_warning <&3; do
        if [ "$RESTORE_CHECK" = yes ]; then warn "$(utf8 "$replication_warning")"; else log "warning: $(utf8 "$replication_warning")"; fi
    done 3<"$work/replication"
}

# report_replication: warns about subscriptions and slots after the restore, with the commands to repair them.
report_replication() {
    PGCONNECT_TIMEOUT=5 quiet_psql "$maintenance" --set=target="$RESTORE_TARGET" --set=old="$replaced" >"$work/replication" 2>"$work/psql.err" <<'SQL' || warn "subscriptions and replication slots of $RESTORE_TARGET could not be listed: $(psql_error "$work/psql.err")"
SELECT translate(format('%1$I still has the subscription %2$I%3$s. To end that, run in %1$I: ALTER SUBSCRIPTION %2$I DISABLE; ALTER SUBSCRIPTION %2$I SET (slot_name = NONE); DROP SUBSCRIPTION %2$I; (the slot %4$s is kept on the publisher)',
        datname, subname, CASE WHEN subenabled THEN ', which continues to receive changes' ELSE '' END, coalesce(quote_ident(subslotname), 'NONE')), E'\n\r', '??')
    FROM pg_catalog.pg_subscription JOIN pg_catalog.pg_database d ON d.oid = subdbid WHERE datname = :'old' ORDER BY subname;
SELECT translate(format('the subscription %2$I is disabled in the restored %1$I, which lacks the changes published since the backup. To receive changes again, run in %1$I%3$s: %4$sALTER SUBSCRIPTION %2$I ENABLE; ALTER SUBSCRIPTION %2$I REFRESH PUBLICATION WITH (copy_data = false); or, to drop it without its slot: ALTER SUBSCRIPTION %2$I SET (slot_name = NONE); DROP SUBSCRIPTION %2$I;',
        datname, subname, CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_subscription o
            WHERE o.subslotname = s.subslotname AND o.subdbid <> s.subdbid)
            THEN format(', when no other database''s subscription uses the slot %I any more', subslotname) ELSE '' END,
        CASE WHEN subslotname IS NULL THEN format('ALTER SUBSCRIPTION %1$I SET (slot_name = %1$I); ', subname) ELSE '' END), E'\n\r', '??')
    FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = subdbid
    WHERE datname = :'target' AND NOT subenabled ORDER BY subname;
SELECT translate(format('the logical replication slot %1$I belongs to %2$I now: its subscriber receives nothing from %3$I, and the slot retains WAL. Run in %2$I: SELECT pg_drop_replication_slot(%1$L); then in %3$I: SELECT pg_create_logical_replication_slot(%1$L, %4$L); and copy the data to the subscriber again',
        slot_name, database, :'target', plugin), E'\n\r', '??')
    FROM pg_catalog.pg_replication_slots WHERE database = :'old' ORDER BY slot_name;
SQL
    while IFS= read -r replication_warning <&3; do warn "$(utf8 "$replication_warning")"; done 3<"$work/replication"
}

run_roles() {
    quiet_psql "$maintenance" --set=roles="$missing_roles" >"$work/wanted" <<'SQL' || return 1
SELECT name FROM json_array_elements_text(:'roles') AS name WHERE name !~ E'[\n\r]';
SQL
    quiet_psql "$maintenance" >"$work/existing" <<'SQL' || return 1
SELECT rolname FROM pg_catalog.pg_roles;
SQL
    encoding=$(filter_globals facts | sed -n 's/^encoding //p')
    # In a variable: passwords must not be in a file, and truncated text would create incomplete roles.
    statements=$(filter_globals roles) || return 1
    printf 'BEGIN;\n%s\nCOMMIT;\n' "$statements" |
        PGCLIENTENCODING=${encoding:-UTF8} feed_psql "$maintenance" >/dev/null || return 1
    quiet_psql "$maintenance" --set=roles="$missing_roles" <<'SQL'
SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM json_array_elements_text(:'roles') AS name
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = name);
SQL
}

# filter_globals MODE: prints the output of globals.awk for the globals of the backup.
filter_globals() {
    globals_text | awk -v mode="$1" -v wanted="$work/wanted" -v existing="$work/existing" -v left_out="$work/left_out" -f "$work/globals.awk"
}

# existing_roles: prints which of the missing roles exist now.
existing_roles() {
    PGCONNECT_TIMEOUT=5 quiet_psql "$maintenance" --set=roles="$missing_roles" 2>/dev/null <<'SQL' || printf '[]'
SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM json_array_elements_text(:'roles') AS name JOIN pg_catalog.pg_roles ON rolname = name;
SQL
}

make_roles() {
    begin_step roles
    # Roles are kept if the restore fails.
    check_hash
    export missing_roles
    run_step roles "the missing roles could not be created"
    still_missing=$(cat "$work/answers")
    [ "$still_missing" = '[]' ] || fail "the backup does not create these roles, or their names contain line breaks" \
        "$(listed "$still_missing")" "Create them by hand."
    created_roles=$missing_roles
    log "created roles: $(listed "$created_roles")"
    [ ! -s "$work/left_out" ] || warn "the server has no roles with these names, so memberships in them were not granted: $(utf8 "$(sort -u "$work/left_out" | tr '\n' ' ')")"
    end_step roles
}
