# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# The errors of a drill: all of them, with the object and the cause of each, without values of rows.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files

MAX_ERRORS=50

# keep_errors: reads the messages of psql, with each statement that failed (ECHO errors), and appends a line for each error to
# $folder/errors: SQLSTATE, object, and message, separated by tabs. Writes the COPY statements among them to $folder/bad, and
# how many errors there were in addition to $folder/more. Left out: objects that --clean drops and that do not exist, and what
# psql prints about rows of a COPY that could not begin.
keep_errors() {
    rm -f "$folder"/error.* "$folder"/statement.*
    awk -v folder="$folder" -v most="$MAX_ERRORS" '
        function end() {
            if (number && statement ~ /^COPY /) print statement >> (folder "/bad")
            if (number && !is_over) { print statement > (folder "/statement." number); close(folder "/statement." number); close(folder "/error." number) }
            statement = ""
            part = ""
        }
        function begin() {
            end()
            number++
            part = "error"
            is_over = number > most
            if (!is_over) print > (folder "/error." number)
        }
        /^psql[^ ]* (ERROR|FATAL|PANIC):  / { begin(); next }
        /^psql[^ ]* error: / { if ($0 ~ /invalid command \\[.N]|restrict|not connected to a database/) part = ""; else begin(); next }
        sub(/^psql[^ ]* STATEMENT:  /, "") { part = "statement"; lines = 0 }
        /^psql[^ ]* / { part = ""; next }
        part == "statement" && lines++ < 8 { statement = substr(statement (lines > 1 ? " " : "") $0, 1, 500) }
        part == "error" && !is_over { print > (folder "/error." number) }
        END { end(); if (number > most) print number - most > (folder "/more") }'
    error_number=1
    while [ -e "$folder/error.$error_number" ]; do
        error_message=$(psql_error "$folder/error.$error_number")
        error_code=$(sqlstate "$error_message")
        case $error_code:$(cut -c 1-500 "$folder/statement.$error_number") in
            42P01:DROP\ * | 42704:DROP\ * | 3F000:DROP\ * | 42883:DROP\ * | 3D000:DROP\ * | 42???:'ALTER '*' DROP '*) ;;
            *)
                error_object=$(object_of "$folder/statement.$error_number")
                error_line=$(printf '%s\t%s\t%s' "${error_code:--}" "${error_object:--}" "$error_message")
                # Each session meets what prevents a connection.
                grep -q -F -x -e "$error_line" "$folder/errors" || printf '%s\n' "$error_line" >>"$folder/errors" ;;
        esac
        error_number=$((error_number + 1))
    done
}

# object_of FILE: prints the object of the statement in the file, without values: its kind and its name as the dump has them.
object_of() {
    awk '
        function name_of(text) { return match(text, "^" identifier "([.]" identifier ")*") ? substr(text, 1, RLENGTH) : "" }
        function after(pattern) { return match(text, pattern) ? name_of(substr(text, RSTART + RLENGTH)) : "" }
        BEGIN { identifier = "(\"([^\"]|\"\")*\"|[^] \t\r\n\"(),;.=\047]+)" }
        {
            text = $0
            sub(/\r$/, "", text)
            if (match(text, /^CREATE (UNIQUE )?INDEX /)) {
                name = after("^CREATE (UNIQUE )?INDEX ")
                table = after(" ON (ONLY )?")
                print "index " (table ~ /[.]/ ? substr(table, 1, match(table, /[.]("([^"]|"")*"|[^."]*)$/)) : "") name
            } else if (match(text, /^CREATE (CONSTRAINT )?(TRIGGER|POLICY|RULE) /)) {
                kind = tolower(text)
                match(kind, /(trigger|policy|rule)/)
                print substr(kind, RSTART, RLENGTH) " " name_of(substr(text, RSTART + RLENGTH + 1)) " on " after(" (ON|TO) ")
            } else if (match(text, /^ALTER TABLE (ONLY )?/)) {
                table = after("^ALTER TABLE (ONLY )?")
                name = after(" ADD CONSTRAINT ")
                print name == "" ? "table " table : "constraint " name " on " table
            } else if (match(text, /^(COPY|INSERT INTO) /)) print "rows of table " after("^(COPY|INSERT INTO) ")
            else if (match(text, /^REFRESH MATERIALIZED VIEW /)) print "rows of materialized view " after("^REFRESH MATERIALIZED VIEW ")
            else if (match(text, /^SELECT pg_catalog.setval\(\047/)) print "sequence " name_of(substr(text, RLENGTH + 1))
            else if (match(text, /^(GRANT|REVOKE) /)) print substr(tolower(text), 1, RLENGTH) "to or from " after(" (TO|FROM) ")
            else if (match(text, /^(CREATE|ALTER|COMMENT ON|DROP) (OR REPLACE )?([A-Z]+ )+(IF NOT EXISTS )?/)) {
                kind = tolower(substr(text, 1, RLENGTH - 1))
                name = name_of(substr(text, RLENGTH + 1))
                sub(/^(create|alter|comment on|drop) (or replace )?/, "", kind)
                sub(/ if not exists$/, "", kind)
                gsub(/(unlogged|temporary|trusted|procedural|default) /, "", kind)
                print kind " " name
            }
        }' "$1" | cut -c 1-200
}

# mark_errors: reads lines of DATABASE, SQLSTATE, object, message, separated by tabs; DATABASE is JSON. Prints them with a number
# before each and the number of its cause after it (- for none): causes first. An error follows from an earlier one in the same
# database, or among the globals, if its message names what could not be created; if it lacks something else, from an extension.
# Left out: materialized views that a server without network cannot fill, and what needs them: they go to $work/left_out.
mark_errors() {
    awk -F "$TAB" -v OFS="$TAB" -v most="$MAX_ERRORS" -v left_out="$work/left_out" '
        function is_named(text, name,    bare) {
            gsub(/"/, "", text)
            gsub(/"/, "", name)
            bare = name
            sub(/^.*[.]/, "", bare)
            return contains(text, name) || contains(text, bare)
        }
        # The name, not as a part of a longer one.
        function contains(text, name,    at, from) {
            text = " " text " "
            from = 1
            while (name != "" && (at = index(substr(text, from), name))) {
                at += from - 1
                if (substr(text, at - 1, 1) !~ /[A-Za-z0-9_$\200-\377]/ && substr(text, at + length(name), 1) !~ /[A-Za-z0-9_$\200-\377]/) return 1
                from = at + 1
            }
            return 0
        }
        function cause_of(    i, cause) {
            if ($2 !~ /^(42704|42883|42P0[12]|42703|42830|3F000|3D000|55000|-)$/) return 0
            for (i = 1; i < count; i++) {
                if (database[i] != $1 && database[i] != "null") continue
                if (kind[i] ~ /^(rows of|comment|grant|revoke)/) continue
                if (is_named(text_of, name[i]) || (kind[i] == "database" && $2 == "-")) return root[i]
                if ($2 == "42830" && table[i] != "" && is_named(text_of, table[i])) return root[i]
                if (kind[i] == "extension" && database[i] == $1 && $2 ~ /^(42704|42883|3F000|42P01)$/) cause = cause ? cause : i
            }
            return cause
        }
        $3 ~ /^rows of materialized view / && ($2 ~ /^(08|HV)/ || ($2 == "58P01" && $4 ~ /could not open file/) || ($2 == "55000" && ($1 in has_left_out))) {
            has_left_out[$1] = 1
            print $1, substr($3, 9), $4 > left_out
            next
        }
        {
            count++
            database[count] = $1
            text_of = $4
            sub(/^[A-Z]+: [0-9A-Z]*: */, "", text_of)
            kind[count] = $3
            name[count] = table[count] = ""
            if (match($3, / on /)) { table[count] = substr($3, RSTART + 4); $3 = substr($3, 1, RSTART - 1) }
            if (match($3, /("([^"]|"")*"|[^ ."]+)([.]("([^"]|"")*"|[^ ."]+))*$/)) {
                name[count] = substr($3, RSTART)
                kind[count] = substr($3, 1, RSTART - 2)
            }
            if (table[count] != "") $3 = $3 " on " table[count]
            # A setting or an owner of what exists nevertheless.
            if (text_of ~ /^(unrecognized configuration parameter|invalid value for parameter|parameter|role) "/) name[count] = table[count] = ""
            follows[count] = cause_of()
            root[count] = follows[count] ? follows[count] : count
            line[count] = $0
        }
        END {
            for (i = 1; i <= count; i++) if (!follows[i]) number[i] = ++numbers
            for (i = 1; i <= count; i++) if (follows[i]) number[i] = ++numbers
            for (i = 1; i <= count; i++) if (!follows[i] && number[i] <= most) print number[i], line[i], "-"
            for (i = 1; i <= count; i++) if (follows[i] && number[i] <= most) print number[i], line[i], number[follows[i]]
        }'
}

# gather_errors: prints each error as a JSON line; sets `errors` (their number), `error_list` (the first ten), `needs` and
# `left_out` (JSON, at most 20 of each: a result has at most 64 KiB), `first_error`, `first_cause` (its message with database and object), and `causes`.
gather_errors() {
    errors=0 error_list='' needs='' left_out='' causes=0 first_error='' first_cause='' need_count=0 left_out_count=0
    : >"$work/left_out"
    {
        sed "s/^/null$TAB/" "$data/errors"
        sort -n "$work/parts" >"$work/parts.sorted" # by their place in the dump
        while read -r part _ _ _ _ part_name <&3; do
            [ ! -s "$data/parts/$part/errors" ] || NAME=$part_name awk '{ print ENVIRON["NAME"] "\t" $0 }' "$data/parts/$part/errors"
            while IFS=$TAB read -r need_path need_object need_message; do
                log "the database $part_name restores only with search_path = $need_path: $need_object: $need_message"
                [ $((need_count += 1)) -le 20 ] || continue
                needs="$needs${needs:+,}{\"database\":$part_name,\"search_path\":$(json "$need_path"),\"object\":$(json "$need_object"),\"cure\":$(json "$(cure_for "$need_object" "$need_message" "$need_path")")}"
            done 2>/dev/null <"$data/parts/$part/needs"
        done 3<"$work/parts.sorted"
    } >"$work/all_errors"
    mark_errors <"$work/all_errors" >"$work/marked_errors"
    errors=$(grep -c '' "$work/marked_errors")
    for error_file in "$data"/more "$data"/parts/*/more; do
        [ ! -s "$error_file" ] || errors=$((errors + $(cat "$error_file")))
    done
    while IFS=$TAB read -r error_number error_database error_code error_object error_message error_cause <&3; do
        [ "$error_code" != - ] || error_code=
        [ "$error_object" != - ] || error_object=
        if [ "$error_cause" = - ]; then
            error_cause=null causes=$((causes + 1))
            error_advice=$(drill_advice "$error_message")
        else
            error_advice="It follows from error $error_cause: repair that one."
        fi
        error_line=$(printf '{"type":"error","number":%s,"database":%s,"object":%s,"sqlstate":%s,"message":%s,"advice":%s,"follows":%s}' \
            "$error_number" "$error_database" "$(json_or_null "$error_object")" "$(json_or_null "$error_code")" "$(json "$error_message")" "$(json "$error_advice")" "$error_cause")
        printf '%s\n' "$error_line"
        [ "$error_number" -gt 10 ] || error_list="$error_list${error_list:+,}$error_line"
        [ "$error_number" -gt 1 ] || {
            first_error=$error_message first_advice=$error_advice
            first_cause=$(if [ "$error_database" = null ]; then printf 'roles and other globals'; else printf 'database %s' "$error_database"; fi)
            first_cause="$first_cause${error_object:+, $error_object}: $error_message"
        }
    done 3<"$work/marked_errors"
    while IFS=$TAB read -r error_database error_object error_message <&3; do
        log "left out: $error_object in the database $error_database: $error_message"
        [ $((left_out_count += 1)) -le 20 ] || continue
        left_out="$left_out${left_out:+,}{\"database\":$error_database,\"object\":$(json "$error_object"),\"reason\":$(json "$error_message")}"
    done 3<"$work/left_out"
}

# cure_for OBJECT MESSAGE PATH: prints what to do in the live database so that the dump restores without a search_path.
cure_for() {
    case $2 in
        *'SQL function "'* | *'PL/pgSQL function '*)
            cure_function=$(printf '%s\n' "$2" | sed -n -e 's/.*(SQL function "\([^"]*\)".*/\1/p' -e 's/.*(PL\/pgSQL function \([^ ]*\) .*/\1/p' | head -n 1)
            echo "In the live database: ALTER FUNCTION ${cure_function%%(*} SET search_path = $3. Or write the names in it with their schemas." ;;
        *'operator does not exist'*)
            echo "In the live database, change $1 so that it names the operator with its schema: OPERATOR(schema.=), also in place of IS DISTINCT FROM, IN or BETWEEN, which cannot name one." ;;
        *) echo "In the live database, write the name in the message with its schema in $1." ;;
    esac
}
