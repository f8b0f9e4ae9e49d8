# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `restore-kit.sh restore BACKUP`: restores all databases of a backup. Only psql parses the SQL of the databases, and it
# stops at the first error. If it stops before it has connected to a database, the step starts that database's part again:
# an existing empty database is dropped first. If the encoding of the previous database has no conversion to this one's, or
# changes the owner's name, the part starts in a database without an encoding.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2329 # start_group calls the step by name

everything_sql() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }

# If gzip fails, psql must not accept the incomplete text: the last line is an error in any context.
everything_text() { gzip -dc "$file" || printf '\n\\.\nthe backup could not be decompressed;\n' 2>/dev/null; }

# Prints the roles and tablespaces, without statements about existing ones; the last line contains the number of the line after them.
everything_globals() {
    existing=$(everything_sql -d "$maintenance" -c "WITH existing AS (SELECT 'ROLE ' AS kind, rolname AS name FROM pg_roles
            UNION ALL SELECT 'TABLESPACE ', spcname FROM pg_tablespace)
        SELECT kind || name FROM existing WHERE name ~ '^[a-z_][a-z0-9_]*\$'
        UNION ALL SELECT kind || '\"' || replace(name, '\"', '\"\"') || '\"' FROM existing")
    everything_text | EXISTING=$existing awk '
        BEGIN {
            count = split(ENVIRON["EXISTING"], lines, "\n")
            while (count) existing[lines[count--]]
            print "BEGIN;"
        }
        statement == "" && (/^\\connect / || /^-- Database "/) { first = NR; exit }
        statement == "" && /^(--|$)/ { next }
        statement == "" && /^\\/ { print; next }
        {
            statement = statement $0 "\n"
            # A string or a quoted name may contain newlines and semicolons.
            rest = $0
            while (match(rest, quote == "" ? "[\"\047]" : quote)) {
                quote = quote == "" ? substr(rest, RSTART, 1) : ""
                rest = substr(rest, RSTART + 1)
            }
        }
        quote == "" && /;$/ {
            name = ""
            if (match(statement, /^(CREATE|ALTER|COMMENT ON) (ROLE|TABLESPACE) ("([^"]|"")*"|[^ ;"]+)/))
                name = substr(statement, 1, RLENGTH)
            sub(/^(CREATE|ALTER|COMMENT ON) /, "", name)
            if (name in existing) {
                if (statement ~ /^CREATE /) print "left as it is: " name | "cat >&2"
            } else if (statement !~ /^DROP /) {
                # These statements cannot run in a transaction.
                if (!committed && statement ~ /^CREATE (TABLESPACE|DATABASE) /) { print "COMMIT;"; committed = 1 }
                printf "%s", statement
            }
            statement = ""
        }
        END {
            if (!committed) print "COMMIT;"
            print "-- " first
        }'
}

# everything_stop MESSAGE: exits, and prints what to do before the next attempt.
everything_stop() {
    printf '%s\n' "$1" >&2
    made=$(everything_sql -d "$maintenance" -c "SELECT format('DROP DATABASE %I;', datname) FROM pg_database
        WHERE oid NOT IN ($before) AND datname <> '$neutral'" || :)
    [ -z "$made" ] || printf 'The restore stopped. Remove the cause, drop the databases that it created, and run it again:\n%s\n' "$made" >&2
    exit 1
}

drop_neutral() { everything_sql -d "$maintenance" -c "DROP DATABASE IF EXISTS $neutral" 2>/dev/null || :; }

# objects_in DATABASE: prints the number of objects that do not belong to an extension.
objects_in() {
    everything_sql -d "dbname='$(printf '%s' "$1" | sed "s/[\\\\']/\\\\&/g")'" -c "WITH object AS (
            SELECT 'pg_class'::regclass AS class, oid FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
            UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc
            UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type WHERE typtype IN ('d', 'e', 'r')
            UNION ALL SELECT 'pg_namespace'::regclass, oid FROM pg_namespace WHERE nspname !~ '^pg_'
            UNION ALL SELECT 'pg_largeobject'::regclass, oid FROM pg_largeobject_metadata)
        SELECT count(*) FROM object WHERE oid >= 16384 AND NOT EXISTS
            (SELECT FROM pg_depend WHERE classid = class AND objid = object.oid AND deptype = 'e')"
}

# step_everything: the restore; the caller has read $file to its end.
step_everything() {
    set -eu
    PGOPTIONS="${PGOPTIONS-} -c default_transaction_read_only=off"
    export PGOPTIONS
    unset PGCLIENTENCODING
    maintenance=$POSTGRES_BACKUP_DATABASE neutral=restore_everything_neutral
    drop_neutral
    before=$(everything_sql -d "$maintenance" -c "SELECT string_agg(oid::text, ',') FROM pg_database")
    globals=$(everything_globals)
    line=$(printf '%s\n' "$globals" | sed -n '$s/^-- //p')
    [ -n "$line" ] || { echo "no database begins in $file" >&2; exit 1; }
    printf '%s\n' "$globals" | everything_sql -d "$maintenance" >/dev/null || everything_stop "the roles and tablespaces cannot be restored"
    trap drop_neutral EXIT
    trap 'exit 1' TERM INT HUP
    database=$maintenance stops=' '
    while :; do
        status=0
        message=$(everything_text | tail -n "+$line" | everything_sql -d "$database" -v VERBOSITY=verbose -f - 2>&1 >/dev/null) || status=$?
        [ "$status" -ne 0 ] || break
        # The line at which psql stopped, and the line where this database's part begins, shortly before it.
        error=$(printf '%s\n' "$message" | sed -n -E 's/^psql:<stdin>:([0-9]+): [^:]*: *(0A000|42704|42P04): .*/\1/p' | tail -n 1)
        [ -n "$error" ] || everything_stop "$message"
        stopped=$((line + error - 1))
        # Never handle the same statement twice.
        case $stops in *" $stopped "*) everything_stop "$message" ;; esac
        stops="$stops$stopped "
        from=$((stopped > 60 ? stopped - 60 : 1))
        statement=$(everything_text | tail -n "+$stopped" | head -n 1)
        begin=$(everything_text | tail -n "+$from" | head -n $((stopped - from)) | awk '
            /^-- PostgreSQL database dump$/ { begin = NR; next }
            !/^(--.*|\\restrict .*|SET .*;|SELECT pg_catalog\.set_config\(.*;|CREATE DATABASE .*;)?$/ { begin = 0 }
            END { print begin + 0 }')
        [ "$begin" -gt 0 ] || everything_stop "$message"
        if [ "$database" = "$maintenance" ]; then
            everything_sql -d "$maintenance" <<SQL
SELECT format('CREATE DATABASE $neutral TEMPLATE template0 ENCODING ''SQL_ASCII'' LC_COLLATE ''C'' LC_CTYPE ''C''%s',
    CASE WHEN current_setting('server_version_num')::int >= 150000 THEN ' LOCALE_PROVIDER libc' END) \\gexec
SQL
            database=$neutral
        fi
        case $statement in
            "SET client_encoding = '"* | 'ALTER DATABASE '*' OWNER TO '*) ;;
            'CREATE DATABASE '*)
                name=$(printf '%s\n' "$statement" | sed -E 's/^CREATE DATABASE ("([^"]|"")*"|[^ ;]+).*/\1/')
                objects=$(objects_in "$(printf '%s\n' "$name" | sed -e 's/^"\(.*\)"$/\1/' -e 's/""/"/g')")
                [ "$objects" = 0 ] || everything_stop "the database $name exists and holds $objects objects; nothing was restored into it"
                echo "dropping the database $name, which exists and is empty" >&2
                everything_sql -d "$database" -c "DROP DATABASE $name" || everything_stop "the empty database $name cannot be dropped"
                ;;
            *) everything_stop "$message" ;;
        esac
        line=$((from + begin - 1))
    done
    [ -z "$message" ] || printf '%s\n' "$message" >&2
    echo "restored; the server has these databases:"
    everything_sql -d "$maintenance" -c "SELECT datname FROM pg_database WHERE datallowconn AND datname NOT IN ('template1', '$neutral') ORDER BY 1"
}
