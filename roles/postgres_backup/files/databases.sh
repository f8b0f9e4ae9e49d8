# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `backup.sh run`: the databases of the server, what is to be dumped of each, and the arguments of the dump programs.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2329 # stage() and hooks call functions by name

# split_extra_args: divides postgres_backup_extra_args, which are arguments of pg_dumpall, into `globals_args` for
# `pg_dumpall --globals-only` and `database_args` for pg_dump, both one a line, as pg_dumpall itself passes them on
# (src/bin/pg_dump/pg_dumpall.c, main, runPgDump, dumpDatabases). Sets `output_clean` and `if_exists` (yes or no),
# `no_role_passwords`, and `exclude_regexes`, the patterns of --exclude-database as regular expressions, one a line.
split_extra_args() {
    globals_args='' database_args='' output_clean=no if_exists=no no_role_passwords=no exclude_regexes='' value_of=''
    while IFS= read -r argument; do
        if [ -n "$value_of" ]; then
            take_extra_value "$value_of" "$argument"
            value_of=''
            continue
        fi
        case $argument in
            '') ;;
            --exclude-d*=*) take_extra_value exclude "${argument#*=}" ;;
            --exclude-d*) value_of=exclude ;;
            --no-role-*) no_role_passwords=yes ;;
            --clean | --cle* | --cl | -c) output_clean=yes globals_args=$globals_args$NEWLINE$argument ;;
            --if-*) if_exists=yes globals_args=$globals_args$NEWLINE$argument ;;
            --filter*) fail_with 2 "invalid configuration" "postgres_backup_extra_args has --filter, whose file names databases to leave out" \
                "Use postgres_backup_exclude_databases." ;;
            # Options whose value is the next argument.
            -E | -S | --encoding | --superuser | --extra-float-digits | --lock-wait-timeout | --restrict-key | --role | --rows-per-insert)
                value_of=both
                take_extra_value both "$argument" ;;
            --*) take_extra_value both "$argument" ;;
            -[ES]*) take_extra_value both "$argument" ;;
            -*c*)
                # Letters of options without values, in one argument.
                output_clean=yes
                globals_args=$globals_args$NEWLINE$argument
                argument=$(printf '%s' "$argument" | tr -d c)
                [ "$argument" = - ] || database_args=$database_args$NEWLINE$argument ;;
            *) take_extra_value both "$argument" ;;
        esac
    done <<ARGUMENTS
$POSTGRES_BACKUP_EXTRA_ARGS
ARGUMENTS
    [ "$value_of" != exclude ] || fail_with 2 "invalid configuration" "postgres_backup_extra_args ends with --exclude-database, which needs a value" \
        "Correct postgres_backup_extra_args, or use postgres_backup_exclude_databases."
    export globals_args database_args output_clean if_exists exclude_regexes
}

# take_extra_value KIND TEXT: an argument for both programs, or a pattern of --exclude-database.
take_extra_value() {
    case $1 in
        both) globals_args=$globals_args$NEWLINE$2 database_args=$database_args$NEWLINE$2 ;;
        exclude) exclude_regexes=$exclude_regexes$NEWLINE$(psql_pattern_regex "$2") ;;
    esac
}

# psql_pattern_regex PATTERN: prints psql's pattern of a name as a regular expression (src/fe_utils/string_utils.c,
# patternToSQLRegex): * and ? are wildcards, letters outside of double quotes are folded, characters in quotes stand for
# themselves.
psql_pattern_regex() {
    printf '%s\n' "$1" | awk '{
        for (i = 1; i <= length($0); i++) {
            c = substr($0, i, 1)
            if (c == "\"" && in_quotes && substr($0, i + 1, 1) == "\"") { regex = regex c; i++ }
            else if (c == "\"") in_quotes = !in_quotes
            else if (!in_quotes && c == "*") regex = regex ".*"
            else if (!in_quotes && c == "?") regex = regex "."
            else if (c == "$" || (in_quotes && index("|*+?()[]{}.^\\", c))) regex = regex "\\" c
            else if (substr($0, i, 2) == "[]") { regex = regex "\\[\\]"; i++ }
            else regex = regex (in_quotes ? c : tolower(c))
        }
        print "^(" regex ")$"
    }'
}

# step_list_databases: writes a line for each database to $work/databases, in pg_dumpall's order (pg_dumpall.c,
# dumpDatabases), with these fields, which tabs separate:
#   NUMBER  from 1
#   STATE   dump, excluded (on request), closed (it does not allow connections) or invalid (an interrupted DROP DATABASE
#           has left it)
#   OCTAL   its name for `printf %b`, in the bytes of the shared catalogs
#   JSON    its name in JSON
#   OID
#   ARGS    arguments of pg_dump for it, one a line, for `printf %b`
#   MEMBERS of the manifest's entry for it: owner, encoding, locale, tablespace, what is left out, statements
# Names in the configuration are UTF-8, and * and ? in them are wildcards.
step_list_databases() {
    list_databases_in UTF8 && return
    # Names in any encoding, if that of the first database has no rules (SQL_ASCII), or is not theirs.
    grep -q 'invalid byte sequence' "$work/psql.err" || return
    list_databases_in SQL_ASCII
}

# list_databases_in ENCODING: writes $work/databases, with names in that encoding, or, with SQL_ASCII, as they are stored.
list_databases_in() {
    query_psql "$1" --field-separator="$TAB" --set=databases="$POSTGRES_BACKUP_DATABASES" --set=exclude_databases="$POSTGRES_BACKUP_EXCLUDE_DATABASES" \
        --set=exclude_regexes="$exclude_regexes" --set=exclude_tables="$POSTGRES_BACKUP_EXCLUDE_TABLES" \
        --set=exclude_table_data="$POSTGRES_BACKUP_EXCLUDE_TABLE_DATA" --set=dump_args="$POSTGRES_BACKUP_DUMP_ARGS" \
        --set=newline="$NEWLINE" --set=tab="$TAB" --file=- >"$work/databases.new" 2>"$work/psql.err" <<'SQL' && take_list
SET standard_conforming_strings = on;
WITH lines AS (
    SELECT kind, line, place
    FROM (VALUES ('database', :'databases'), ('exclude', :'exclude_databases'), ('regex', :'exclude_regexes'),
                 ('table', :'exclude_tables'), ('table_data', :'exclude_table_data'), ('argument', :'dump_args')) AS setting (kind, text)
    CROSS JOIN LATERAL unnest(string_to_array(text, :'newline')) WITH ORDINALITY AS entry (line, place)
    WHERE line <> ''
), entries AS (
    SELECT kind, place, line,
        replace(replace(replace(replace(replace(
            CASE WHEN kind IN ('database', 'exclude') THEN line ELSE split_part(line, :'tab', 1) END,
            '\', '\\'), '%', '\%'), '_', '\_'), '*', '%'), '?', '_') AS pattern,
        substr(line, position(:'tab' IN line) + 1) AS value
    FROM lines
), databases AS (
    SELECT d.oid, d.datname::text AS name, d.datdba, d.datacl, to_jsonb(d) AS properties,
        CASE WHEN d.datconnlimit = -2 THEN 'invalid'
            WHEN NOT d.datallowconn THEN 'closed'
            WHEN EXISTS (SELECT FROM entries WHERE kind = 'database')
                AND NOT EXISTS (SELECT FROM entries WHERE kind = 'database' AND d.datname::text LIKE pattern) THEN 'excluded'
            WHEN EXISTS (SELECT FROM entries WHERE kind = 'exclude' AND d.datname::text LIKE pattern) THEN 'excluded'
            WHEN EXISTS (SELECT FROM entries WHERE kind = 'regex' AND d.datname::text ~ line) THEN 'excluded'
            ELSE 'dump' END AS state
    FROM pg_catalog.pg_database AS d
    WHERE d.datname <> 'template0'
), chosen AS (
    SELECT oid, name, state, properties, datdba, datacl,
        (SELECT string_agg(CASE kind WHEN 'table' THEN '--exclude-table=' WHEN 'table_data' THEN '--exclude-table-data=' ELSE '' END || value,
                :'newline' ORDER BY kind DESC, place)
            FROM entries WHERE kind IN ('table', 'table_data', 'argument') AND name LIKE pattern) AS arguments,
        (SELECT coalesce(json_agg(value ORDER BY place), '[]') FROM entries WHERE kind = 'table' AND name LIKE pattern) AS left_out_tables,
        (SELECT coalesce(json_agg(value ORDER BY place), '[]') FROM entries WHERE kind = 'table_data' AND name LIKE pattern) AS left_out_rows,
        (SELECT coalesce(json_agg(value ORDER BY place), '[]') FROM entries WHERE kind = 'argument' AND name LIKE pattern) AS other_arguments,
        decode(replace(name, '\', '\\'), 'escape') AS bytes
    FROM databases
)
SELECT row_number() OVER (ORDER BY name COLLATE "C" <> 'template1', name COLLATE "C"), state,
    (SELECT string_agg('\0' || byte / 64 || byte / 8 % 8 || byte % 8, '' ORDER BY at)
        FROM generate_series(0, octet_length(bytes) - 1) AS at CROSS JOIN LATERAL get_byte(bytes, at) AS byte),
    to_json(name), oid,
    coalesce((SELECT string_agg('\0' || byte / 64 || byte / 8 % 8 || byte % 8, '' ORDER BY at)
        FROM convert_to(arguments, 'UTF8') AS argument_bytes CROSS JOIN LATERAL generate_series(0, octet_length(argument_bytes) - 1) AS at
        CROSS JOIN LATERAL get_byte(argument_bytes, at) AS byte), '-'),
    format('"owner":%s,"encoding":%s,"locale_provider":%s,"locale":%s,"collate":%s,"ctype":%s,"icu_rules":%s,"tablespace":%s,"connection_limit":%s,"is_template":%s,"left_out":{"tables":%s,"table_data":%s,"arguments":%s},"statements":%s',
        to_json(pg_catalog.pg_get_userbyid(datdba)::text), to_json(pg_catalog.pg_encoding_to_char((properties ->> 'encoding')::int)::text),
        CASE coalesce(properties ->> 'datlocprovider', 'c') WHEN 'i' THEN '"icu"' WHEN 'b' THEN '"builtin"' ELSE '"libc"' END,
        to_json(coalesce(properties ->> 'datlocale', properties ->> 'daticulocale', properties ->> 'datcollate')), to_json(properties ->> 'datcollate'),
        to_json(properties ->> 'datctype'), coalesce(to_json(properties ->> 'daticurules'), 'null'),
        to_json((SELECT spcname::text FROM pg_catalog.pg_tablespace WHERE oid = (properties ->> 'dattablespace')::oid)),
        properties ->> 'datconnlimit', properties ->> 'datistemplate', left_out_tables, left_out_rows, other_arguments,
        -- What PostgreSQL keeps of a database outside of it: comment, settings, rights.
        (SELECT coalesce(json_agg(statement ORDER BY kind, place), '[]')
        FROM (
            SELECT 1 AS kind, 0 AS place, format('COMMENT ON DATABASE %I IS %L;', name, comment) AS statement
            FROM pg_catalog.shobj_description(chosen.oid, 'pg_database') AS comment WHERE comment IS NOT NULL
            UNION ALL
            SELECT 2, row_number() OVER (ORDER BY setrole, setting.place),
                format(CASE setrole WHEN 0 THEN 'ALTER DATABASE %1$I' ELSE 'ALTER ROLE %2$I IN DATABASE %1$I' END || ' SET %3$I TO %4$s;', name,
                    pg_catalog.pg_get_userbyid(setrole), split_part(text, '=', 1),
                    -- Lists, which PostgreSQL stores as they are written (pg_dump's dumputils.c, variable_is_guc_list_quote).
                    CASE WHEN split_part(text, '=', 1) IN ('local_preload_libraries', 'search_path', 'session_preload_libraries',
                            'shared_preload_libraries', 'temp_tablespaces', 'unix_socket_directories', 'restrict_nonsystem_relation_kind')
                        THEN coalesce(nullif(substr(text, position('=' IN text) + 1), ''), '''''')
                        ELSE quote_literal(substr(text, position('=' IN text) + 1)) END)
            FROM pg_catalog.pg_db_role_setting AS own CROSS JOIN LATERAL unnest(setconfig) WITH ORDINALITY AS setting (text, place)
            WHERE setdatabase = chosen.oid
            UNION ALL
            SELECT 3, 0, format('REVOKE ALL ON DATABASE %I FROM PUBLIC;', name) WHERE datacl IS NOT NULL
            UNION ALL
            SELECT 4, entry.place, CASE entry.grantor WHEN datdba THEN '' ELSE format('SET SESSION AUTHORIZATION %I; ', pg_catalog.pg_get_userbyid(entry.grantor)) END
                || format('GRANT %s ON DATABASE %I TO %s%s;', entry.privilege_type, name,
                    CASE entry.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_catalog.pg_get_userbyid(entry.grantee)) END,
                    CASE WHEN entry.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
                || CASE entry.grantor WHEN datdba THEN '' ELSE ' RESET SESSION AUTHORIZATION;' END
            FROM pg_catalog.aclexplode(datacl) WITH ORDINALITY AS entry (grantor, grantee, privilege_type, is_grantable, place)
            WHERE entry.grantee <> datdba
        ) AS all_statements))
FROM chosen
ORDER BY 1;
\echo end
SQL
}

# take_list: makes $work/databases of psql's output without its last line, which shows that nothing was cut off: psql may not
# report that the temporary folder is full.
take_list() {
    if [ "$(tail -n 1 "$work/databases.new")" = end ] && sed '$d' "$work/databases.new" >"$work/databases" &&
        [ "$(grep -c '' "$work/databases.new")" -eq $(($(grep -c '' "$work/databases") + 1)) ]; then return 0; fi
    printf '%s\n' "the list was cut off: is ${TMPDIR:-/tmp} full?" >"$work/psql.err"
    return 1
}

# names_in_state STATE ...: prints the JSON names of the databases in one of these states, as a JSON array.
names_in_state() {
    awk -F "$TAB" -v states=" $* " '
        index(states, " " $2 " ") { printf "%s%s", (count++ ? "," : "["), $4 }
        END { print count ? "]" : "[]" }' "$work/databases"
}
