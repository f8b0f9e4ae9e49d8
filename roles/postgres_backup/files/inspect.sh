# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `backup.sh run`: what is known of each database before its dump: its extensions and size, what a dump of it would lack,
# and whether this user may read all of it.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2329 # start_group calls the step by name

# The databases that belong to a provider's own programs, and that its customers cannot enter: Amazon RDS and Aurora; Cloud
# SQL; AlloyDB; Azure; DigitalOcean; Aiven.
PROVIDER_DATABASES='rdsadmin cloudsqladmin alloydbadmin alloydbmetadata azure_maintenance azure_sys _dodb _aiven'

# How many databases one psql visits. A user who is not a superuser may have few connections (CONNECTION LIMIT), and psql
# has two while it changes the database.
SUPERUSER_BATCH=50

# step_inspect: inspects the databases with the state `dump` in $work/databases, in their order, and writes a file
# $work/inspect.NUMBER for each:
#   the first line has members of its entry in the manifest (JSON): extensions (an array of name, version and schema),
#       size_bytes (on the server), collations and public_create (collations.sh); null if they could not be read
#   W<tab>TEXT: a warning
#   R<tab>RESULT: the database is not to be dumped: `failed` (a dump would fail, or lack rows), `not_accessible` (this user
#       may not connect to it), `provider` (the same, and it is a provider's own: nothing is missing)
#   F<tab>TEXT: what was found, and A<tab>TEXT: advice. Without an R line, arguments of pg_dump may leave out what was found.
# No transaction is left open, and there is no connection to a database when its file exists.
step_inspect() {
    cd "$work" || exit 1
    inspection_sql >inspect.sql
    knows_large_objects=f
    [ "$server_version_num" -lt 180000 ] || knows_large_objects=t
    knows_versions=f
    [ "$server_version_num" -lt 150000 ] || knows_versions=t
    awk -F "$TAB" '$2 == "dump" { printf "%s\t%s\t%s\n", $1, $3, ($6 == "" ? "-" : $6) }' databases >inspect.list
    while [ -s inspect.list ]; do
        if [ "$is_superuser" = t ]; then head -n "$SUPERUSER_BATCH" inspect.list >inspect.batch; else head -n 1 inspect.list >inspect.batch; fi
        inspection_script <inspect.batch >inspect.psql
        IFS=$TAB read -r first_number first_octal first_arguments <inspect.batch
        # What psql reports goes to publish_inspections; results go to files (\o).
        PGCLIENTENCODING=UTF8 psql --no-psqlrc --no-password --tuples-only --no-align --quiet \
            --set=is_superuser="$is_superuser" --set=knows_large_objects="$knows_large_objects" --set=knows_versions="$knows_versions" \
            --dbname="$(inspection_target "$first_octal")" <inspect.psql 2>&1 >/dev/null | publish_inspections
        visited=$(cat inspect.visited)
        sed -e "1,${visited}d" inspect.list >inspect.rest && mv inspect.rest inspect.list
    done
}

# inspection_target OCTAL: prints the connection string of a database.
inspection_target() {
    database_named "$1"
    connection "$database"
}

# inspection_script: prints psql's commands for the databases on standard input: lines of NUMBER, OCTAL and ARGUMENTS.
# psql is connected to the first one; \connect ends psql if it fails. The markers go to standard error (\warn). The argument
# of \connect is a connection string, with octal numbers for characters, in double quotes, which psql removes.
inspection_script() {
    has_selection=f
    if is_selecting "${database_args:-}"; then has_selection=t; fi
    awk -F "$TAB" -v has_selection="$has_selection" '
        NR > 1 {
            target = "dbname=\\047"
            rest = $2
            while (rest != "") {
                if (substr(rest, 1, 1) == "\\") {
                    digits = substr(rest, 3, 3)
                    target = target (digits == "047" || digits == "134" ? "\\134" : digits == "042" ? "\\042" : "") "\\" digits
                    rest = substr(rest, 6)
                } else {
                    target = target substr(rest, 1, 1)
                    rest = substr(rest, 2)
                }
            }
            print "\\connect \047\"" target "\\047\"\047"
        }
        {
            print "\\warn @" $1
            print "\\set has_selection " ($3 == "-" ? has_selection : "t")
            print "\\o inspect." $1 ".new"
            print "\\i inspect.sql"
            print "\\o"
        }'
}

# is_selecting ARGUMENTS: whether arguments of pg_dump, one a line, may decide what is dumped, or as which role.
is_selecting() {
    printf '%s\n' "$1" | grep -qvE -e '^$' -e '^--(lock-wait-timeout|encoding|rows-per-insert|extra-float-digits)=' \
        -e '^--((column-|attribute-)?inserts|no-comments|no-owner|verbose|quote-all-identifiers|no-tablespaces|no-security-labels|no-publications|clean|if-exists)$'
}

# publish_inspections: reads psql's messages, and publishes the inspection of each database when psql has left it. Writes
# to inspect.visited how many databases of inspect.batch are done.
publish_inspections() {
    visited=0 number='' messages='' refusal=''
    exec 3<inspect.batch
    IFS=$TAB read -r next_number next_octal next_arguments <&3
    while IFS= read -r line; do
        if [ "$line" = "@$next_number" ]; then
            [ -z "$number" ] || publish_inspection "$number" "$messages"
            number=$next_number octal=$next_octal visited=$((visited + 1)) messages=''
            IFS=$TAB read -r next_number next_octal next_arguments <&3 || next_number=none
            continue
        fi
        case $line in
            '\connect: '*) refusal=yes line=${line#*: } ;;
            psql*': error: '*) refusal=yes line=${line#*: error: } ;;
        esac
        if [ -n "$refusal" ]; then refusal_message=${refusal_message:+$refusal_message }$line; else messages=${messages:+$messages }$line; fi
    done
    exec 3<&-
    [ -z "$number" ] || publish_inspection "$number" "$messages"
    # psql lost its connection to a database, or could not connect to the next one.
    if [ "$next_number" != none ] && { [ -n "$refusal" ] || [ "$visited" -eq 0 ]; }; then
        publish_refusal "$next_number" "$next_octal" "${refusal_message:-$messages}"
        visited=$((visited + 1))
    fi
    printf '%s\n' "$visited" >inspect.visited
}

# publish_inspection NUMBER MESSAGES: completes the file that psql wrote.
publish_inspection() {
    members=''
    [ ! -s "inspect.$1.new" ] || IFS= read -r members <"inspect.$1.new"
    case $members in
        '"extensions":'*) ;;
        *)
            printf '%s\n' '"extensions":null,"size_bytes":null' >"inspect.$1.new"
            [ -n "$2" ] || set -- "$1" "psql ended"
            ;;
    esac
    # A query failed: the dump shows whether the database can be read.
    [ -z "$2" ] || printf 'W\tdatabase %s could not be inspected: %s\n' "$(utf8 "$(printf '%b' "$octal")")" "$(one_line "$2")" >>"inspect.$1.new"
    case $members in
        *[!\ -~]*) with_ascii_members <"inspect.$1.new" >"inspect.$1.ascii" && mv "inspect.$1.ascii" "inspect.$1.new" ;;
    esac
    mv "inspect.$1.new" "inspect.$1"
}

# publish_refusal NUMBER OCTAL MESSAGE: writes the file of a database that psql could not connect to. Only a refusal of this
# user is a result: other causes may be gone when the database's dump begins.
publish_refusal() {
    {
        printf '%s\n' '"extensions":null,"size_bytes":null'
        if is_refusal "$3"; then
            database_named "$2"
            refused_result=not_accessible
            case " $PROVIDER_DATABASES " in *" $database "*) refused_result=provider ;; esac
            printf 'R\t%s\nF\t%s\n' "$refused_result" "$(one_line "$3")"
            if [ "$refused_result" = not_accessible ]; then
                postgres_fault "pg_dump: error: $3"
                printf 'A\t%s\n' "$fault_advice"
            fi
        fi
    } >"inspect.$1.new"
    mv "inspect.$1.new" "inspect.$1"
}

# one_line TEXT: the first error in TEXT, in one line, without the address of the connection and control characters, cut at
# 400 bytes. (After a refusal with TLS, libpq tries to connect without it, and reports both errors.)
one_line() {
    printf '%s' "$1" | tr '\n' ' ' | tr '\001-\037\177' '[?*]' | sed -e 's/^could not connect to server: //' -e 's/^psql:inspect.sql:[0-9]*: //' \
        -e 's/^connection to server at "[^"]*"\( ([^)]*)\)\{0,1\}, port [0-9]* failed: //' \
        -e 's/ connection to server at "[^"]*".*//' -e 's/  */ /g' | cut -c 1-400
}

# with_ascii_members: copies lines; characters of the first one, which is JSON, that are not ASCII are escaped.
with_ascii_members() {
    IFS= read -r members_line
    printf '%s\n' "$members_line" | utf8_lines | ascii_json
    cat
}

# inspection_sql: prints the queries for one database. Variables of psql: `is_superuser`; `has_selection`, whether arguments
# of pg_dump may leave out what this user cannot read; `knows_large_objects`, whether PostgreSQL has a function for their
# rights (18 and later); `knows_versions` of collations_sql.
#
# What a user who is not a superuser needs for a dump (pg_dump.c): USAGE of the schemas of tables, because it locks tables
# by their names (getTables); SELECT on tables, sequences and large objects (dumpTableData, dumpSequenceData, dumpLOs); no
# row security on tables (it sets row_security to off). Schemas of PostgreSQL are left out, and tables of extensions, except
# their configuration tables. Rights on views, functions, types and foreign tables are not needed.
inspection_sql() {
    # Only pg_catalog is searched: objects of the database must not replace PostgreSQL's (CVE-2018-1058).
    cat <<'SQL'
SET search_path = '' \; SET standard_conforming_strings = on \; SET statement_timeout = '1min';
SQL
    collations_sql
    cat <<'SQL'
SELECT format('"extensions":[%s],"size_bytes":%s,"collations":%s,"public_create":%s',
    (SELECT string_agg(format('{"name":%s,"version":%s,"schema":%s}', to_json(extname::text), to_json(extversion),
            to_json(nspname::text)), ',' ORDER BY extname)
        FROM pg_extension JOIN pg_namespace AS n ON n.oid = extnamespace),
    pg_database_size(current_database()), :'collations', :'public_create');
WITH
\if :is_superuser
\else
relations AS (
    SELECT c.oid, c.relkind, c.relrowsecurity, c.relnamespace, n.nspname, format('%I.%I', n.nspname, c.relname) AS name
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'S') AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
        AND (NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
            OR EXISTS (SELECT FROM pg_extension WHERE c.oid = ANY (extconfig)))
),
\endif
objects (kind, name) AS (
    -- pg_dump leaves these out (getIndexes). One that is just being built is not a fault.
    SELECT 'index', format('%I.%I', n.nspname, c.relname)
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname <> 'pg_toast'
        AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index AS progress WHERE progress.index_relid = i.indexrelid)
    UNION ALL
    SELECT 'collation', format('%I.%I', n.nspname, c.collname)
    FROM pg_collation AS c JOIN pg_namespace AS n ON n.oid = c.collnamespace
    WHERE c.collversion IS NOT NULL
        AND EXISTS (SELECT FROM pg_depend AS d WHERE d.refclassid = 'pg_collation'::regclass AND d.refobjid = c.oid)
        AND c.collversion <> pg_collation_actual_version(c.oid)
    UNION ALL
    -- pg_dump leaves out their rows on a standby, which has none.
    SELECT 'unlogged', format('%I.%I', n.nspname, c.relname)
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relpersistence = 'u' AND c.relkind = 'r' AND pg_is_in_recovery()
\if :is_superuser
\else
    UNION ALL
    SELECT 'subscription', quote_ident(subname) FROM pg_subscription
    WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    UNION ALL
    SELECT 'mapping', format('%I on server %I', usename, srvname) FROM pg_user_mappings WHERE umoptions IS NULL
    UNION ALL
    SELECT DISTINCT 'schema', quote_ident(nspname) FROM relations WHERE NOT has_schema_privilege(relnamespace, 'USAGE')
    UNION ALL
    -- COPY can do with SELECT on each column, and LOCK TABLE with another right on the table (PostgreSQL 16 and later).
    SELECT 'table', name FROM relations
    WHERE relkind <> 'S' AND NOT has_table_privilege(oid, 'SELECT')
        AND NOT (current_setting('server_version_num')::int >= 160000 AND has_table_privilege(oid, 'UPDATE, DELETE, TRUNCATE') AND NOT EXISTS (
            SELECT FROM pg_attribute AS a
            WHERE a.attrelid = relations.oid AND a.attnum > 0 AND NOT a.attisdropped AND NOT has_column_privilege(relations.oid, a.attnum, 'SELECT')))
    UNION ALL
    SELECT 'sequence', name FROM relations WHERE CASE relkind WHEN 'S' THEN NOT has_sequence_privilege(oid, 'SELECT') END
    UNION ALL
    SELECT 'row security', name FROM relations WHERE relkind = 'r' AND relrowsecurity AND row_security_active(oid)
    UNION ALL
    SELECT 'large object', oid::text FROM pg_largeobject_metadata
    WHERE NOT current_setting('lo_compat_privileges')::boolean
\if :knows_large_objects
        AND NOT has_largeobject_privilege(oid, 'SELECT')
\else
        AND NOT pg_has_role(lomowner, 'USAGE')
        AND NOT EXISTS (SELECT FROM aclexplode(lomacl) WHERE privilege_type = 'SELECT' AND CASE grantee WHEN 0 THEN true ELSE pg_has_role(grantee, 'USAGE') END)
\endif
\endif
), lists (kind, names) AS (
    SELECT kind, regexp_replace(string_agg(name, ', ' ORDER BY name) FILTER (WHERE place <= 5)
            || CASE WHEN count(*) > 5 THEN format(' and %s more', count(*) - 5) ELSE '' END, '[[:cntrl:]]', '?', 'g')
    FROM (SELECT kind, name, row_number() OVER (PARTITION BY kind ORDER BY name) AS place FROM objects) AS numbered
    GROUP BY kind
), texts (type, kind, place, text, advice) AS (
    VALUES
        ('W', 'index', 1, 'invalid indexes, which a dump does not contain: %s. Build them again (REINDEX INDEX), or drop them.', ''),
        ('W', 'collation', 2, 'the order of text in these collations has changed since their indexes were built (another version of the operating system''s library): %s. REINDEX what uses them, then ALTER COLLATION … REFRESH VERSION.', ''),
        ('W', 'unlogged', 3, 'unlogged tables, whose rows are not in the backup, because a standby does not have them: %s. Set postgres_backup_host to the primary to back them up.', ''),
        ('W', 'subscription', 4, 'subscriptions, which are not in the backup, because pg_dump leaves them out if the user is not a superuser: %s.', ''),
        ('W', 'mapping', 5, 'user mappings, which are in the backup without their options (user, password), because only a superuser can read these: %s.', ''),
        ('F', 'schema', 1, 'no USAGE of the schemas %s', 'read'),
        ('F', 'table', 2, 'no SELECT on the tables %s', 'read'),
        ('F', 'sequence', 3, 'no SELECT on the sequences %s', 'read'),
        ('F', 'large object', 4, 'no SELECT on the large objects %s', 'large objects'),
        ('F', 'row security', 5, 'row security hides rows of the tables %s', 'row security')
), advice (kind, place, text) AS (
    VALUES
        ('read', 1, CASE WHEN current_setting('server_version_num')::int >= 140000
            THEN 'GRANT pg_read_all_data TO %1$s.'
            ELSE 'In that database, for each schema: GRANT USAGE ON SCHEMA … TO %1$s; GRANT SELECT ON ALL TABLES IN SCHEMA … TO %1$s; GRANT SELECT ON ALL SEQUENCES IN SCHEMA … TO %1$s; and ALTER DEFAULT PRIVILEGES for what will be created. (Before PostgreSQL 14 there is no pg_read_all_data.)' END
            || ' Or leave out the tables: postgres_backup_exclude_tables.'),
        ('large objects', 2, CASE WHEN current_setting('server_version_num')::int >= 190000
            THEN 'GRANT pg_read_all_data TO %1$s.'
            ELSE 'GRANT SELECT ON LARGE OBJECT … TO %1$s, for each of them: pg_read_all_data does not cover large objects before PostgreSQL 19.' END
            || ' Or leave them all out: --no-blobs in postgres_backup_dump_args.'),
        ('row security', 3, 'ALTER ROLE %1$s BYPASSRLS, or make it a member of the tables'' owner. Or leave out the rows of these tables: postgres_backup_exclude_table_data.')
), findings (text, advice) AS (
    SELECT string_agg(format(texts.text, names), '; ' ORDER BY place),
        (SELECT string_agg(format(advice.text, quote_ident(current_user)), ' ' ORDER BY advice.place) FROM advice WHERE advice.kind = ANY (array_agg(texts.advice)))
    FROM lists JOIN texts USING (kind)
    WHERE type = 'F'
)
SELECT format(E'W\tdatabase %s: %s', regexp_replace(quote_ident(current_database()), '[[:cntrl:]]', '?', 'g'), format(text, names))
FROM lists JOIN texts USING (kind) WHERE type = 'W'
UNION ALL
SELECT E'R\tfailed' FROM findings WHERE text IS NOT NULL AND :'has_selection' = 'f'
UNION ALL
SELECT unnest(ARRAY[E'F\t' || text, E'A\t' || advice]) FROM findings WHERE text IS NOT NULL;
SQL
}
