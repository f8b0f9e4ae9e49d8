# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# The restore of a drill, database by database: where each one lies is known from the manifest, or from reading the text.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2016,SC2030,SC2031,SC2329 # psql expands TAGS_PROGRAM; each worker has a separate part; steps are called by name
# shellcheck disable=SC2089,SC2090 # the shell that psql starts expands TAGS_PROGRAM

# How much of a database's text is read to plan its restore: its own statements, and its extensions.
PART_HEAD_BYTES=1048576

# Sessions begin in this database: SQL_ASCII accepts every client_encoding and does not convert names, and nothing drops it.
INTERMEDIATE_NAME="postgres-backup-drill between databases"

# plan_by_manifest: reads the manifest of the backup; fails if there is none. Writes, the largest database first,
#   $work/parts        NUMBER OFFSET BYTES TEXT_BYTES BODY NAME  OFFSET and BYTES are those of the gzip member, BODY is -, NAME is JSON
#   $work/extensions   NAME VERSION SCHEMA DATABASE  separated by tabs; texts of JSON, DATABASE with quotation marks
plan_by_manifest() {
    [ -n "$sha256" ] && cp "$file.json" "$work/manifest" 2>/dev/null && [ "$(tail -n 1 "$work/manifest")" = ']}' ] &&
        grep -q -F -x "\"sha256\":\"$sha256\"," "$work/manifest" || return 1
    : >"$work/extensions"
    awk -v extensions="$work/extensions" '
        function text(from,    found) { # the string of JSON at the beginning of `line`
            match(line, /^"([^"\\]|\\.)*"/)
            found = substr(line, 2, RLENGTH - 2)
            line = substr(line, RLENGTH + 1 + from)
            return found
        }
        function number(name) { return match($0, "\"" name "\":[0-9]+") ? substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3) : "" }
        /^\{"kind":"database","name":"/ && /"result":"dumped"/ {
            line = substr($0, 27)
            name = text(0)
            printf "%d %s %s %s - \"%s\"\n", ++count, number("offset_bytes"), number("length_bytes"), number("text_length_bytes"), name
            if (!match($0, /"extensions":\[/)) next
            line = substr($0, RSTART + RLENGTH)
            while (match(line, /^,?\{"name":/)) {
                line = substr(line, RLENGTH + 1)
                extension = text(11)
                version = text(10)
                printf "%s\t%s\t%s\t\"%s\"\n", extension, version, text(1), name > extensions
            }
        }' "$work/manifest" | sort -k 4,4nr -k 1,1n >"$work/parts"
    [ -s "$work/parts" ]
}

# plan_by_text: the same from the text, which find_damage has read ($work/sections): OFFSET is -, BYTES the offset in the text.
plan_by_text() {
    : >"$work/extensions"
    section_number=0
    grep '^section ' "$work/sections" | while read -r _ section_offset section_bytes section_body _ section_name; do
        section_number=$((section_number + 1))
        printf '%s - %s %s %s %s\n' "$section_number" "$section_offset" "$section_bytes" $((section_body - section_offset)) "$(json "$section_name")"
    done | sort -k 4,4nr -k 1,1n >"$work/parts"
    while read -r part part_offset part_bytes part_text_bytes part_body part_name <&3; do
        part_text 3<&- | head -c "$PART_HEAD_BYTES" | database_facts >"$work/part.facts"
        DATABASE=$part_name awk -F "$TAB" '$1 == "extension" { printf "%s\t-\t%s\t%s\n", $3, ($4 == "" ? "-" : $4), ENVIRON["DATABASE"] }' "$work/part.facts" | utf8_lines >>"$work/extensions"
    done 3<"$work/parts"
}

# part_text: prints the text of the part in the variables of $work/parts.
part_text() {
    if [ "$part_offset" = - ]; then
        backup_text "$file" 2>/dev/null | { copy_bytes "$part_bytes" >/dev/null && copy_bytes "$part_text_bytes"; }
    else
        run_stage "read$part" backup_range "$file" "$part_offset" "$part_bytes" | run_stage "expand$part" decompress
    fi
}

# restore_parts: restores all databases, the largest first. One more at a time than there are processors, because each of
# them waits for its decompressor, its psql or its session now and then.
restore_parts() {
    mkdir -p "$data/parts"
    workers=$(nproc 2>/dev/null || echo 1)
    [ "$workers" -lt 3 ] || workers=3 # each needs memory
    run_group drill_parts $((workers + 1))
    kill -0 "$server_group" 2>/dev/null || fail_server_stopped "the temporary server stopped during the restore"
    while read -r part part_offset _ <&3; do
        case $(stage_status_of "read$part") in
            0 | none | "$SIGPIPE_STATUS") ;;
            *) fail "the backup can no longer be read" "$backup: $(stage_message_of "read$part")" "Check the storage behind the volume." ;;
        esac
        case $(stage_status_of "expand$part") in
            0 | none | "$SIGPIPE_STATUS") ;;
            *) fail_for_good "the backup cannot be decompressed" "$backup: $(stage_message_of "expand$part")" "It is damaged: run the drill with another backup." ;;
        esac
        [ ! -e "$data/parts/$part/broken" ] || fail_for_good "the backup cannot be read to its end" "$backup: no database begins where one should" \
            "It is damaged, or its manifest is that of another backup: run the drill with another backup."
        [ -e "$data/parts/$part/done" ] || fail "the backup cannot be restored" "a process of the restore was killed" \
            "Check the memory limit (postgres_backup_resources) and the pod's events."
    done 3<"$work/parts"
}

step_drill_parts() {
    for worker in 1 2 3 4; do
        [ "$1" -ge "$worker" ] || break
        while read -r part part_offset part_bytes part_text_bytes part_body part_name <&3; do
            mkdir "$data/parts/$part" 2>/dev/null || continue
            restore_part 3<&-
        done 3<"$work/parts" &
    done
    wait
}

# restore_part: restores a database. At first in one transaction: then COPY writes no WAL (PostgreSQL documentation, "Disable
# WAL Archival and Streaming Replication"), and an error leaves nothing. If the error may be due to the empty search_path of
# dumps, again with another one. At last without a transaction and without stopping, to meet all errors.
# Writes to its folder: errors (see keep_errors), needs, done.
restore_part() {
    folder=$data/parts/$part
    : >"$folder/errors"
    part_text | head -c "$PART_HEAD_BYTES" >"$folder/text"
    database_facts <"$folder/text" >"$folder/facts"
    [ "$part_body" != - ] || part_body=$(fact_of body "$folder/facts")
    if [ "$part_body" = 0 ] && [ "$part_offset" != - ]; then : >"$folder/broken"; return; fi
    part_database=$(fact_of name "$folder/facts")
    create_part
    part_path=$(text_for "$POSTGRES_BACKUP_DRILL_SEARCH_PATH")
    restored=no
    part_begin "$part_path"
    ! try_part || restored=yes
    if [ "$restored" = no ] && [ -z "$part_path" ] && [ -n "$(fact_of search_path "$folder/facts")" ] && is_about_search_path "$(psql_error "$folder/err")"; then
        second_try
    fi
    [ "$restored" = yes ] || { empty_part; collect_part; }
    # Those may be left out.
    grep -q -v "${TAB}rows of materialized view " "$folder/errors" || ( count_part )
    rm -f "$folder/text"
    : >"$folder/done"
}

# is_about_search_path MESSAGE: whether it may be cured by a search_path: something that is named without its schema.
is_about_search_path() {
    case $1 in
        *'could not find function "'*'" in file '*) return 1 ;;
        *': 42883: '* | *': 42P01: '* | *': 42704: '* | *': 42703: '* | *': 3F000: '*) ;;
        *) return 1 ;;
    esac
}

second_try() {
    first_error=$(psql_error "$folder/err") first_object=$(object_of "$folder/last")
    tried_path=$(database_search_path)
    empty_part
    part_begin "$tried_path"
    if try_part; then
        restored=yes
    elif [ "$(psql_error "$folder/err")" = "$first_error" ]; then
        part_begin ""
        return
    fi
    printf '%s\t%s\t%s\n' "$tried_path" "${first_object:--}" "$first_error" >"$folder/needs"
}

# database_search_path: prints the database's own setting, else public and the schemas of its extensions.
database_search_path() {
    own_path=$(part_psql 1 none "$folder/connect.sql" - 2>/dev/null <<'SQL' | tail -n 1
SELECT substr(setting, 13) FROM pg_catalog.pg_db_role_setting AS s JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase, unnest(setconfig) AS setting
WHERE datname = current_database() AND setrole = 0 AND setting LIKE 'search_path=%';
SQL
    )
    case $own_path in
        '' | 'You are now'*) awk -F "$TAB" '
            BEGIN { path = "public" }
            $1 == "extension" && $4 !~ /^(|public|pg_catalog)$/ && !seen[$4]++ { path = path ", " $4 }
            END { print path }' "$folder/facts" ;;
        *) printf '%s\n' "$own_path" ;;
    esac
}

# text_for LINES: prints the text for this database in lines of "NAME TEXT", both in octal numbers for printf %b.
text_for() {
    printf '%s\n' "$1" | while read -r option_name option_text; do
        database_named "$option_name"
        [ -z "$option_name" ] || [ "$database" != "$part_database" ] || printf '%b' "$option_text"
    done
}

# part_psql STOP ECHO FILE ...: runs the files, - for standard input; what statements return goes to $TAGS_FILE.
part_psql() {
    echo_mode=$2
    set -- "$@" --set=ON_ERROR_STOP="$1"
    shift 2
    for part_file; do
        shift
        case $part_file in --*) set -- "$@" "$part_file" ;; *) set -- "$@" --file="$part_file" ;; esac
    done
    psql --no-psqlrc --no-password --no-align --tuples-only --set=VERBOSITY=verbose --set=ECHO="$echo_mode" \
        --dbname="dbname='$INTERMEDIATE_NAME'" "$@"
}

# create_part: restores the statements about the database itself.
create_part() {
    head -c "$part_body" "$folder/text" >"$folder/head.sql"
    part_psql 0 errors "$folder/head.sql" </dev/null 2>&1 >/dev/null | keep_errors
    { printf '\\encoding SQL_ASCII\n'; if [ -s "$folder/head.sql" ]; then tail -n 1 "$folder/head.sql"; else echo '\connect postgres'; fi; } >"$folder/connect.sql"
    [ -s "$folder/errors" ] || return 0
    # Its objects are restored in any case.
    part_psql 1 none "$folder/connect.sql" </dev/null >/dev/null 2>&1 ||
        sed -n "s/^\(CREATE DATABASE .* WITH TEMPLATE = template0 ENCODING = '[^']*'\).*/\1 LC_COLLATE = 'C' LC_CTYPE = 'C';/p" "$folder/head.sql" |
        part_psql 0 none - >/dev/null 2>&1
}

# empty_part: after a try that failed: creates the database again if the text has transactions, as for large objects, which have
# ended that of the try.
empty_part() {
    grep -q 'WARNING:  25001: ' "$folder/err" || return 0
    {
        cat "$folder/connect.sql"
        printf '%s\n' 'SELECT pg_catalog.current_database() AS name \gset' "\\connect \"$INTERMEDIATE_NAME\"" 'ALTER DATABASE :"name" IS_TEMPLATE false;' 'DROP DATABASE :"name";'
        if grep -q '^CREATE DATABASE ' "$folder/head.sql"; then cat "$folder/head.sql"; else echo 'CREATE DATABASE :"name" TEMPLATE template0;'; fi
    } | part_psql 0 none - >/dev/null 2>&1
}

# part_begin SEARCH_PATH: writes the body's beginning with the changes for this try, and sets `part_cut` to where it ends; writes
# before.sql and after.sql, the SQL to run before and after the body.
part_begin() {
    part_cut=$part_body
    body_edits "$folder/facts" "$folder" "$1" >"$folder/edits"
    : >"$folder/begin.sql"
    if [ -s "$folder/edits" ]; then
        part_cut=$(tail -n 1 "$folder/edits" | awk '{ printf "%.0f", $1 + $2 }')
        tail -c "+$((part_body + 1))" "$folder/text" | head -c $((part_cut - part_body)) | edit_text "$folder/edits" "$part_body" >"$folder/begin.sql"
    fi
    { echo "SET client_encoding = 'UTF8';"; text_for "$POSTGRES_BACKUP_DRILL_BEFORE_SQL"; echo; } >"$folder/before.sql"
    {
        for_extensions "$folder/facts" extension_after
        echo "SET client_encoding = 'UTF8';"
        text_for "$POSTGRES_BACKUP_DRILL_AFTER_SQL"
        echo
    } >"$folder/after.sql"
}

# version_of EXTENSION: prints its version in the live server, nothing if it is not known or the image does not have it: then
# the image's own is created, and what does not fit is an error.
version_of() {
    PART=$part_name awk -F "$TAB" -v name="$1" '$1 == name && $4 == ENVIRON["PART"] && $2 != "-" { print $2 }' "$work/extensions" | while read -r edit_version; do
        query_drill "SELECT version FROM pg_catalog.pg_available_extension_versions WHERE name = '$1' AND version = '$edit_version'"
    done
}

# What psql prints goes to two places: the results of statements, among them COPY's tags, to this program, which keeps the
# numbers of rows; the statements themselves, before they are run (ECHO), to kept_statements.
TAGS_PROGRAM='/^COPY [0-9]+$/ { print $2 } /^INSERT 0 [0-9]+$/ { rows += $3 } END { printf "inserted %.0f\n", rows }'

# try_part: restores the body in one transaction; fails with psql's messages in err and the last statement in last.
try_part() {
    TAGS_FILE=$folder/tags
    export TAGS_FILE TAGS_PROGRAM
    { cat "$folder/connect.sql"; echo 'BEGIN;'; } >"$folder/first.sql"
    # At the end of a file, psql sends a statement without a semicolon, too.
    echo 'COMMIT;' >"$folder/last.sql"
    part_text | {
        copy_bytes "$part_cut" >/dev/null
        part_psql 1 queries "$folder/first.sql" "$folder/before.sql" "$folder/begin.sql" - "$folder/after.sql" "$folder/last.sql" --output='|awk "$TAGS_PROGRAM" >"$TAGS_FILE"' 2>"$folder/err"
        echo $? >"$folder/status"
    } | awk -v last="$folder/last" '
        is_end && /^(CREATE|ALTER|COPY|REFRESH|SELECT|INSERT|COMMENT|GRANT|REVOKE|SET|SECURITY|DROP) / { statement = substr($0, 1, 500); lines = 0 }
        !is_end && lines++ < 8 { statement = statement " " substr($0, 1, 500) }
        is_end && /^COPY / { copy = ""; is_copy = 1 }
        { is_end = /;\r?$/ }
        is_copy { copy = copy (copy == "" ? "" : "\n") $0 }
        is_copy && is_end { is_copy = 0; gsub(/\n/, " ", copy); if (copy ~ / FROM stdin;\r?$/) print copy }
        BEGIN { is_end = 1 }
        END { print statement > last }' >"$folder/copies"
    [ "$(cat "$folder/status")" = 0 ]
}

# collect_part: restores the body without a transaction and without stopping, and keeps all errors. A COPY that cannot begin
# would make psql read its rows as SQL: first everything before the rows is restored, and each COPY is tried without rows;
# then the rows of those that can begin, and the rest.
collect_part() {
    TAGS_FILE=$folder/tags
    export TAGS_FILE TAGS_PROGRAM
    : >"$folder/bad"
    part_text | { copy_bytes "$part_cut" >/dev/null; copies_of schema; } |
        part_psql 0 errors "$folder/connect.sql" "$folder/before.sql" "$folder/begin.sql" - --output='|awk "$TAGS_PROGRAM" >"$TAGS_FILE"' 2>&1 >/dev/null | keep_errors
    grep '^inserted ' "$folder/tags" >"$folder/inserted"
    {
        cat "$folder/connect.sql"
        { cat "$folder/begin.sql"; tail -c "+$((part_cut + 1))" "$folder/text"; } | sed '/^-- Name: /q' |
            grep -e '^SET ' -e "^SELECT pg_catalog.set_config('search_path'" -e '^\\restrict '
    } >"$folder/first.sql"
    part_text | { copy_bytes "$part_cut" >/dev/null; copies_of rows; } |
        part_psql 0 errors "$folder/first.sql" - "$folder/after.sql" --output='|awk "$TAGS_PROGRAM" >"$TAGS_FILE"' 2>&1 >/dev/null | keep_errors
    cat "$folder/inserted" >>"$folder/tags"
}

# copies_of schema|rows: copies the body on standard input. schema: without rows, and after the first COPY nothing but each COPY.
# rows: from the first COPY on, without those that cannot begin, whose statements are in $folder/bad. What is a COPY of rows is
# known from pg_dump's comment before it.
copies_of() {
    awk -v mode="$1" -v bad="$folder/bad" -v copies="$folder/copies" '
        BEGIN {
            while ((getline line < bad) > 0) is_bad[line] = 1
            if (mode == "rows") printf "" > copies
        }
        {
            line = $0
            sub(/\r$/, "", line)
        }
        in_rows { if (mode == "rows" && !skips) print; if (line == "\\.") in_rows = 0; next }
        /^-- Data for Name: / { is_data = 1 }
        /^-- Name: / { is_data = 0 }
        is_data && statement == "" && /^COPY / { statement = line; text = $0 }
        statement != "" {
            if (!begins++) first = NR
            if (text != $0) { statement = statement " " line; text = text "\n" $0 }
            if (line !~ / FROM stdin;$/) next
            skips = (statement = substr(statement, 1, 500)) in is_bad
            if (mode == "schema") print text "\n\\."
            else if (!skips) { print text; print statement > copies }
            in_rows = 1
            is_data = 0
            statement = ""
            next
        }
        mode == "schema" ? !begins : begins { print }'
}
